"""Claim: a training step is 20 times faster than the best PyTorch BPTT we know, in a tenth of its memory.

Forward, backward and Adam of a 700-256(recurrent)-20 network on 1,000 steps of 1 ms, batch 32, 8,000 input spikes a
sample and about 10 spikes per hidden unit; same threads, alternating in the same run, medians. Each case runs in a
process of its own so that its peak memory is its own.

    python benchmarks/training_speed.py [--repeats 5] [--chunk 20]

`--against CHECKOUT` times lambent's steps against those of another checkout, alternating, on one thread and on two;
and, in CPU seconds, its import and the first step of a process that finds nothing compiled.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch

import lambent as lb
from _common import arguments, show
from bptt import BPTT
from lambent import calibrate
from lambent.machine.threads import engine_only_threads

BATCH, STEPS, SPIKES, INPUTS, HIDDEN, OUT = 32, 1000, 8000, 700, 256, 20
HERE = Path(__file__).resolve().parents[1]
SAMPLES = 8156  # of the Heidelberg digits' training set


def events() -> lb.Events:
    g = torch.Generator().manual_seed(0)
    times = torch.sort(torch.rand(BATCH, SPIKES, generator=g) * (STEPS - 0.01), 1).values
    units = torch.randint(0, INPUTS, (BATCH * SPIKES,), generator=g)
    return lb.Events(times.flatten(), units, torch.arange(BATCH + 1) * SPIKES, INPUTS, float(STEPS))


def model() -> torch.nn.Sequential:
    torch.manual_seed(0)
    net = torch.nn.Sequential(lb.LIF(INPUTS, HIDDEN, recurrent=True), lb.LIReadout(HIDDEN, OUT))
    calibrate(net, events(), 10.0)
    return net


def memory(field: str) -> float:
    """A memory figure of this process [MiB]: VmRSS now, VmHWM at its highest since `forget_peak`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(x.split()[1]) for x in lines if x.startswith(field)) / 1024


def forget_peak() -> None:
    """Let the high-water mark begin at what is in use now."""
    Path("/proc/self/clear_refs").write_text("5")


def run(case: str, repeats: int, chunk: int) -> dict[str, float | str]:
    """Time one case; `case` is lambent, lambent-tau, eager or compiled."""
    x, labels, net = events(), torch.arange(BATCH) % OUT, model()
    if case.startswith("lambent"):
        if case == "lambent-tau":
            net[0].tau_mem.requires_grad_()
            net[0].tau_syn.requires_grad_()

        def forward():
            hidden = net[0](x)
            return net[1](hidden), hidden.counts()
    else:
        dense = BPTT(INPUTS, HIDDEN, OUT, chunk=chunk if case == "compiled" else 0)
        dense.load_state_dict(
            {"weight": net[0].weight, "recurrent_weight": net[0].recurrent_weight, "readout": net[1].weight}
        )
        net, spikes = dense, x.to_dense(1.0)

        def forward():
            return net(spikes)

    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], 1e-6, fused=True)
    forget_peak()
    before, times = memory("VmRSS"), []
    # as in `lambent train`, torch's own small operations need no second thread
    with engine_only_threads() if case.startswith("lambent") else nullcontext():
        for _ in range(repeats + 1):
            start = time.perf_counter()
            logits, counts = forward()
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(logits, labels).backward()
            optimizer.step()
            times.append(time.perf_counter() - start)
    median = statistics.median(times[1:])
    return {
        "case": case,
        "ms_per_batch": 1e3 * median,
        "ms_at_best": 1e3 * min(times[1:]),
        "s_per_epoch_8156": median * SAMPLES / BATCH,
        "peak_MiB_above_start": memory("VmHWM") - before,
        "first_s": times[0],
        "spikes_per_unit": counts.mean().item(),
    }


def measured(tree: Path, case: str, *options: object, **environment: str) -> dict[str, float | str]:
    """What `run` finds in a process of its own, with the files of `tree`."""
    command = [sys.executable, tree / "benchmarks" / "training_speed.py", "--case", case, *map(str, options)]
    env = os.environ | {"PYTHONPATH": str(tree / "src")} | environment
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=env).stdout
    return json.loads(out.splitlines()[-1])


IMPORT = "import time, lambent; print(time.process_time())"
COMPILE = """
import time, torch, lambent as lb
events = lb.Events.from_lists([[1.0, 2.0, 3.0]], [[0, 1, 2]], 3, 20.0)
net = torch.nn.Sequential(lb.LIF(3, 4, recurrent=True), lb.LIReadout(4, 2))
net[0].tau_mem.requires_grad_(TAU), net[0].tau_syn.requires_grad_(TAU)
start = time.process_time()
net(events).sum().backward()
print(time.process_time() - start)
"""


def seconds(tree: Path, program: str) -> float:
    """CPU seconds that a program prints, run with the files of `tree` and nothing compiled."""
    with tempfile.TemporaryDirectory() as cache:
        env = os.environ | {"PYTHONPATH": str(tree / "src"), "NUMBA_CACHE_DIR": cache}
        command = [sys.executable, "-c", program]
        return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=env).stdout)


def against(checkout: Path, repeats: int) -> list[dict[str, float | str]]:
    """Imports, compiling and steps of this checkout and of another, in turn."""
    trees = HERE, checkout

    def medians(measure: Callable[[Path], float]) -> tuple[float, ...]:
        found = [[measure(tree) for tree in trees] for _ in range(repeats)]
        return tuple(statistics.median(x) for x in zip(*found, strict=True))

    imports = medians(lambda tree: seconds(tree, IMPORT))
    rows: list[dict[str, float | str]] = []
    for case in ("lambent", "lambent-tau"):
        program = COMPILE.replace("TAU", str(case == "lambent-tau"))
        first = medians(lambda tree, program=program: seconds(tree, program))
        for threads in (1, 2):
            for tree in trees:  # compiles
                measured(tree, case, "--repeats", 1, OMP_NUM_THREADS=str(threads))
            ms = medians(
                lambda tree, case=case, threads=threads: measured(
                    tree, case, "--repeats", 15, OMP_NUM_THREADS=str(threads)
                )["ms_per_batch"]
            )
            row = {"case": case, "on_threads": threads, "ratio": ms[0] / ms[1]}
            for name, pair in {"ms_per_batch": ms, "compile_s": first, "import_s": imports}.items():
                row |= {name: pair[0], f"other_{name}": pair[1]}
            rows.append(row)
    return rows


def main() -> None:
    global BATCH, STEPS, SPIKES, HIDDEN
    parser = arguments(__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--chunk", type=int, default=20, help="steps per compiled block")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="another checkout to compare with")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    args = parser.parse_args()
    cases: tuple[str, ...] = ("lambent", "lambent-tau", "eager", "compiled")
    if args.smoke:
        BATCH, STEPS, SPIKES, HIDDEN = 2, 50, 100, 16
        args.repeats, cases = 1, ("lambent", "eager")  # compiling takes a minute
    if args.case:
        print(json.dumps(run(args.case, args.repeats, args.chunk)))
        return
    if args.against:
        show("training_speed", against(args.against.resolve(), args.repeats))
        return
    rows = []
    for case in cases:
        # lambent's first run compiles (once per machine): warm it so that the peak is that of training
        for _ in range(2 if case.startswith("lambent") and not args.smoke else 1):
            row = measured(HERE, case, "--repeats", args.repeats, "--chunk", args.chunk, *["--smoke"] * args.smoke)
        rows.append(row)
    best = min(r["ms_per_batch"] for r in rows if r["case"] in ("eager", "compiled"))
    least = min(r["peak_MiB_above_start"] for r in rows if r["case"] in ("eager", "compiled"))
    for r in rows:
        r["speedup"] = best / r["ms_per_batch"]
        r["memory_share"] = r["peak_MiB_above_start"] / least
    show("training_speed", rows)


if __name__ == "__main__":
    main()
