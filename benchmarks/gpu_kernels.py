"""Registers, spills and shared memory of every kernel of `grid_gpu`, compiled for sm_80 and sm_90; needs no GPU.

python benchmarks/gpu_kernels.py [--sizes 256 1024 4096] [--show convolution]

The engine itself runs, forward and backward, on CPU tensors and a driver that loads what Triton compiles for each
launch and launches nothing: what comes out has no meaning, and no spikes.
"""

from __future__ import annotations

import json
import re
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
import triton
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia import driver as nvidia

from _common import arguments, show
from lambent import Events
from lambent.connections import Connections, Conv2d, Dense, Sparse
from lambent.engines.grid import gpu
from lambent.neurons import LIF, Integrator, Neuron
from lambent.neurons.payload import Payload

TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
# units of cases that begin so, whatever is asked for; the map is split into tiles
FIXED = {"readout": 20, "large map": 32 * 24 * 24}


class Driver:
    """Stands for that of a device of compute capability `arch`."""

    def __init__(self, arch: int) -> None:
        self.arch, self.utils, self.checked = arch, self, set[str]()

    def get_current_device(self) -> int:
        return self.arch  # which Triton keeps kernels by

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", self.arch, 32)

    def get_device_properties(self, device: int) -> dict[str, int]:
        return {"max_shared_mem": {80: 163, 90: 227}[self.arch] * 1024}

    def load_binary(self, name: str, binary: bytes, shared: int, device: int) -> tuple[int, int, int, int, int]:
        return 1, 1, 0, 0, 1024  # module, function, registers, spills, most threads

    def launcher_cls(self, source: Any, metadata: Any) -> Callable[..., None]:
        if hasattr(nvidia, "make_launcher"):  # Triton 3.6 writes a launcher in C for every signature
            self.check(nvidia.make_launcher({}, dict(source.signature), None))
        return lambda *_: None

    def check(self, code: str) -> None:
        if code not in self.checked:
            self.checked.add(code)
            includes = [f"-I{path}" for path in (*nvidia.include_dirs, sysconfig.get_path("include"))]
            subprocess.run(
                ["cc", "-fsyntax-only", "-w", "-xc", "-", *includes], input=code, text=True, check=True
            )  # fmt: skip


@contextmanager
def loaded(arch: int) -> Iterator[list[tuple[str, dict[str, str]]]]:
    """Kernels that the engine loads meanwhile: their names, and where Triton keeps what it made of them."""
    found: list[tuple[str, dict[str, str]]] = []

    def hook(module: Any, function: Any, name: str, files: dict[str, str], key: str) -> None:
        found.append((name, files))

    triton.runtime.driver.set_active(Driver(arch))
    knobs.runtime.kernel_load_start_hook.add(hook)
    try:
        yield found
    finally:
        knobs.runtime.kernel_load_start_hook.remove(hook)


def dense(n: int, size: int, delay: float | None = None) -> Dense:
    return Dense(n, size, torch.zeros(n, size), None if delay is None else torch.full((n, size), delay))


def sparse(n: int, size: int) -> Sparse:
    return Sparse(n, size, indices=torch.arange(min(n, size)).expand(2, -1), delay=2.0)


def conv(size: int, delay: float | None = None) -> Conv2d:
    places = next(n for n in (24, 8, 4, 2, 1) if size % n**2 == 0)
    return Conv2d((2, places, places), size // places**2, 3, padding=1, delay=delay)


class Layer(NamedTuple):
    """What is launched.

    Attributes:
        kind, inputs, recurrent: the units, and their connections.
        everything: whether that is trained, or weights alone.
        graded: whether spikes have values, those of the inputs and those of the layer.
    """

    kind: type[Neuron]
    inputs: Connections
    recurrent: Connections | None = None
    everything: bool = False
    graded: bool = False


# for a number of units
CASES: dict[str, Callable[[int], Layer]] = {
    "recurrent": lambda size: Layer(LIF, dense(70, size), dense(size, size)),
    "recurrent, delays": lambda size: Layer(LIF, dense(70, size, 2.0), dense(size, size, 2.0), everything=True),
    "recurrent, sparse": lambda size: Layer(LIF, sparse(70, size), sparse(size, size), everything=True),
    "recurrent, graded": lambda size: Layer(LIF, dense(70, size), dense(size, size), graded=True),
    "recurrent, sparse and graded": lambda size: Layer(LIF, sparse(70, size), sparse(size, size), True, True),
    "dense": lambda size: Layer(LIF, dense(70, size)),
    "convolution": lambda size: Layer(LIF, conv(size)),
    "convolution, delays": lambda size: Layer(LIF, conv(size, 2.0), everything=True),
    "sparse": lambda size: Layer(LIF, sparse(70, size), everything=True),
    "large map": lambda size: Layer(LIF, conv(size, 2.0), everything=True),
    "large map, graded": lambda size: Layer(LIF, conv(size), graded=True),
    "readout": lambda size: Layer(Integrator, dense(70, size)),
    "readout, graded": lambda size: Layer(Integrator, dense(70, size), graded=True),
}


def launch(layer: Layer) -> None:
    """Let the engine launch what it has for a layer, forward and backward."""
    kind, inputs, recurrent, everything, graded = layer
    constants = {"tau_mem": 20.0, "tau_syn": 5.0} | ({"threshold": 1.0} if kind.spiking else {})
    neuron = kind(**{name: torch.full((inputs.n_out,), x, requires_grad=everything) for name, x in constants.items()})
    for side in (inputs, recurrent):
        if side is not None:
            side.weight.requires_grad_()
        if side is not None and side.delay is not None:
            side.delay.requires_grad_(everything)
    events = Events.from_lists([[], []], [[], []], inputs.n_in, 9.0)
    times = events.times.requires_grad_(everything)
    values = torch.ones_like(times, requires_grad=True) if graded else None
    events = Events(times, events.units, events.offsets, inputs.n_in, events.duration, values)
    if kind.spiking:
        payload = Payload(3.0, 0.3) if graded else None
        gpu.spikes(events, neuron, inputs, recurrent, 1.0, payload).counts().sum().backward()
    else:
        gpu.levels(events, neuron, inputs, 1.0).sum().backward()


def machine_code(name: str, files: dict[str, str]) -> str:
    """What cuobjdump says of a compiled kernel: its registers, and the code."""
    command = [TOOLS / "cuobjdump", "-res-usage", "-sass", files[f"{name}.cubin"]]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


def facts(name: str, files: dict[str, str]) -> dict[str, Any]:
    """What the table has of a kernel.

    `spill_loads` counts loads from a thread's own memory, `wide_loads` loads of 16 bytes, `atomics` additions of up to
    16 bytes. `in_order` says whether a column of all atomic additions has the same thread, so that they keep their
    order without barriers.
    """
    ir, metadata = Path(files[f"{name}.ttgir"]).read_text(), json.loads(Path(files[f"{name}.json"]).read_text())
    layouts = dict(re.findall(r"^(#\w+) = (.*)$", ir, re.MULTILINE))
    added = {layouts[x] for x in re.findall(r"tt\.atomic_rmw.*, (#\w+)>", ir)}
    code = machine_code(name, files)
    usage = dict(re.findall(r"\b(REG|STACK):(\d+)", code))
    one = r"threadsPerWarp = \[(1, )?32\], warpsPerCTA = \[(1, )?\d+\]"
    return {
        "warps": metadata["num_warps"],
        "registers": int(usage["REG"]),
        "stack_bytes": int(usage["STACK"]),
        "spill_loads": len(re.findall(r"\bLDL\b", code)),
        "shared_bytes": metadata["shared"],
        "barriers": len(re.findall(r"\bBAR\.", code)),
        "wide_loads": len(re.findall(r"\bLDG\.E\.128", code)),
        "atomics": len(re.findall(r"\bREDG?\.E", code)),
        "in_order": "yes" if all(re.search(one, x) for x in added) else "no",
    }


def size_of(case: str, size: int) -> int:
    """Units of a case."""
    return next((n for start, n in FIXED.items() if case.startswith(start)), size)


def rows_of(job: tuple[str, int, int]) -> list[dict[str, Any]]:
    """The table's rows of one case, number of units and compute capability."""
    case, size, arch = job
    with loaded(arch) as kernels:
        launch(CASES[case](size))
    about = {"case": case, "arch": f"sm_{arch}", "units": size}
    return [{"kernel": name, **about, **facts(name, files)} for name, files in kernels]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 1024, 4096], help="units of LIF layers")
    parser.add_argument("--show", choices=CASES, help="print the machine code of this case for sm_90 instead")
    args = parser.parse_args()
    archs = (80, 90)
    if args.smoke:
        args.sizes, archs = [64], (90,)
    if args.show:
        with loaded(90) as kernels:
            launch(CASES[args.show](size_of(args.show, args.sizes[0])))
        print(*(machine_code(*kernel) for kernel in kernels), sep="\n")
        return
    layers = [(case, size_of(case, size)) for size in args.sizes for case in CASES]
    jobs = [(*layer, arch) for layer in dict.fromkeys(layers) for arch in archs]
    with ProcessPoolExecutor() as pool:
        show("gpu_kernels", [row for rows in pool.map(rows_of, jobs) for row in rows])


if __name__ == "__main__":
    main()
