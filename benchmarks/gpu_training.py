"""Claim: on an H200 an epoch of the Heidelberg digits (8,156 words) takes under half a second.

Forward, backward and Adam of an 700-H(recurrent)-20 network on one second of 8,000 input spikes a sample, about 10
spikes per hidden unit; 1,000 steps of 1 ms or 500 of 2 ms; under `lambent.run_ahead`. Beside it, in the same run,

* the same step without it, which waits for the device (`waiting_ms`);
* the same network in PyTorch with surrogate gradients, dense, compiled in blocks of `--chunk` steps, matrix products
  in TF32, and once more with the whole step as one CUDA graph (`--baseline`; each size compiles for about a minute);
  `speedup` is over the faster of the two;
* the limit: the time that the rows of weights read and the rows of gradients added need at the bandwidth measured for
  such rows in the L2 cache, or what goes through memory at the bandwidth of a copy, whichever is longer;
* what putting a batch together on the device and augmenting it costs (blend, shift, jitter, drop).

What fails, as the baseline does where the device's memory is too small for it, is said in the column `failed`, and the
run goes on; rows are printed as they are measured. Where the package is not installed, put `src` on PYTHONPATH.

    python benchmarks/gpu_training.py [--hidden 256 512 1024] [--steps 1000 500] [--batch 32 128 256 512] [--baseline]
    python benchmarks/gpu_training.py --hidden 256 --steps 1000 --batch 256 --variants     # layouts of the kernels
    python benchmarks/gpu_training.py --hidden 256 --steps 1000 --batch 256 --profile      # where a step's time goes
    ncu --clock-control none -k regex:lif_ --set full python benchmarks/gpu_training.py --hidden 256 --steps 1000 \\
        --batch 256 --repeats 1
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

if "--smoke" in sys.argv:
    os.environ["TRITON_INTERPRET"] = "1"  # read when the kernels are defined

import torch

import lambent as lb
from _common import arguments, show
from bptt import BPTT
from gpu_limits import atomic_bandwidth, copy_bandwidth, row_bandwidth
from lambent import calibrate
from lambent.data import augment
from lambent.engines.grid import gpu as grid_gpu
from lambent.layers import spiking

INPUTS, OUT = 700, 20
COLUMNS = (
    "ms_per_batch", "s_per_epoch", "peak_MiB", "spikes_per_unit", "limit_ms", "over_limit", "waiting_ms",
    "batch_and_augment_ms",
)  # fmt: skip
BASELINE = ("bptt_ms", "bptt_graph_ms", "bptt_peak_MiB", "speedup")
SAMPLES = 8156  # of the Heidelberg digits' training set


def data(samples: int, spikes: int, duration: float) -> lb.data.SpikeDataset:
    """Random words."""
    g = torch.Generator().manual_seed(0)
    times = torch.sort(torch.rand(samples, spikes, generator=g) * (duration - 0.01), 1).values.flatten()
    units = torch.randint(0, INPUTS, (samples * spikes,), generator=g)
    offsets = torch.arange(samples + 1) * spikes
    arrays = (x.numpy() for x in (times, units, offsets, torch.arange(samples) % OUT))
    return lb.data.SpikeDataset(*arrays, INPUTS, duration, check=False)


def clock(work: Callable[[], Any], repeats: int, device: torch.device) -> tuple[float, float]:
    """Median time of `work` [ms] after two warm-up runs, and its peak of memory above the start [MiB]."""
    cuda, times, before = device.type == "cuda", [], 0
    for turn in range(repeats + 2):
        if cuda:
            torch.cuda.synchronize()
            before = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        work()
        if cuda:
            torch.cuda.synchronize()
        if turn >= 2:
            times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times), (torch.cuda.max_memory_allocated() - before) / 2**20 if cuda else 0.0


def trained(
    net: torch.nn.Module, forward: Callable[[], torch.Tensor], labels: torch.Tensor, ahead: bool
) -> Callable[[], None]:
    """One step of training as a function."""
    optimizer = torch.optim.Adam(net.parameters(), 1e-6, fused=labels.is_cuda, capturable=labels.is_cuda)

    def gradients() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(30 * forward(), labels).backward()

    def step() -> None:
        if ahead:
            lb.run_ahead(gradients)
        else:
            gradients()
        optimizer.step()

    return step


def captured(step: Callable[[], None]) -> Callable[[], None]:
    """A step that has run before as a CUDA graph."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def network(
    hidden: int, dt: float, events: lb.Events, spikes: float, delay: float | None = None
) -> torch.nn.Sequential:
    torch.manual_seed(0)
    layer = lb.LIF(INPUTS, hidden, recurrent=True, dt=dt, delay=delay)
    net = torch.nn.Sequential(layer, lb.LIReadout(hidden, OUT, dt=dt))
    net.to(events.device)
    calibrate(net, events[:32], spikes)
    return net


def limit(events: lb.Events, spikes: int, hidden: int, bandwidth: dict[str, float]) -> float:
    """The least time [ms] for the counted bytes: rows through the L2 cache, events through memory."""
    inputs, row = len(events.times), 4 * hidden
    read = (inputs + 2 * spikes) * row  # recurrent rows forward and backward
    added = (inputs + spikes) * row
    moved = 4 * (4 * inputs + 8 * spikes)  # times, steps and units; what the buffers take and give
    return 1e3 * max(read / bandwidth["rows"] + added / bandwidth["atomics"], moved / bandwidth["copy"])


@contextmanager
def recorded(row: dict[str, Any], what: str) -> Iterator[None]:
    """Write down in `row` what fails, and go on."""
    try:
        yield
    except Exception as error:
        message = str(error).strip().split("\n")[0]
        row["failed"] += f"{what}: {type(error).__name__}: {message[:60]}; "
    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # of what failed, or of the other opponent


def run(
    words: lb.data.DeviceDataset, hidden: int, steps: int, batch: int, args: argparse.Namespace,
    bandwidth: dict[str, float],
) -> dict[str, Any]:  # fmt: skip
    """One row of the table."""
    row: dict[str, Any] = {"hidden": hidden, "steps": steps, "batch": batch}
    row |= dict.fromkeys(COLUMNS + (BASELINE if args.baseline else ())) | {"failed": ""}
    device, dt = words.labels.device, words.duration / steps
    events, labels = words.batch(torch.arange(batch) % len(words))
    net = None
    with recorded(row, "lambent"):
        net = network(hidden, dt, events, args.spikes)
        with torch.no_grad():
            spikes = len(net[0](events).times)
        row["spikes_per_unit"] = spikes / batch / hidden
        forward = lambda: net[1](net[0](events))  # noqa: E731
        row["ms_per_batch"], row["peak_MiB"] = clock(trained(net, forward, labels, True), args.repeats, device)
        row["s_per_epoch"] = row["ms_per_batch"] * 1e-3 * SAMPLES / batch
        row["waiting_ms"], _ = clock(trained(net, forward, labels, False), args.repeats, device)
        if bandwidth:
            row["limit_ms"] = limit(events, spikes, hidden, bandwidth)
            row["over_limit"] = row["ms_per_batch"] / row["limit_ms"]
    with recorded(row, "augmentation"):
        mixed = augment.Compose(
            [augment.Blend(words, 0.5), augment.ShiftChannels(10), augment.JitterTimes(2.0), augment.Drop(0.1)]
        )
        g, chosen = torch.Generator(device).manual_seed(0), torch.randint(0, len(words), (batch,))
        row["batch_and_augment_ms"], _ = clock(lambda: mixed(*words.batch(chosen), g), args.repeats, device)
    if args.baseline and net is not None:
        with recorded(row, "baseline"):
            torch._dynamo.reset()  # which compiles a function for eight sizes and then no more
            dense = BPTT(INPUTS, hidden, OUT, dt=dt, chunk=args.chunk).to(device)
            dense.load_state_dict(
                {"weight": net[0].weight, "recurrent_weight": net[0].recurrent_weight, "readout": net[1].weight}
            )
            frames = events.to_dense(dt)
            step = trained(dense, lambda: dense(frames)[0], labels, False)
            row["bptt_ms"], row["bptt_peak_MiB"] = clock(step, args.repeats, device)
            row["speedup"] = row["bptt_ms"] / row["ms_per_batch"]
            if device.type == "cuda":  # the whole step as one graph, which nothing but fixed sizes allow
                row["bptt_graph_ms"], _ = clock(captured(step), args.repeats, device)
                row["speedup"] = min(row["bptt_ms"], row["bptt_graph_ms"]) / row["ms_per_batch"]
    return row


def variants(
    words: lb.data.DeviceDataset, hidden: int, steps: int, batch: int, args: argparse.Namespace
) -> list[dict[str, Any]]:
    """Times of forward and backward for other layouts of the kernels than the engine's own."""
    events, labels = words.batch(torch.arange(batch) % len(words))
    net = network(hidden, words.duration / steps, events, args.spikes)
    own, rows = grid_gpu._shape, []
    for columns, fetch in itertools.product((1, 2, 4, 8), (2, 4, 8, 16)):

        def shape(size: int, backward: bool = False, columns: int = columns, fetch: int = fetch) -> dict[str, int]:
            shape = own(size, backward)
            warps = min(max(shape["BLOCK"] // (32 * columns), 1), 32)
            return shape | {"FETCH": fetch, "num_warps": warps} if size == hidden else shape

        grid_gpu._shape = shape
        with torch.no_grad():
            forward, _ = clock(lambda: net[0](events), args.repeats, labels.device)
        out = net[0](events).counts().sum()
        backward, _ = clock(lambda out=out: out.backward(retain_graph=True), args.repeats, labels.device)
        rows.append({"columns": columns, "fetch": fetch, "forward_ms": forward, "backward_ms": backward})
    grid_gpu._shape = own
    return rows


def profile(words: lb.data.DeviceDataset, hidden: int, steps: int, batch: int, args: argparse.Namespace) -> None:
    """Print the time of every kernel in a step, with and without delays that are trained."""
    events, labels = words.batch(torch.arange(batch) % len(words))
    for delay in (None, 20.0):
        net = network(hidden, words.duration / steps, events, args.spikes, delay)
        step = trained(net, lambda net=net: net[1](net[0](events)), labels, True)
        ms, mebibytes = clock(step, args.repeats, labels.device)
        activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
        with torch.profiler.profile(activities=activities) as seen:
            for _ in range(5):
                step()
            torch.cuda.synchronize()
        print(f"delays up to {delay} ms: {ms:.2f} ms a step, {mebibytes:.0f} MiB; five steps:")
        print(seen.key_averages().table(sort_by="cuda_time_total", row_limit=18, max_name_column_width=48))


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--hidden", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--steps", type=int, nargs="+", default=[1000, 500])
    parser.add_argument("--batch", type=int, nargs="+", default=[32, 128, 256, 512])
    parser.add_argument("--spikes", type=float, default=10.0, help="per hidden unit and sample")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--baseline", action="store_true", help="time surrogate-gradient BPTT too")
    parser.add_argument("--chunk", type=int, default=20, help="steps per compiled block of the baseline")
    parser.add_argument("--variants", action="store_true", help="time layouts of the kernels instead")
    parser.add_argument("--profile", action="store_true", help="print where the time of a step goes instead")
    args = parser.parse_args()
    if args.smoke:  # in Triton's interpreter, on the CPU
        args.hidden, args.steps, args.batch, args.repeats, args.spikes = [4], [5], [1], 1, 0.5
        spiking.engine_for = lambda device, dt: grid_gpu
    elif not torch.cuda.is_available():
        parser.error("needs a CUDA device")
    torch.set_float32_matmul_precision("high")
    device = torch.device("cpu" if args.smoke else "cuda")
    words = lb.data.DeviceDataset(data(*((4, 60, 20.0) if args.smoke else (1024, 8000, 1000.0))), device)
    cases = itertools.product(args.hidden, args.steps, args.batch)
    if args.variants:
        for case in cases:
            show("gpu_training variants {}-{}-{}".format(*case), variants(words, *case, args))
        return
    if args.profile:
        for case in cases:
            profile(words, *case, args)
        return
    bandwidth = {} if args.smoke else {"copy": copy_bandwidth()}
    rows = []
    for hidden, steps, batch in cases:
        if bandwidth:
            bandwidth |= {"rows": row_bandwidth(INPUTS, hidden), "atomics": atomic_bandwidth(INPUTS, hidden)}
        rows.append(run(words, hidden, steps, batch, args, bandwidth))
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    name = "smoke" if args.smoke else torch.cuda.get_device_name()
    rates = ", ".join(f"{k} {v / 1e12:.2f} TB/s" for k, v in bandwidth.items())
    show(f"gpu_training on {name}; {rates}", rows)


if __name__ == "__main__":
    main()
