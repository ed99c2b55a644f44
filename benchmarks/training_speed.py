"""Claim: a training step, and inference, take several times less than in the strongest BPTT that we could write.

700-H(recurrent)-20, batch 32, 8,000 input spikes a sample and about 10 spikes per hidden unit, in steps of 1 ms.
Training is forward, backward and Adam; inference is forward alone, with the scores. The opponents are the same network
with surrogate gradients on dense spikes:

* BPTT written by hand, without autograd, in float32 and in bfloat16 (`handwritten.py`);
* PyTorch's autograd, compiled in blocks of `--chunk` steps (`bptt.py`), at 1,000 steps and H = 256.

Every case runs in a process of its own, so that its peak of memory is its own, all in turn, `--rounds` times, on one
thread and on two; what is printed are medians. "ahead" is the best opponent's time over lambent's. A second table has
lambent alone: time constants that are trained, and long samples.

    python benchmarks/training_speed.py [--rounds 3] [--threads 1 2] [--chunk 20]

`--against CHECKOUT` times lambent's steps against those of another checkout, alternating, on one thread and on two;
and, in CPU seconds, its import and the first step of a process that finds nothing compiled.
"""

from __future__ import annotations

import argparse
import itertools
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
from typing import Any

import torch

import lambent as lb
from _common import arguments, show
from bptt import BPTT
from handwritten import HandWritten
from lambent import calibrate
from lambent.machine.threads import engine_only_threads

HERE = Path(__file__).resolve().parents[1]
BATCH, INPUTS, OUT = 32, 700, 20
SIZES = ((1000, 256), (500, 256), (200, 256), (200, 1024))
"""Steps and hidden units."""
LONG = (1000, 10_000)
PATIENCE = 20.0  # seconds, after which one step timed is enough: without instructions for bfloat16 one takes as long
HAND = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def events(steps: int, spikes: int) -> lb.Events:
    g = torch.Generator().manual_seed(0)
    times = torch.sort(torch.rand(BATCH, spikes, generator=g) * (steps - 0.01), 1).values
    units = torch.randint(0, INPUTS, (BATCH * spikes,), generator=g)
    return lb.Events(times.flatten(), units, torch.arange(BATCH + 1) * spikes, INPUTS, float(steps))


def model(x: lb.Events, hidden: int) -> torch.nn.Sequential:
    torch.manual_seed(0)
    net = torch.nn.Sequential(lb.LIF(INPUTS, hidden, recurrent=True), lb.LIReadout(hidden, OUT))
    calibrate(net, x, 10.0)
    return net


def memory(field: str) -> float:
    """A memory figure of this process [MiB]: VmRSS now, VmHWM at its highest since `forget_peak`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(x.split()[1]) for x in lines if x.startswith(field)) / 1024


def forget_peak() -> None:
    """Let the high-water mark begin at what is in use now."""
    Path("/proc/self/clear_refs").write_text("5")


def subject(case: str, steps: int, hidden: int, spikes: int, chunk: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """A training step and an inference of one case: lambent, lambent-tau, compiled, float32 or bfloat16."""
    x, labels = events(steps, spikes), torch.arange(BATCH) % OUT
    net = model(x, hidden)
    if case == "lambent-tau":
        net[0].tau_mem.requires_grad_()
        net[0].tau_syn.requires_grad_()
    weights = {"weight": net[0].weight, "recurrent_weight": net[0].recurrent_weight, "readout": net[1].weight}
    if case in HAND:
        hand, dense = HandWritten(*weights.values(), steps, HAND[case]), x.to_dense(1.0).transpose(0, 1)
        dense, own = dense.to(HAND[case]).contiguous(), [hand.weight, hand.recurrent, hand.readout]
        optimizer = torch.optim.Adam(own, 1e-6, fused=True)

        @torch.no_grad()
        def learn() -> None:
            for weight, gradient in zip(own, hand.gradients(dense, labels), strict=True):
                weight.grad = gradient
            optimizer.step()

        return learn, lambda: hand.forward(dense)[0]
    if case == "compiled":
        bptt = BPTT(INPUTS, hidden, OUT, chunk=chunk)
        bptt.load_state_dict(weights)
        net, frames = bptt, x.to_dense(1.0)

    def scores() -> torch.Tensor:
        return net(frames)[0] if case == "compiled" else net(x)

    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], 1e-6, fused=True)

    def learn_by_autograd() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(scores(), labels).backward()
        optimizer.step()

    return learn_by_autograd, torch.no_grad()(scores)


def run(case: str, steps: int, hidden: int, spikes: int, repeats: int, chunk: int) -> dict[str, float]:
    """Medians of one case [ms], its first step [s], and its peak of memory in training [MiB]."""
    learn, infer = subject(case, steps, hidden, spikes, chunk)
    before, found = 0.0, {}
    # as in `lambent train`, torch's own small operations need no second thread
    with engine_only_threads() if case.startswith("lambent") else nullcontext():
        forget_peak()
        before = memory("VmRSS")
        for name, work in (("train", learn), ("inference", infer)):
            times = []
            for _ in range(repeats + 1):
                start = time.perf_counter()
                work()
                times.append(time.perf_counter() - start)
                if len(times) > 1 and sum(times) > PATIENCE:
                    break
            found[name] = 1e3 * statistics.median(times[1:])
            if name == "train":
                found |= {"first_s": times[0], "MiB": memory("VmHWM") - before}
    return found


def measured(tree: Path, case: str, size: tuple[int, int], *options: object, threads: int) -> dict[str, float]:
    """What `run` finds in a process of its own, with the files of `tree`."""
    command = [sys.executable, tree / "benchmarks" / "training_speed.py", "--case", case, "--size", *size, *options]
    env = os.environ | {"PYTHONPATH": str(tree / "src"), "OMP_NUM_THREADS": str(threads)}
    out = subprocess.run([*map(str, command)], check=True, stdout=subprocess.PIPE, text=True, env=env).stdout
    found = json.loads(out.splitlines()[-1])
    where = f"{size[0]:,} steps, {size[1]:,} units, threads: {threads}"
    print(f"{case}, {where}: {found['train']:.1f} ms, {found['inference']:.1f} ms", file=sys.stderr, flush=True)
    return found


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(x[name] for x in runs) for name in runs[0]}


def beside_opponents(size: tuple[int, int], threads: int, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows for training and for inference."""
    cases = ["lambent", *HAND] + ["compiled"] * (size == SIZES[0] and not args.smoke)  # compiling takes a minute
    options = ("--repeats", args.repeats, "--chunk", args.chunk, *["--smoke"] * args.smoke)
    for case in ("lambent", "compiled"):  # compiles, once per machine
        if case in cases:
            measured(HERE, case, size, *options, threads=threads)
    runs: dict[str, list[dict[str, float]]] = {case: [] for case in cases}
    for _, case in itertools.product(range(args.rounds), cases):
        runs[case].append(measured(HERE, case, size, *options, threads=threads))
    found, rows = {case: medians(x) for case, x in runs.items()}, []
    for what in ("train", "inference"):
        row: dict[str, Any] = {"what": what, "steps": size[0], "hidden": size[1], "on_threads": threads}
        row |= {f"{case}_ms": found[case][what] if case in found else None for case in ("lambent", *HAND, "compiled")}
        row["ahead"] = min(x[what] for case, x in found.items() if case != "lambent") / found["lambent"][what]
        best = min((case for case in found if case != "lambent"), key=lambda case: found[case]["train"])
        row |= {"lambent_MiB": found["lambent"]["MiB"], "best_opponent_MiB": found[best]["MiB"]}
        rows.append(row)
    return rows


def alone(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows of lambent on one thread: time constants that are trained, and long samples with the same spikes."""
    cases = [("lambent-tau", SIZES[0]), *(("lambent", (steps, SIZES[0][1])) for steps in LONG)]
    options, rows = ("--repeats", args.repeats, *["--smoke"] * args.smoke), []
    for case, size in cases:
        measured(HERE, case, size, *options, threads=1)
        found = medians([measured(HERE, case, size, *options, threads=1) for _ in range(args.rounds)])
        row = {"case": case, "steps": size[0], "hidden": size[1], "train_ms": found["train"]}
        row |= {"us_a_step": 1e3 * found["train"] / size[0], "inference_ms": found["inference"], "MiB": found["MiB"]}
        rows.append(row)
    return rows


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


def against(checkout: Path, rounds: int) -> list[dict[str, Any]]:
    """Imports, compiling and steps of this checkout and of another, in turn."""
    trees = HERE, checkout

    def in_turn(measure: Callable[[Path], float]) -> tuple[float, ...]:
        found = [[measure(tree) for tree in trees] for _ in range(rounds)]
        return tuple(statistics.median(x) for x in zip(*found, strict=True))

    imports = in_turn(lambda tree: seconds(tree, IMPORT))
    rows: list[dict[str, Any]] = []
    for case in ("lambent", "lambent-tau"):
        program = COMPILE.replace("TAU", str(case == "lambent-tau"))
        first = in_turn(lambda tree, program=program: seconds(tree, program))
        for threads in (1, 2):

            def step(tree: Path, case: str = case, threads: int = threads) -> float:
                return measured(tree, case, SIZES[0], "--repeats", 15, threads=threads)["train"]

            for tree in trees:  # compiles
                step(tree)
            ms = in_turn(step)
            row = {"case": case, "on_threads": threads, "ratio": ms[0] / ms[1]}
            for name, pair in {"ms_per_batch": ms, "compile_s": first, "import_s": imports}.items():
                row |= {name: pair[0], f"other_{name}": pair[1]}
            rows.append(row)
    return rows


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="processes of each case")
    parser.add_argument("--repeats", type=int, default=7, help="steps timed in each; after 20 s one will do")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--chunk", type=int, default=20, help="steps per compiled block")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="another checkout to compare with")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, nargs=2, default=SIZES[0], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        spikes = 100 if args.smoke else 8000
        print(json.dumps(run(args.case, *args.size, spikes, args.repeats, args.chunk)))
        return
    if args.against:
        show("training_speed", against(args.against.resolve(), args.rounds))
        return
    sizes: tuple[tuple[int, int], ...] = SIZES
    if args.smoke:
        args.rounds, args.repeats, args.threads, sizes = 1, 1, [1], ((50, 16),)
    cases = itertools.product(sizes, args.threads)
    show("training_speed", [row for size, threads in cases for row in beside_opponents(size, threads, args)])
    if not args.smoke:
        show("training_speed, alone", alone(args))


if __name__ == "__main__":
    main()
