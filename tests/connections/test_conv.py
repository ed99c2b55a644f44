"""Convolutions and pools against those of torch, and against dense connections with the same weights."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

import lambent as lb
from lambent.connections import AvgPool2d, Conv1d, Conv2d, Dense, SumPool2d
from lambent.engines.exact import cpu as exact
from lambent.engines.grid import cpu as grid_cpu

DOUBLE = torch.float64

CONV2D = {
    "plain": ((1, 6, 7), 3, 3),
    "stride 2": ((2, 7, 8), 3, 3, 2),
    "stride past the kernel": ((2, 7, 8), 3, (1, 2), (3, 4)),
    "padding": ((2, 5, 6), 2, 3, 1, 2),
    "dilation": ((2, 9, 8), 3, (3, 2), (2, 1), (1, 0), (2, 3)),
    "groups": ((6, 5, 5), 4, 3, 2, 1, 1, 2),
    "depthwise": ((3, 5, 4), 6, 2, 1, 0, 1, 3),
    "1 x 1": ((4, 3, 3), 5, 1),
    "as large as the map": ((2, 3, 4), 5, (3, 4)),
    "one unit": ((1, 1, 1), 1, 1),
}
CONV1D = {
    "plain": ((2, 9), 3, 4),
    "everything": ((4, 20), 6, 5, 3, 2, 2, 2),
    "1": ((3, 4), 2, 1, 2),
}
POOL2D = {"plain": ((3, 6, 4), 2), "odd": ((2, 7, 5), (3, 2)), "overlapping": ((2, 7, 6), 3, 2, 1)}


def matrix(connections):
    """The weights of all connections, as dense ones have them."""
    source, target, weight, _ = connections.entries()
    assert (source.diff() >= 0).all()
    return weight.new_zeros(connections.n_in, connections.n_out).index_put((source, target), weight, accumulate=True)


def same_maps(connections, function):
    x = torch.randn(2, *connections.shape_in)
    y = function(x)
    assert y.shape[1:] == connections.shape_out
    assert torch.allclose(y.flatten(1), x.flatten(1) @ matrix(connections), atol=1e-5)


@pytest.mark.parametrize("case", CONV2D)
def test_conv2d_is_that_of_torch(case):
    made = Conv2d(*CONV2D[case])
    rest = (made.stride, made.padding, made.dilation, made.groups)
    same_maps(made, lambda x: functional.conv2d(x, made.weight, None, *rest))


@pytest.mark.parametrize("case", CONV1D)
def test_conv1d_is_that_of_torch(case):
    made = Conv1d(*CONV1D[case])
    rest = (made.stride, made.padding, made.dilation, made.groups)
    same_maps(made, lambda x: functional.conv1d(x, made.weight, None, *rest))


@pytest.mark.parametrize("case", POOL2D)
def test_pools_are_those_of_torch(case):
    made = AvgPool2d(*POOL2D[case])
    rest = (made.kernel, made.stride, made.padding)
    same_maps(made, lambda x: functional.avg_pool2d(x, *rest))
    same_maps(SumPool2d(*POOL2D[case]), lambda x: functional.avg_pool2d(x, *rest, divisor_override=1))


def events(n_in, seed=0, batch=3, rate=0.1):
    counts = torch.rand(batch, 30, n_in, generator=torch.Generator().manual_seed(seed)) < rate
    return lb.Events.from_dense(counts.int(), 1.0, DOUBLE, batch_first=True)


@pytest.mark.parametrize("engine", ["grid", "exact"])
@pytest.mark.parametrize("delays", [False, True])
@pytest.mark.parametrize("case", CONV2D)
def test_layers_are_dense_ones_with_the_same_weights(case, delays, engine):
    torch.manual_seed(0)
    made = Conv2d(*CONV2D[case])
    leaves = [torch.randn(made.parameter_shape, dtype=DOUBLE).mul(2).add(6).requires_grad_()]
    if delays:
        leaves.append((torch.rand(made.parameter_shape, dtype=DOUBLE) * 5).requires_grad_())
    made = made.with_values(weight=leaves[0], delay=leaves[1] if delays else None)
    source, target, weight, delay = made.entries()
    everywhere = weight.new_zeros(made.n_in, made.n_out)
    dense = Dense(made.n_in, made.n_out, everywhere.index_put((source, target), weight))
    if delays:
        dense = dense.with_values(delay=everywhere.index_put((source, target), delay))
    neuron = lb.Spiking(lb.neurons.LIF(threshold=0.7), made).double().neuron
    results = []
    for connections in (made, dense):
        x = events(made.n_in)
        x = lb.Events(x.times.requires_grad_(), x.units, x.offsets, x.n_units, x.duration)
        run, dt = (grid_cpu, 1.0) if engine == "grid" else (exact, None)
        out = run.spikes(x, neuron, connections, None, dt)
        loss = torch.sin(0.1 * out.times + out.units).sum() + (out.counts() ** 2).sum()
        results.append((out, torch.autograd.grad(loss, [x.times, *leaves])))
    (a, mine), (b, theirs) = results
    assert len(a.times) > 0
    assert torch.equal(a.units, b.units)
    assert torch.allclose(a.times, b.times)
    for one, other in zip(mine, theirs, strict=True):
        assert torch.allclose(one, other, rtol=1e-8, atol=1e-8 * float(other.abs().max()))


def test_gradients_in_continuous_time_are_those_of_finite_differences():
    torch.manual_seed(0)
    made = Conv2d((2, 4, 4), 2, 3, 2, 1)
    x = events(made.n_in, rate=0.05)
    neuron = lb.Spiking(lb.neurons.LIF(), made).double().neuron
    weight = (torch.rand(made.parameter_shape, dtype=DOUBLE) + 0.5).requires_grad_()
    delay = (torch.rand(made.parameter_shape, dtype=DOUBLE) * 3).requires_grad_()

    def times(weight, delay):
        return exact.spikes(x, neuron, made.with_values(weight=weight, delay=delay), None).times

    assert len(times(weight, delay)) > 20
    assert torch.autograd.gradcheck(times, (weight, delay), eps=1e-6, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "make", [lambda: Conv2d((2, 8, 8), 4, 3, 2, weight=None, delay=1.0), lambda: Conv1d((2, 40), 4, 7, 3)]
)
def test_weights_are_drawn_for_their_units(make):
    torch.manual_seed(0)
    made = make()
    assert made.is_drawn
    assert made.weight.std() * made.fan_in**0.5 == pytest.approx(1.0, abs=0.25)
    layer = lb.Spiking(lb.neurons.LIF(threshold=torch.linspace(1, 2, made.n_out)), made)
    peak = lb.neurons.LIF().peak(1.0)
    mean = torch.linspace(1, 2, made.n_out).view(4, -1).mean(1)  # of a channel's thresholds
    stds = layer.weight.flatten(1).std(1) * made.fan_in**0.5 * peak / 2
    assert torch.allclose(stds, mean, rtol=0.5)
    assert not Conv2d((1, 3, 3), 1, 3, weight=torch.ones(1, 1, 3, 3)).is_drawn


def test_a_pool_is_fixed_until_told_otherwise():
    x = lb.Events.from_dense((torch.rand(4, 30, 32) < 0.2).int(), 1.0, batch_first=True)
    layer = lb.Spiking(lb.neurons.LIF(), SumPool2d((2, 4, 4), 2))
    layer.reset_parameters()
    assert [n for n, _ in layer.named_parameters()] == []
    assert layer.weight == 1.0
    assert lb.Spiking(lb.neurons.LIF(), AvgPool2d((2, 4, 4), 2)).weight == 0.25
    layer.weight.requires_grad_()
    assert [n for n, _ in layer.named_parameters()] == ["weight"]
    with torch.no_grad():
        layer.weight.fill_(3.0)
    layer(x).times.sum().backward()
    conv = Conv2d((2, 4, 4), 2, 2, 2, groups=2, weight=torch.full((2, 1, 2, 2), 3.0))
    other = lb.Spiking(lb.neurons.LIF(), conv)
    other(x).times.sum().backward()
    assert layer.weight.grad == pytest.approx(other.weight.grad.sum().item(), rel=1e-4)


def test_calibration_brings_channels_there():
    torch.manual_seed(0)
    x = lb.Events.from_dense((torch.rand(20, 60, 64) < 0.03).int(), 1.0, batch_first=True)
    model = torch.nn.Sequential(
        lb.Spiking(lb.neurons.LIF(), Conv2d((1, 8, 8), 4, 3)),
        lb.Spiking(lb.neurons.LIF(), SumPool2d((4, 6, 6), 2)),
        lb.Spiking(lb.neurons.LIF(), Conv1d((4, 9), 3, 3), recurrent=Conv1d((3, 7), 3, 3, padding=1)),
    )
    lb.calibrate(model, x, 4.0)
    first = model[0](x)
    assert torch.allclose(first.counts().mean(0).view(4, -1).mean(1), torch.tensor(4.0), rtol=0.15)
    second = model[1](first)
    assert second.counts().mean().item() == pytest.approx(4.0, rel=0.2)
    assert model[2](second).counts().mean().item() == pytest.approx(4.0, rel=0.3)


def test_a_convolution_of_many_places_takes_memory_for_its_kernel_alone():
    layer = lb.Spiking(lb.neurons.LIF(), Conv2d((3, 500, 500), 16, 5))
    kept = sum(value.nbytes for value in layer.state_dict().values())
    assert kept == 4 * (16 * 3 * 5 * 5 + 3 * layer.out_features)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Conv2d((1, 28), 16, 5), ValueError, "shape_in must be 3 whole numbers, at least 1; got"),
        (lambda: Conv2d(784, 16, 5), TypeError, "shape_in must be 3 whole numbers, got 784"),
        (lambda: Conv2d((1, 0, 28), 16, 5), ValueError, "shape_in must be 3 whole numbers, at least 1"),
        (lambda: Conv2d((1, 9, 9), 1.5, 5), TypeError, "out_channels must be a whole number, got 1.5"),
        (lambda: Conv2d((1, 9, 9), 2, 10), ValueError, "kernel 10 is larger than the 9 by 9 that it moves over"),
        (lambda: Conv2d((1, 9, 9), 2, 3, dilation=5), ValueError, "kernel 3 is larger"),
        (lambda: Conv2d((1, 9, 9), 2, "3"), TypeError, "kernel must be a whole number or 2, got '3'"),
        (lambda: Conv2d((1, 9, 9), 2, (3, 3, 3)), ValueError, "kernel must be a whole number or 2, at least 1"),
        (lambda: Conv2d((1, 9, 9), 2, 3, stride=0), ValueError, "stride must be .* at least 1; got 0"),
        (lambda: Conv2d((1, 9, 9), 2, 3, padding=-1), ValueError, "padding must be .* at least 0; got -1"),
        (lambda: Conv2d((1, 9, 9), 2, 3, padding="same"), TypeError, "padding must be a whole number or 2"),
        (lambda: Conv2d((3, 9, 9), 2, 3, groups=3), ValueError, "out_channels must be a multiple of groups = 3, got 2"),
        (lambda: Conv2d((2, 9, 9), 3, 3, groups=3), ValueError, "channels of shape_in must be a multiple of groups"),
        (lambda: Conv2d((1, 9, 9), 2, 3, weight=torch.ones(2, 3, 3)), ValueError, "weight must have shape"),
        (lambda: Conv2d((1, 9, 9), 2, 3, delay=torch.ones(2)), ValueError, "delay must have shape"),
        (lambda: Conv1d((1, 9), 2, (3, 3)), ValueError, "kernel must be a whole number, at least 1"),
        (lambda: SumPool2d((1, 4), 2), ValueError, "shape_in must be 3 whole numbers"),
        (lambda: SumPool2d((1, 4, 4), 5), ValueError, "kernel 5 is larger"),
        (lambda: SumPool2d((1, 4, 4), 2, weight=[1.0, 2.0]), ValueError, "weight must be one number"),
        (
            lambda: lb.Spiking(lb.neurons.LIF(), Conv2d((1, 9, 9), 2, 3), Conv2d((1, 9, 9), 2, 3)),
            ValueError,
            "recurrent: connects 81 to 98 units, the layer has 98",
        ),
    ],
)
def test_wrong_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(("name", "value"), [("weight", float("nan")), ("delay", -1.0)])
def test_bad_values_are_named(name, value):
    layer = lb.Spiking(lb.neurons.LIF(), Conv2d((1, 4, 4), 2, 3, delay=1.0))
    with torch.no_grad():
        getattr(layer, name)[1, 0, 2, 1] = value
    with pytest.raises(ValueError, match=rf"{name} \[1, 0, 2, 1\] is {value}"):
        layer(lb.Events.from_lists([[1.0]], [[0]], 16, 9.0))
    pool = lb.Spiking(lb.neurons.LIF(), SumPool2d((1, 4, 4), 2))
    pool.weight.fill_(float("inf"))
    with pytest.raises(ValueError, match="weight of the pool is inf; it must be finite"):
        pool(lb.Events.from_lists([[1.0]], [[0]], 16, 9.0))


def test_empty_batches_and_silent_samples():
    for connections in (Conv2d((1, 4, 4), 2, 3, delay=1.0), Conv1d((2, 8), 2, 3), AvgPool2d((1, 4, 4), 2)):
        layer = lb.Spiking(lb.neurons.LIF(), connections)
        for lists in ([], [[]], [[], [1.0]]):
            out = layer(lb.Events.from_lists(lists, [[0] * len(x) for x in lists], 16, 9.0))
            assert len(out) == len(lists)
            if layer.weight.requires_grad:
                out.counts().sum().backward()
                assert torch.isfinite(layer.weight.grad).all()
