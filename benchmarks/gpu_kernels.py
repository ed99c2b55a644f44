"""Registers, spills and shared memory of every kernel of `grid_gpu`, compiled for sm_80 and sm_90; needs no GPU.

python benchmarks/gpu_kernels.py [--sizes 256 1024 4096] [--show spikes_forward]
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from _common import arguments, show
from lambent.connections import conv_gpu, dense_gpu, sparse_gpu
from lambent.engines.grid import gpu_backward, gpu_forward, gpu_readout
from lambent.engines.grid.gpu import _shape
from lambent.engines.grid.gpu_units import gpu_neuron, numbers
from lambent.neurons.integrator import IntegratorUnits
from lambent.neurons.lif import LIFUnits

TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
INTEGERS = {"n_steps", "rows", "capacity", "batch", "input_size", "own_size"}
INDICES = {"starts", "units", "own_starts", "own_units", "own_steps", "lengths", "peak_steps"}
DENSE = (dense_gpu.GPU, ("*fp32", "*i32"))  # connections, and what kernels are given of them: weights, delays in steps
CONV = (conv_gpu.GPU, ("*fp32", "*i32", *["i32"] * 14))
SPARSE = (sparse_gpu.GPU, ("*fp32", None, "*i64", "*i32"))
LIF, LI = LIFUnits, IntegratorUnits
PLAIN = ("rings", "delays")
ALONE = ("recurrent", "RECURRENT", "d_recurrent")
GRADED = {"LEVELS": 3.0, "FULL": 0.3}
UNGRADED = (
    "values", "own_values", "overshoots", "slopes", "grad_values", "d_values", *GRADED,
)  # fmt: skip
KERNELS = {  # the neuron, its connections, and what is left out of each
    "spikes_forward": (gpu_forward.spikes_forward, LIF, DENSE, PLAIN),
    "spikes_forward, delays": (gpu_forward.spikes_forward, LIF, DENSE, ()),
    "spikes_forward, convolution": (gpu_forward.spikes_forward, LIF, CONV, (*PLAIN, *ALONE)),
    "spikes_forward, sparse": (gpu_forward.spikes_forward, LIF, SPARSE, ()),
    "spikes_backward": (gpu_backward.spikes_backward, LIF, DENSE, (*PLAIN, "traces", "d_times", "d_step")),
    "spikes_backward, all": (gpu_backward.spikes_backward, LIF, DENSE, ()),
    "spikes_backward, convolution": (
        gpu_backward.spikes_backward, LIF, CONV, (*PLAIN, *ALONE, "traces", "d_step"),
    ),
    "spikes_backward, convolution and delays": (gpu_backward.spikes_backward, LIF, CONV, ALONE),
    "spikes_backward, sparse": (gpu_backward.spikes_backward, LIF, SPARSE, ()),
    "levels_forward": (gpu_readout.levels_forward, LI, DENSE, PLAIN),
    "levels_backward": (gpu_readout.levels_backward, LI, DENSE, PLAIN),
    "spikes_forward, graded": (gpu_forward.spikes_forward, LIF, DENSE, PLAIN),
    "spikes_forward, graded and sparse": (gpu_forward.spikes_forward, LIF, SPARSE, ()),
    "spikes_backward, graded": (gpu_backward.spikes_backward, LIF, DENSE, ()),
    "spikes_backward, graded and sparse": (gpu_backward.spikes_backward, LIF, SPARSE, ()),
    "levels_backward, graded": (gpu_readout.levels_backward, LI, DENSE, PLAIN),
}  # fmt: skip


def compiled(name: str, size: int, arch: int) -> Any:
    """The kernel of this name for float32 layers of `size` units, compiled for compute capability `arch`."""
    kernel, neuron, connections, absent = KERNELS[name]
    if "graded" not in name:
        absent += UNGRADED
    shape = _shape(size, backward="backward" in kernel.__name__)
    options = {k: shape.pop(k) for k in ("num_warps", "num_stages")}
    constants = numbers(neuron) | shape | {"size": size, "COPIES": False, "NEURON": gpu_neuron(neuron)} | GRADED
    constants |= dict.fromkeys(("INPUTS", "RECURRENT"), connections[0]) | dict.fromkeys(absent)
    signature: dict[str, Any] = {}
    values, aligned = {}, {}
    for i, name in enumerate(kernel.arg_names):
        if name in constants:
            signature[name], values[(i,)] = "constexpr", constants[name]
        elif name in ("inputs", "recurrent", "d_inputs", "d_recurrent"):
            kinds = list(connections[1])
            if name.startswith("d_"):  # sums of the gradients of weights and delays
                kinds = ["*fp32", "*fp32", *[None] * (len(kinds) - 2)]
            if "delays" in absent:
                kinds[1] = None
            signature[name] = tuple(kind or "constexpr" for kind in kinds)
            values |= {(i, j): None for j, kind in enumerate(kinds) if kind is None}
            aligned |= {(i, j): [["tt.divisibility", 16]] for j, kind in enumerate(kinds) if "*" in (kind or "")}
        elif name in INTEGERS:
            signature[name] = "i32"
        else:
            signature[name], aligned[(i,)] = "*i32" if name in INDICES else "*fp32", [["tt.divisibility", 16]]
    source = ASTSource(kernel, signature, values, aligned)
    return triton.compile(source, target=GPUTarget("cuda", arch, 32), options=options)


def inspect(cubin: bytes, option: str) -> str:
    """What cuobjdump says of a compiled kernel."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [TOOLS / "cuobjdump", option, file.name]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def facts(name: str, size: int, arch: int) -> dict[str, Any]:
    """One row of the table.

    `spill_loads` counts loads from a thread's own memory, `atomics` additions of up to 16 bytes. `in_order` says
    whether a column of all atomic additions has the same thread, so that they keep their order without barriers.
    """
    kernel = compiled(name, size, arch)
    layouts = dict(re.findall(r"^(#\w+) = (.*)$", kernel.asm["ttgir"], re.MULTILINE))
    added = {layouts[x] for x in re.findall(r"tt\.atomic_rmw.*, (#\w+)>", kernel.asm["ttgir"])}
    usage = dict(re.findall(r"\b([A-Z]+):(\d+)", inspect(kernel.asm["cubin"], "-res-usage")))
    code = inspect(kernel.asm["cubin"], "-sass")
    one = r"threadsPerWarp = \[(1, )?32\], warpsPerCTA = \[(1, )?\d+\]"
    return {
        "kernel": name,
        "arch": f"sm_{arch}",
        "units": size,
        "warps": kernel.metadata.num_warps,
        "registers": int(usage["REG"]),
        "stack_bytes": int(usage["STACK"]),
        "spill_loads": len(re.findall(r"\bLDL\b", code)),
        "shared_bytes": kernel.metadata.shared,
        "barriers": len(re.findall(r"\bBAR\.", code)),
        "loads_of_16_bytes": len(re.findall(r"\bLDG\.E\.128", code)),
        "atomics": len(re.findall(r"\bREDG?\.E", code)),
        "in_order": "yes" if all(re.search(one, x) for x in added) else "no",
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 1024, 4096], help="units of the LIF layers")
    parser.add_argument("--show", choices=KERNELS, help="print this kernel's machine code for sm_90 instead")
    args = parser.parse_args()
    if args.show:
        print(inspect(compiled(args.show, args.sizes[0], 90).asm["cubin"], "-sass"))
        return
    archs = (80, 90)
    if args.smoke:
        args.sizes, archs = [64], (90,)
    cases = [(name, 20 if name.startswith("levels_") else size) for size in args.sizes for name in KERNELS]
    rows = [facts(name, size, arch) for name, size in dict.fromkeys(cases) for arch in archs]
    show("gpu_kernels", rows)


if __name__ == "__main__":
    main()
