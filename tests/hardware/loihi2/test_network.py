"""The chip model against Lava's recordings and against a second implementation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lava_reference import (
    LIMIT,
    RECORDINGS,
    decayed,
    dense_weights,
    random_any,
    random_layer,
    run_layer_slowly,
    wrapped,
)

from lambent import Events
from lambent.hardware.loihi2 import (
    CUBA,
    Average,
    ConvLayer,
    InputLayer,
    Loihi2Layer,
    Loihi2Network,
    Readout,
    ResonateAndFire,
    Sigma,
    SigmaDelta,
    load_lava,
    load_netx,
    save_lava,
    save_netx,
)
from lambent.hardware.loihi2.kernels import cuba

KERNEL = np.ones((1, 1, 2, 2), int)


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda p: p.stem)
def test_equals_lava(path: Path) -> None:
    network, recorded = load_netx(path), np.load(path.with_suffix(".npz"))
    run = network.run(recorded["input"][None])
    for i, layer in enumerate(network.layers):
        np.testing.assert_array_equal(run.spikes[i][0], recorded[f"s_{i}"])
        np.testing.assert_array_equal(run.voltage[i][0], recorded[f"v_{i}"])
        if not isinstance(layer, InputLayer):  # Lava adds an input to the voltage, which comes to the same
            np.testing.assert_array_equal(run.current[i][0], recorded[f"u_{i}"])


def test_recordings_are_there() -> None:
    assert len(RECORDINGS) >= 40


@pytest.mark.parametrize("extreme", [False, True])
@pytest.mark.parametrize("delay", ["none", "scalar", "in", "out", "synapse"])
@pytest.mark.parametrize("recurrent", [False, True])
def test_equals_second_implementation(recurrent: bool, delay: str, extreme: bool) -> None:
    for seed, (n_in, n_out, rate) in enumerate([(1, 1, 0.9), (7, 5, 0.4), (40, 13, 0.02), (5, 5, 0.5)]):
        layer = random_layer(seed, n_in, n_out, recurrent=recurrent, delay=delay, extreme=extreme)
        spikes = (np.random.default_rng(seed).random((n_in, 90)) < rate).astype(np.int8)
        run = Loihi2Network(n_in, [layer]).run(spikes[None])
        expected = run_layer_slowly(layer, spikes)
        for got, wanted in zip((run.spikes, run.current, run.voltage), expected, strict=True):
            np.testing.assert_array_equal(got[0][0], wanted)


@pytest.mark.parametrize(("interval", "offset"), [(1, 0), (7, 0), (7, 3), (30, 100), (1000, 0)])
def test_resets_at_intervals(interval: int, offset: int, tmp_path: Path) -> None:
    """Each layer a step after the one before it; what is on its way arrives; files keep it."""
    driven = InputLayer("layer/0", "input", (6,), neuron=CUBA(4096, 100, 60))
    layers = [driven, random_layer(0, 6, 5, recurrent=True, delay="synapse"), random_layer(1, 5, 4)]
    network = Loihi2Network(6, layers, reset_interval=interval, reset_offset=offset)
    values = np.random.default_rng(0).integers(-50, 90, (6, 90))
    run = network.run(values[None])
    sent = driven.mantissas(values)
    for i, layer in enumerate(layers):
        expected = run_layer_slowly(layer, sent, (interval, (offset + i) % interval))
        for got, wanted in zip((run.spikes, run.current, run.voltage), expected, strict=True):
            np.testing.assert_array_equal(got[i][0], wanted)
        sent = run.spikes[i][0]
    save_netx(network, tmp_path / "a.net")
    save_lava(network, tmp_path / "program")
    for read in (load_netx(tmp_path / "a.net"), load_lava(tmp_path / "program")):
        assert (read.reset_interval, read.reset_offset) == (interval, offset)
        np.testing.assert_array_equal(read.run(values[None]).voltage[-1], run.voltage[-1])
    assert load_netx(tmp_path / "a.net", reset_interval=5, reset_offset=2).reset_offset == 2


def test_wrong_resets(tmp_path: Path) -> None:
    layer = random_layer(0, 3, 2)
    for interval, offset, error, message in (
        (0, 0, ValueError, "reset_interval must be a whole number of steps from 1"),
        (-1, 0, ValueError, "reset_interval"),
        (3, -1, ValueError, "reset_offset must be a whole number of steps from 0"),
        (1 << 40, 0, ValueError, "reset_interval"),
        (2.0, 0, TypeError, "reset_interval"),
        (True, 0, TypeError, "reset_interval"),
        (2, "1", TypeError, "reset_offset"),
    ):
        with pytest.raises(error, match=message):
            Loihi2Network(3, [layer], reset_interval=interval, reset_offset=offset)  # type: ignore[arg-type]
    save_netx(Loihi2Network(3, [layer]), tmp_path / "a.net")
    with pytest.raises(ValueError, match=r"a\.net: reset_interval"):
        load_netx(tmp_path / "a.net", reset_interval=0)
    sigma = Loihi2Layer("layer/1", "dense", np.ones((2, 3), int), neuron=SigmaDelta(5))
    with pytest.warns(UserWarning, match="only CUBA units are reset, and those of layer/1 are none"):
        Loihi2Network(3, [sigma], reset_interval=3)


def test_mantissas_given_directly() -> None:
    """Without gain and bias of the input; images in the order of their shape, or flat."""
    units = InputLayer("layer/0", "input", (1, 2, 3), gain=7, bias=-3, neuron=CUBA(4096, 100, 60))
    network = Loihi2Network(6, [units, random_layer(1, 6, 4)], readout=Readout("mean", np.ones(4)))
    x = np.random.default_rng(0).normal(0, 9, (2, 1, 2, 3, 20))
    m = units.mantissas(x)
    wanted = network.run(x)
    for own in (m, torch.as_tensor(m), m.reshape(2, 6, 20)):
        np.testing.assert_array_equal(network.run(own, mantissas=True).voltage[1], wanted.voltage[1])
    np.testing.assert_array_equal(network.logits(m, mantissas=True), network.logits(x))
    assert network.run(m[:0], mantissas=True).spikes[0].shape == (0, 6, 20)
    for bad, error, message in (
        (x, TypeError, "mantissas must be integers, got float64"),
        (m * 2**20, ValueError, r"mantissas must lie within \+-131071"),
        (m[:, :, :, :2], ValueError, r"mantissas must be \(batch, 6, steps\)"),
        (Events.from_lists([[1.0]], [[0]], 6, 5.0), TypeError, "got Events"),
    ):
        with pytest.raises(error, match=message):
            network.run(bad, mantissas=True)
    plain = Loihi2Network(6, [random_layer(1, 6, 4)])
    with pytest.raises(ValueError, match="mantissas: are for units of the input"):
        plain.run(np.ones((1, 6, 3), int), mantissas=True)


def test_axes_that_were_swapped_are_named() -> None:
    events = Events.from_lists([[1.0]], [[0]], 6, 5.0)
    with pytest.raises(ValueError, match=r"spikes must be \(batch, 6, steps\), got shape \(1, 5, 6\): steps come last"):
        Loihi2Network(6, [random_layer(1, 6, 4)]).run(events.to_dense(1.0).int())


def test_every_layer_runs_the_same_compiled_kernel() -> None:
    small = Loihi2Layer("layer/1", "dense", np.full((2, 3), 127), v_th_mant=9)
    for layer in (
        random_layer(0, 1, 1, recurrent=True, delay="in"),
        random_layer(1, 5, 1),
        random_layer(2, 1, 4),
        small,
    ):
        Loihi2Network(layer.n_in, [layer]).run(np.ones((1, layer.n_in, 3), np.int8))
    assert len(cuba.run.signatures) == 2, "weights of 8 bits and of more"


def test_extreme_layers_do_wrap_and_clip() -> None:
    layer = random_layer(2, 40, 13, extreme=True)
    spikes = np.ones((1, 40, 200), np.int8)
    run = Loihi2Network(40, [layer]).run(spikes)
    assert (np.abs(np.diff(run.current[0].astype(np.int64))) > LIMIT).any()
    assert (np.abs(run.voltage[0]) == LIMIT - 1).any()


@given(x=st.integers(-LIMIT, LIMIT), decay=st.integers(0, 4096))
@settings(deadline=None)
def test_decay_rounds_toward_zero(x: int, decay: int) -> None:
    assert cuba.decayed(np.int32(x), np.int32(4096 - decay)) == decayed(x, decay)


@pytest.mark.parametrize(
    ("before", "weight", "expected"),
    [
        (LIMIT - 64, 1, LIMIT),
        (LIMIT - 64, 2, -LIMIT + 64),
        (-LIMIT + 128, -1, -LIMIT + 64),
        (-LIMIT + 64, -1, LIMIT),
    ],
)
def test_current_at_the_edge(before: int, weight: int, expected: int) -> None:
    """A current of exactly 2^23 stays; one step further, or exactly -2^23, turns over, as in Lava."""
    assert wrapped(before + 64 * weight) == expected
    n_ramp, sign = 4096, 1 if before > 0 else -1
    left = (abs(before) // 64) % 32
    weights = np.full((1, n_ramp + 2), 0)
    weights[0, : abs(before) // 64 // 32] = 32 * sign
    weights[0, n_ramp], weights[0, n_ramp + 1] = left * sign, weight
    spikes = np.zeros((1, n_ramp + 2, 3), np.int8)
    spikes[0, : n_ramp + 1, 0] = 1
    spikes[0, n_ramp + 1, 1] = 1
    layer = Loihi2Layer("layer/1", "dense", weights, v_decay=4096, v_th_mant=131072)
    run = Loihi2Network(n_ramp + 2, [layer]).run(spikes)
    assert run.current[0][0, 0].tolist() == [0, before, expected]


def _network(seed: int = 0) -> Loihi2Network:
    layers = [random_layer(seed, 30, 20, recurrent=True, delay="in"), random_layer(seed + 1, 20, 4)]
    return Loihi2Network(30, layers, readout=Readout("mean", np.ones(4)))


def _random_events(batch: int = 5, n_units: int = 30, duration: float = 60.0) -> Events:
    generator = torch.Generator().manual_seed(3)
    times, units = [], []
    for b in range(batch):
        n = 0 if b == 1 else 150
        times.append((torch.rand(n, generator=generator) * duration).sort().values)
        units.append(torch.randint(n_units, (n,), generator=generator))
    return Events.from_lists(times, units, n_units, duration)


@pytest.mark.parametrize("dt", [1.0, 0.7, 2.5])
def test_events_equal_dense(dt: float) -> None:
    events, network = _random_events(), _network()
    network = Loihi2Network(30, network.layers, dt=dt)
    dense = events.to_dense(dt).transpose(1, 2).to(torch.int32)
    assert (dense > 1).any(), "no step with two spikes of a unit: the test shows less than it should"
    a, b = network.run(events), network.run(dense)
    c = network.run((dense > 0).numpy())
    for name in ("spikes", "current", "voltage"):
        for x, y, z in zip(getattr(a, name), getattr(b, name), getattr(c, name), strict=True):
            np.testing.assert_array_equal(x, y)
            np.testing.assert_array_equal(x, z)


def test_batch_equals_one_by_one_and_threads_do_not_matter() -> None:
    events, network = _random_events(), _network()
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        together = network.run(events)
        torch.set_num_threads(1)
        alone = network.run(events)
    finally:
        torch.set_num_threads(before)
    for i in range(2):
        np.testing.assert_array_equal(together.voltage[i], alone.voltage[i])
        np.testing.assert_array_equal(together.spikes[i], alone.spikes[i])
        for b in range(len(events)):
            np.testing.assert_array_equal(together.voltage[i][b], network.run(events[b]).voltage[i][0])
    assert together.spikes[0].any()
    assert together.spikes[0].shape == (5, 20, 60)


def test_more_spikes_than_the_buffer_starts_with() -> None:
    layer = Loihi2Layer("layer/1", "dense", np.full((6, 1), 5), bias=9, v_th_mant=1)
    run = Loihi2Network(1, [layer]).run(np.zeros((1, 1, 500), np.int8))
    assert run.spikes[0].all()


def test_record_allocates_only_what_it_names() -> None:
    run = _network().run(_random_events(), record=("voltage",))
    assert run.spikes == ()
    assert run.current == ()
    assert [v.shape for v in run.voltage] == [(5, 20, 60), (5, 4, 60)]
    assert _network().run(_random_events(), record=()).voltage == ()


@pytest.mark.parametrize(
    ("spikes", "record", "error", "message"),
    [
        (np.zeros((1, 30, 4)), (), TypeError, "integers or bool"),
        (np.zeros((30, 4), np.int8), (), ValueError, r"\(batch, 30, steps\)"),
        (np.zeros((1, 29, 4), np.int8), (), ValueError, r"\(batch, 30, steps\)"),
        (np.zeros((1, 30, 0), np.int8), (), ValueError, r"\(batch, 30, steps\)"),
        (np.full((1, 30, 4), -1), (), ValueError, "negative"),
        (np.zeros((1, 30, 4), np.int8), ("u",), ValueError, "record must list"),
        (np.zeros((1, 30, 4), np.int8), "spikes", ValueError, "record must list"),
        (_random_events(n_units=31), (), ValueError, "31 units"),
    ],
)
def test_refuses_bad_input(spikes: object, record: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        _network().run(spikes, record=record)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "conv"}, "layer/1/type: .*'conv'"),
        ({"weight": np.zeros(3, int)}, "layer/1/weight: must be"),
        ({"weight": np.full((3, 2), 300)}, "layer/1/weight: 300 is outside"),
        ({"weight": np.array([[255, -1]] * 3)}, "layer/1/weight: 255 is outside -256 to 254"),
        ({"weight": np.full((3, 2), -256)}, "layer/1/weight: -256 is outside -255 to 255"),
        ({"weight_rec": np.zeros((3, 3), int)}, "layer/1/weight_rec: must be there for dense_rec"),
        ({"kind": "dense_rec"}, "layer/1/weight_rec: must be there"),
        ({"kind": "dense_rec", "weight_rec": np.zeros((3, 2), int)}, "layer/1/weight_rec: must be"),
        ({"bias": np.zeros(2, int)}, "layer/1/bias: must be"),
        ({"bias": 2**17}, "layer/1/bias: 131072 is outside"),
        ({"delay": 63}, "layer/1/delay: 63 is outside"),
        ({"delay": np.array([0, -1])}, "layer/1/delay: -1 is outside"),
        ({"delay": np.zeros((2, 3), int)}, "layer/1/delay: must be"),
        ({"i_decay": 4097}, "layer/1/neuron/iDecay: 4097 is outside"),
        ({"v_decay": -1}, "layer/1/neuron/vDecay: -1 is outside"),
        ({"v_th_mant": 2**18}, "layer/1/neuron/vThMant: 262144 is outside"),
    ],
)
def test_refuses_bad_layers(changes: dict, message: str) -> None:
    values = {"name": "layer/1", "kind": "dense", "weight": np.ones((3, 2), int), **changes}
    with pytest.raises(ValueError, match=message):
        Loihi2Layer(**values)


def test_refuses_floats() -> None:
    with pytest.raises(TypeError, match="layer/1/weight: must be integers"):
        Loihi2Layer("layer/1", "dense", np.ones((3, 2)))


def test_refuses_layers_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="layer/1/weight: takes 20 inputs, but gets 21"):
        Loihi2Network(30, [random_layer(0, 30, 21), random_layer(1, 20, 4)])
    with pytest.raises(ValueError, match="at least one layer"):
        Loihi2Network(30, [])
    with pytest.raises(ValueError, match="dt must be"):
        Loihi2Network(30, [random_layer(0, 30, 21)], dt=0.0)
    with pytest.raises(ValueError, match="readout: scale for 3 units"):
        Loihi2Network(30, [random_layer(0, 30, 21)], readout=Readout("mean", np.ones(3)))


def test_layers_keep_their_own_read_only_copy() -> None:
    weight = np.ones((3, 2), np.int32)
    layer = Loihi2Layer("layer/1", "dense", weight)
    weight[0, 0] = 7
    assert layer.weight[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        layer.weight[0, 0] = 2


@pytest.mark.parametrize("reduce", ["mean", "exp_mean", "max", "last", "none"])
def test_readout_reductions(reduce: str) -> None:
    voltage = np.random.default_rng(0).integers(-1000, 1000, (3, 4, 25))
    scale = np.array([1.0, 2.0, 4.0, 8.0])
    v = voltage / scale[:, None]
    n = np.arange(25)
    expected = {
        "mean": v.sum(2) / 25,
        "exp_mean": (v * np.exp(-n / 25)).sum(2) / 25,
        "max": v.max(2),
        "last": v[:, :, 24],
        "none": v.transpose(0, 2, 1),
    }[reduce]
    np.testing.assert_allclose(Readout(reduce, scale).logits(voltage), expected, rtol=1e-12)


def test_logits_in_chunks() -> None:
    network, events = _network(), _random_events()
    whole = network.readout.logits(network.run(events).voltage[-1])
    for chunk in (1, 2, 64):
        np.testing.assert_array_equal(network.logits(events, chunk=chunk), whole)
    dense = (events.to_dense(1.0) > 0).transpose(1, 2)
    np.testing.assert_array_equal(network.logits(dense, chunk=3), whole)
    with pytest.raises(ValueError, match="no readout"):
        Loihi2Network(30, network.layers).logits(events)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sum", np.ones(2)), "reduce must be one of"),
        (("mean", np.array([1.0, 0.0])), "scale must be"),
        (("mean", np.array([1.0, np.nan])), "scale must be"),
        (("mean", 1.0), "scale must be"),
        (("mean", np.ones(2), ("a",)), "1 labels for 2"),
    ],
)
def test_refuses_bad_readouts(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Readout(*arguments)
    with pytest.raises(ValueError, match="voltage must be"):
        Readout("mean", np.ones(2)).logits(np.zeros((1, 3, 5)))


def test_shapes_follow_from_the_first_layer() -> None:
    layer = ConvLayer("layer/1", "conv", np.ones((2, 1, 2, 2), int), (1, 3, 3))
    network = Loihi2Network(9, [layer])
    assert (network.in_shape, layer.shape, network.n_out) == ((1, 3, 3), (2, 2, 2), 8)
    image = np.random.default_rng(0).integers(0, 2, (2, 1, 3, 3, 4))
    flat = network.run(image.reshape(2, 9, 4))
    np.testing.assert_array_equal(network.run(image).voltage[0], flat.voltage[0])
    with pytest.raises(ValueError, match=r"in_shape: \(3, 4\) are not 9 units"):
        Loihi2Network(9, [layer], in_shape=(3, 4))
    with pytest.raises(ValueError, match=r"layer/1: takes units of shape \(1, 3, 3\), but gets \(9, 1, 1\)"):
        Loihi2Network(9, [layer], in_shape=(9, 1, 1))


def test_synapses_are_those_of_the_reference() -> None:
    rng = np.random.default_rng(0)
    for kind in ("dense", "conv", "pool"):
        for _ in range(20):
            layer = random_any(rng, kind, "CUBA", (2, 5, 4), extreme=False)
            np.testing.assert_array_equal(layer.synapses().toarray(), dense_weights(layer, layer.weight))


def test_graded_input() -> None:
    layer = Loihi2Layer("layer/1", "dense", np.array([[3]]), i_decay=4096, v_decay=4096, v_th_mant=1000)
    network = Loihi2Network(1, [layer], message_bits=4)
    run = network.run(np.array([[[5, -15, 0, 2]]]))
    assert run.current[0][0, 0].tolist() == [0, 64 * 15, -64 * 45, 0]
    events = Events.from_lists([torch.tensor([0.1, 0.2, 0.7, 2.5])], [torch.zeros(4, dtype=torch.int32)], 1, 4.0)
    assert network.run(events).current[0][0, 0].tolist() == [0, 64 * 9, 0, 64 * 3]
    with pytest.raises(ValueError, match=r"graded spikes of 4 bits must lie within \+-15"):
        network.run(np.array([[[16]]]))
    with pytest.raises(ValueError, match="message_bits must be"):
        Loihi2Network(1, [layer], message_bits=33)


def test_numbers_for_input_units() -> None:
    units = InputLayer("layer/0", "input", (1,), 10, bias=-4, neuron=CUBA(4096, 4096, 1000))
    network = Loihi2Network(1, [units])
    run = network.run(np.array([[[0.0, 1.0, 0.49, 0.4, 0.31]]]))
    assert (run.current[0][0, 0] // 64).tolist() == [-4, 6, 0, 0, 0], "mantissas are cut toward zero"
    for bad in (np.nan, np.inf, 1e9, -20000.0):
        with pytest.raises(ValueError, match="layer/0: 10 x - 4 must be finite and within"):
            network.run(np.array([[[bad]]]))
    with pytest.raises(ValueError, match="message_bits: an input layer with units"):
        Loihi2Network(1, [units], message_bits=8)
    with pytest.raises(ValueError, match="layer/0/type: only the first layer can be an input"):
        Loihi2Network(1, [units, units])


def test_average() -> None:
    spikes = np.random.default_rng(0).integers(0, 2, (3, 6, 9))
    scores = Average(2).logits(spikes)
    np.testing.assert_allclose(scores[:, 1], spikes[:, 3:].mean((1, 2)))
    layer = random_layer(3, 5, 6)
    network, x = Loihi2Network(5, [layer], readout=Average(3)), np.random.default_rng(1).integers(0, 2, (4, 5, 30))
    np.testing.assert_array_equal(network.logits(x), Average(3).logits(network.run(x).spikes[0]))
    for make in (lambda: Average(0), lambda: Average(2).logits(spikes[:, :5]), lambda: Average(4).check(6)):
        with pytest.raises(ValueError, match="group"):
            make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: InputLayer("l", "dense", (3,)), "l/type: must be input"),
        (lambda: InputLayer("l", "input", ()), "l/shape: .* is no shape"),
        (
            lambda: InputLayer("l", "input", (3,), neuron=Sigma()),
            "l/neuron/type: an input cannot have units of type Sigma",
        ),
        (lambda: ConvLayer("l", "dense", KERNEL, (1, 3, 3)), "l/type: must be conv or pool"),
        (lambda: ConvLayer("l", "conv", KERNEL, (9,)), "l: the layer before must be"),
        (lambda: ConvLayer("l", "conv", KERNEL, (1, 3, 3), neuron=ResonateAndFire()), "l/weight/imag: must be there"),
        (lambda: ConvLayer("l", "pool", KERNEL, (1, 3, 3), groups=1, stride=[1, 2, 3]), "l/stride: must be"),
        (lambda: Loihi2Layer("l", "dense", KERNEL[0, 0], weight_imag=KERNEL[0, 0]), "l/weight/imag: must be there"),
        (
            lambda: Loihi2Layer("l", "dense", KERNEL[0, 0], neuron=SigmaDelta(), i_decay=4),
            "give either neuron or i_decay",
        ),
        (lambda: Loihi2Layer("l", "dense", KERNEL[0, 0], neuron=Sigma(), bias=4), "l/bias: has no meaning"),
        (lambda: SigmaDelta(message_bits=0), "message_bits must be"),
    ],
)
def test_refuses_bad_layers_of_other_kinds(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_layer_can_be_copied_with_changes() -> None:
    layer = random_layer(0, 4, 3)
    copy = dataclasses.replace(layer, weight=layer.weight // 2)
    np.testing.assert_array_equal(copy.v_decay, layer.v_decay)
    np.testing.assert_array_equal(copy.neuron.i_decay, layer.i_decay)
    with pytest.raises(ValueError, match="give either neuron or v_th_mant"):
        dataclasses.replace(layer, v_th_mant=77)


def test_units_that_were_meant_never_to_spike_and_do_are_told() -> None:
    """Exporters write 2^16 for "never", which voltages of up to 2^23 reach."""
    layers = [Loihi2Layer("layer/1", "dense", np.full((2, 3), 254), i_decay=0, v_decay=0, v_th_mant=1 << 16)]
    network = Loihi2Network(3, layers)
    assert not network.run(np.zeros((1, 3, 20), np.int8), ("spikes",)).spikes[0].any()
    with pytest.warns(UserWarning, match=r"layer/1: units that were meant never to spike did"):
        assert network.run(np.ones((1, 3, 60), np.int8), ("spikes",)).spikes[0].any()
