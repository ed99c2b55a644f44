"""`grid_gpu` against `reference`: in Triton's interpreter on the CPU, and compiled where there is a device."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from grid_cases import (
    CUDA,
    NAMES,
    OLD_TRITON,
    dense,
    operation_arguments,
    random_events,
    random_layer,
    run,
    run_voltages,
    same,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from test_every_kind import ON_GPU
from torch.nn.parallel import DistributedDataParallel

import lambent as lb
from lambent.connections import Conv2d
from lambent.engines import engine_for, reference
from lambent.neurons import LIF, Integrator

pytest.importorskip("triton", reason="needs Triton: pip install 'lambent[gpu]'")
from lambent.engines.grid import gpu as grid_gpu

KERNELS = ("spikes_forward", "spikes_backward", "levels_forward", "levels_backward")
BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def case(device, dtype, seed=3, size=5):
    """Events and a layer: tiny for the interpreter, which takes a millisecond an operation."""
    g = torch.Generator().manual_seed(seed)
    if device == "cpu" or dtype == torch.float32:  # of many spikes rounding moves some
        events = random_events(g, 3, 25, 7, 0.15, dtype=dtype)
        return events, random_layer(g, 7, size, dtype)
    events = random_events(g, 40, 200, 70, 0.03, dtype=dtype)
    return events, random_layer(g, 70, 40 * size, dtype, drive=0.7)


@pytest.mark.parametrize(
    ("dtype", "reset", "delays", "recurrent"),
    [
        (torch.float64, "zero", False, False),
        (torch.float64, "subtract", True, False),
        (torch.float64, "zero", True, True),
        (torch.float64, "subtract", "inputs", True),
        (torch.float64, "zero", "recurrent", True),
        (torch.float32, "zero", False, True),
        (torch.float32, "subtract", False, True),
        (torch.float32, "subtract", True, True),
    ],
)
def test_lif_equals_reference(device, dtype, reset, delays, recurrent):
    events, p = case(device, dtype)
    expected = run(reference, events, p, reset, delays, recurrent)
    assert len(expected[0].times) > 30
    assert expected[0].counts()[:, 0].sum() == 0
    same(expected, run(grid_gpu, events, p, reset, delays, recurrent, device=device), dtype)


@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    batch=st.integers(1, 4),
    steps=st.integers(1, 7),
    size=st.integers(1, 40),
    drive=st.sampled_from([0.0, 1.0, 4.0]),
    dt=st.sampled_from([1.0, 0.1, 2.0]),
    reset=st.sampled_from(["zero", "subtract"]),
    delays=st.booleans(),
    recurrent=st.booleans(),
)
def test_random_networks(seed, batch, steps, size, drive, dt, reset, delays, recurrent):
    if OLD_TRITON and not CUDA:
        pytest.skip("the interpreter of Triton 3.6 does not know numpy 2")
    g = torch.Generator().manual_seed(seed)
    events = random_events(g, batch, steps, 7, 0.2, dt)
    p = random_layer(g, 7, size, drive=drive)
    args = (events, p, reset, delays, recurrent, dt)
    same(run(reference, *args), run(grid_gpu, *args, device="cuda" if CUDA else "cpu"), torch.float64)


@pytest.mark.parametrize("dt", [1.0, 0.5])
def test_voltages_equal_reference(device, dt):
    g = torch.Generator().manual_seed(4)
    events = random_events(g, 3, 15, 6, 0.2, dt)
    p = random_layer(g, 6, 5)
    expected, got = run_voltages(reference, events, p, dt), run_voltages(grid_gpu, events, p, dt, device)
    for a, b in zip(expected, got, strict=True):
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-11)


def test_many_spikes_grow_the_buffers(device, monkeypatch):
    monkeypatch.setattr(grid_gpu, "_needed", {})
    monkeypatch.setattr(grid_gpu, "_SPIKES_PER_UNIT", 1)
    events, p = case(device, torch.float64)
    expected = run(reference, events, p, "zero", True, True)
    assert expected[0].counts().sum(1).max() > 2 * p["weight"].shape[1]
    for _ in range(2):  # the second time with buffers that fit
        same(expected, run(grid_gpu, events, p, "zero", True, True, device=device), torch.float64)
        (needed,) = grid_gpu._needed.values()
        assert needed >= expected[0].counts().sum(1).max()


def test_deterministic_mode_gives_equal_bits(device, monkeypatch):
    """Also with several samples a program; in this mode torch fills fresh memory with NaN."""
    monkeypatch.setattr(grid_gpu, "_COPIES", 2)
    events, p = case(device, torch.float32)
    torch.use_deterministic_algorithms(True)
    try:
        first, again = (run(grid_gpu, events, p, "zero", True, True, device=device) for _ in range(2))
    finally:
        torch.use_deterministic_algorithms(False)
    same(run(reference, events, p, "zero", True, True), first, torch.float32)
    assert torch.equal(first[0].times, again[0].times)
    assert all(torch.equal(first[1][k], again[1][k]) for k in NAMES)


def test_deterministic_mode_keeps_the_order_of_sums_of_shared_weights(device):
    """Spikes of one step add different numbers to one weight."""
    conv = Conv2d((1, 4, 4), 2, 3, weight=torch.rand(2, 1, 3, 3, generator=torch.Generator().manual_seed(0)) * 3)
    events = random_events(torch.Generator().manual_seed(1), 3, 12, 16, 0.3, dtype=torch.float32)

    def gradient(engine, device):
        weight = conv.weight.to(device).requires_grad_()
        neuron = LIF(*(torch.full((8,), x, device=device) for x in (20.0, 5.0, 1.0)))
        out = engine.spikes(events.to(device), neuron, conv.with_values(weight=weight), None, 1.0)
        torch.sin(out.times).sum().backward()
        return weight.grad.cpu()

    torch.use_deterministic_algorithms(True)
    try:
        first, again = (gradient(grid_gpu, device) for _ in range(2))
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(first, again)
    assert torch.allclose(first, gradient(reference, "cpu"), rtol=1e-4, atol=1e-4)


def test_nothing_comes_of_nothing(device):
    p = {k: v.to(device) for k, v in case(device, torch.float32)[1].items()}
    neuron = LIF(p["tau_mem"], p["tau_syn"], p["threshold"], min_slope=0.1)
    for batch in (0, 2):
        events = lb.Events.from_lists([[]] * batch, [[]] * batch, len(p["weight"]), 5.0).to(device)
        weight = p["weight"].clone().requires_grad_()
        out = grid_gpu.spikes(events, neuron, dense(weight), None, 1.0)
        assert out.offsets.tolist() == [0] * (batch + 1)
        (out.counts().sum() + out.times.sum()).backward()
        assert not weight.grad.any()
        assert grid_gpu.levels(events, Integrator(p["tau_mem"], p["tau_syn"]), dense(weight), 1.0).shape == (
            batch,
            5,
            weight.shape[1],
        )


def test_what_is_not_positive_is_named(device):
    events, p = case(device, torch.float32)
    p["threshold"][2] = float("nan")
    with pytest.raises(ValueError, match="threshold of unit 2 is nan"):
        run(grid_gpu, events, p, "zero", False, False, device=device)


def test_delays_beyond_the_end_never_arrive(device):
    events, p = case(device, torch.float64)
    events = events[[0]]
    p["delay"][0] = 1e9
    p["recurrent_delay"][1] = 30.0
    same(
        run(reference, events, p, "zero", True, True),
        run(grid_gpu, events, p, "zero", True, True, device=device),
        torch.float64,
    )
    for bad in (-1.0, float("nan")):
        p["delay"][3, 1] = bad
        with pytest.raises(ValueError, match="delay from unit 3 to unit 1 is"):
            run(grid_gpu, events, p, "zero", True, False, device=device)


def test_strided_units_are_read_as_they_are(device):
    g = torch.Generator().manual_seed(4)
    events = random_events(g, 2, 6, 6, 0.2)
    p = random_layer(g, 6, 5)
    strided = lb.Events(events.times, events.units.repeat_interleave(2)[::2], events.offsets, 6, events.duration)
    assert not strided.units.is_contiguous()
    expected, got = run_voltages(reference, events, p, 1.0), run_voltages(grid_gpu, strided, p, 1.0, device)
    assert torch.allclose(expected[0], got[0])


def test_operations_are_registered_properly(device):
    g = torch.Generator().manual_seed(7)
    events = random_events(g, 2, 4, 4, 0.3, dtype=torch.float32).to(device)
    p = {k: v.to(device) for k, v in random_layer(g, 4, 3, torch.float32, drive=9).items()}
    neuron, inputs = LIF(p["tau_mem"], p["tau_syn"], p["threshold"]), dense(3 * p["weight"], p["delay"] / 3)
    layer = operation_arguments(events, neuron, inputs, dense(p["recurrent"]), as_places=False)
    kinds, spikes, leaves, steps = layer
    args = (*kinds, *spikes, *leaves, steps, 1.0, [])
    found = torch.ops.lambent.spikes_grid_gpu(*args, [5], torch.tensor(True, device=device))[3][-1]
    assert 2 < found < 9
    for room in ([5], [5, 9]):
        torch.library.opcheck(torch.ops.lambent.spikes_grid_gpu, (*args, room, None))
    neuron = Integrator(p["tau_mem"], p["tau_syn"])
    kinds, spikes, leaves, steps = operation_arguments(events, neuron, dense(p["weight"]), as_places=False)
    torch.library.opcheck(torch.ops.lambent.levels_grid_gpu, (*kinds[:2], *spikes, *leaves[:2], steps))


def test_padding_does_not_depend_on_what_memory_held(device):
    g = torch.Generator().manual_seed(7)
    events = random_events(g, 2, 4, 4, 0.3, dtype=torch.float32).to(device)
    p = {k: v.to(device) for k, v in random_layer(g, 4, 3, torch.float32, drive=9).items()}
    neuron = LIF(p["tau_mem"], p["tau_syn"], p["threshold"])
    kinds, spikes, leaves, n_steps = operation_arguments(events, neuron, dense(p["weight"]), as_places=False)
    torch.use_deterministic_algorithms(True)  # fills new tensors with NaN and the largest integer
    try:
        out = torch.ops.lambent.spikes_grid_gpu(*kinds, *spikes, *leaves, n_steps, 1.0, [], [0, 9], None)
    finally:
        torch.use_deterministic_algorithms(False)
    times, _, units, offsets, steps, marks, *_ = out
    n_spikes = int(offsets[-1])
    assert 0 < n_spikes < 18 == len(times)
    assert not any(x[n_spikes:].any() for x in (times, steps, marks))
    assert units[n_spikes:].max() < 3


class Layer(torch.nn.Module):
    """A layer that runs on `grid_gpu` wherever its tensors are."""

    def __init__(self, p):
        super().__init__()
        self.weight = torch.nn.Parameter(p["weight"].clone())
        self.neuron = LIF(p["tau_mem"], p["tau_syn"], p["threshold"], min_slope=0.1)

    def forward(self, events):
        out = grid_gpu.spikes(events, self.neuron, dense(2 * self.weight), None, 1.0)
        return (out.counts() ** 2).sum() + torch.sin(out.times).sum()


def small(device):
    events, p = case(device, torch.float32)
    layer = Layer({k: v.to(device) for k, v in p.items()})
    events = events[[0, 1]].to(device)
    layer(events).backward()
    return layer, events


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # dynamo's own
def test_surrounding_code_can_be_compiled(device):
    layer, events = small(device)
    expected, layer.weight.grad = layer.weight.grad, None
    torch.compile(layer, backend="aot_eager")(events).backward()
    assert torch.allclose(layer.weight.grad, expected, rtol=1e-5)


def test_autocast_leaves_it_in_float32(device):
    layer, events = small(device)
    expected, layer.weight.grad = layer.weight.grad, None
    with torch.autocast(device, torch.bfloat16):
        out = layer(events)
    out.backward()
    assert torch.allclose(layer.weight.grad, expected, rtol=1e-5)
    with torch.autocast(device, torch.bfloat16):
        weight = torch.eye(len(layer.weight), device=device) @ layer.weight.detach()
        out = grid_gpu.spikes(events, layer.neuron, dense(weight), None, 1.0)
    assert weight.dtype is torch.bfloat16
    assert out.counts().dtype is torch.float32


def test_distributed_data_parallel(device, tmp_path):
    layer, events = small(device)
    expected, layer.weight.grad = layer.weight.grad, None
    backend = "nccl" if device == "cuda" else "gloo"
    torch.distributed.init_process_group(backend, f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        DistributedDataParallel(layer)(events).backward()
    finally:
        torch.distributed.destroy_process_group()
    assert torch.allclose(layer.weight.grad, expected, rtol=1e-5)


def driven_layer(size, recurrent, dtype, steps=300, batch=8):
    """A layer like those that are trained, and words for it; both on the CPU."""
    torch.manual_seed(0)
    delays = {"delay": 20 * torch.rand(700, size)} | ({"recurrent_delay": 2.0} if recurrent else {})
    layer = lb.LIF(700, size, recurrent=recurrent, tau_mem=torch.linspace(10, 40, size), **delays).to(dtype)
    layer.tau_mem.requires_grad_()
    events = random_events(torch.Generator().manual_seed(1), batch, steps, 700, 0.01, dtype=dtype)
    lb.calibrate(torch.nn.Sequential(layer), events[:8], steps / 60)
    return layer, events


@pytest.mark.gpu
@pytest.mark.skipif(not CUDA, reason="needs a CUDA device")
@pytest.mark.parametrize(
    ("size", "steps", "batch"), [(256, 300, 8), (1000, 300, 8), (4096, 100, 4), (32, 10_000, 3), (32, 20, 2000)]
)
def test_large_networks_equal_the_cpu(size, steps, batch):
    layer, events = driven_layer(size, True, torch.float64, steps, batch)
    results = []
    for device in ("cpu", "cuda"):
        layer.to(device).zero_grad()
        out = layer(events.to(device)).to("cpu")
        (torch.sin(out.times).sum() + (out.counts() ** 2).sum()).backward()
        results.append((out, {k: p.grad.to("cpu", copy=True) for k, p in layer.named_parameters() if p.requires_grad}))
    (expected, theirs), (out, ours) = results
    assert torch.equal(out.units, expected.units)
    assert torch.equal(out.times, expected.times)
    for name, grad in theirs.items():
        assert (ours[name] - grad).abs().max() <= 1e-8 * grad.abs().max(), name


@pytest.mark.gpu
@pytest.mark.skipif(not CUDA, reason="needs a CUDA device")
def test_rounding_moves_few_spikes(record_property):
    """In float32 rounding may decide a crossing: counted, without recurrence, which would multiply them."""
    layer, events = driven_layer(1000, False, torch.float32)
    expected = layer(events)
    out = layer.cuda()(events.to("cuda")).to("cpu")
    differences = int((out.to_dense(1.0) != expected.to_dense(1.0)).sum())
    record_property("differences", differences)
    assert differences <= 1e-4 * len(expected.times), f"{differences} of {len(expected.times)} spikes"


@pytest.mark.gpu
@pytest.mark.skipif(not CUDA, reason="needs a CUDA device")
@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("reduce", ["exp_mean", "max"])
def test_a_network_learns_on_the_device(reduce, deterministic):
    torch.manual_seed(0)
    net = torch.nn.Sequential(lb.LIF(6, 32, recurrent=True), lb.LIReadout(32, 3, reduce=reduce)).cuda()
    net[0].weight.data.abs_().mul_(2)
    events = random_events(torch.Generator().manual_seed(0), 12, 50, 6, 0.1, dtype=torch.float32).to("cuda")
    labels = (torch.arange(12) % 3).cuda()
    optimizer, losses = torch.optim.Adam(net.parameters(), 1e-2), []
    torch.use_deterministic_algorithms(deterministic)
    try:
        for _ in range(30):
            loss = lb.losses.readout_cross_entropy(net(events), labels, scale=30)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    finally:
        torch.use_deterministic_algorithms(False)
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.skipif(sys.platform != "linux", reason="Triton compiles on Linux")
def test_every_kernel_compiles(capsys):
    """As the engine launches it, for two devices, and for every kind of neuron and of connections."""
    compiled = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    commands = ([BENCHMARKS / "gpu_kernels.py", "--sizes", "256"], [Path(__file__).with_name("every_kind_compiles.py")])
    pipes = {"env": compiled, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    running = [subprocess.Popen([sys.executable, *command], **pipes) for command in commands]  # side by side
    outcomes = [process.communicate() for process in running]
    for process, (_, errors) in zip(running, outcomes, strict=True):
        assert process.returncode == 0, errors
    (table, _), (kinds, _) = outcomes
    with capsys.disabled():
        print("\n" + table[table.index("gpu_kernels (") :])
    assert len(kinds.splitlines()) == len(ON_GPU) + 7  # which name kernels that a process has not had before
    assert "; spikes_forward; spikes_backward\n" in kinds
    assert "; levels_forward; levels_backward\n" in kinds
    rows = [json.loads(line) for line in table.splitlines() if line.startswith("{")]
    assert {(row["kernel"], row["arch"]) for row in rows} == set(itertools.product(KERNELS, ("sm_80", "sm_90")))
    assert all(row["in_order"] == "yes" for row in rows if row["kernel"] == "spikes_forward")
    assert not any(row["stack_bytes"] for row in rows if row["case"] in ("recurrent", "dense"))


def test_a_missing_triton_is_announced(monkeypatch):
    monkeypatch.delattr("lambent.engines.grid.gpu")
    monkeypatch.setitem(sys.modules, "lambent.engines.grid.gpu", None)
    with pytest.raises(ImportError, match=r"lambent\[gpu\]"):
        engine_for(torch.device("cuda"), 1.0)


def test_cuda_tensors_get_this_engine():
    assert engine_for(torch.device("cuda"), 1.0) is grid_gpu
