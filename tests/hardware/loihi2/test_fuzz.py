"""Differential fuzz test: layers of every type against the second, slow implementation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lava_reference import NEURONS, RECORDINGS, between, random_any, run_layer_slowly
from test_netx import assert_same

from lambent.hardware.loihi2 import InputLayer, Loihi2Network, Recording, load_netx, save_netx

KINDS = [(kind, neuron) for kind in ("dense", "conv", "pool") for neuron in NEURONS]
KINDS += [("dense_rec", neuron) for neuron in ("CUBA", "SigmaDelta", "Sigma")]
KINDS += [("input", "CUBA"), ("input", "SigmaDelta")]


@st.composite
def cases(draw: Callable, kind: str) -> tuple[np.random.Generator, tuple[int, ...], bool, str]:
    """Random numbers, the shape of the input, whether values are extreme, and how spikes are valued."""
    image = kind in ("conv", "pool") or draw(st.booleans())
    shape = (
        (draw(st.integers(1, 4)), draw(st.integers(1, 5)), draw(st.integers(1, 5)))
        if image
        else (draw(st.integers(1, 9)),)
    )
    seed = draw(st.integers(0, 2**32 - 1))
    return np.random.default_rng(seed), shape, draw(st.booleans()), draw(st.sampled_from(["plain", "graded", "huge"]))


def values(rng: np.random.Generator, n: int, steps: int, valued: str) -> np.ndarray:
    high = {"plain": 1, "graded": 1000, "huge": 2**31 - 1}[valued]
    low = 0 if valued == "plain" else -high
    return rng.integers(low, high + 1, (n, steps)) * (rng.random((n, steps)) < rng.choice([0.1, 0.5, 1]))


def assert_run(run: Recording, i: int, expected: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    for name, got, wanted in zip(
        ("spikes", "current", "voltage"), (run.spikes, run.current, run.voltage), expected, strict=True
    ):
        np.testing.assert_array_equal(got[i][0], wanted, err_msg=name)


@pytest.mark.parametrize(("kind", "neuron"), KINDS)
def test_every_layer_equals_the_slow_one(kind: str, neuron: str, tmp_path: Path) -> None:
    """Runs bit for bit like the reference, and survives a round trip through a file."""

    @given(case=cases(kind))
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def check(case: tuple) -> None:
        rng, shape, extreme, valued = case
        layer = random_any(rng, kind, neuron, shape, extreme)
        driven = isinstance(layer, InputLayer)
        bits = 0 if driven or valued == "plain" else 32
        network = Loihi2Network(int(np.prod(shape)), [layer], in_shape=shape, message_bits=bits)
        steps = 12 if len(shape) == 3 else 70
        x = rng.integers(-900, 900, (network.n_in, steps)) if driven else values(rng, network.n_in, steps, valued)
        if driven and extreme:
            layer = dataclasses.replace(layer, gain=1, bias=0)
            network = dataclasses.replace(network, layers=[layer])
            x = between(rng, -(2**17) + 1, 2**17 - 1, [x.shape], extreme)
        expected = run_layer_slowly(layer, x * layer.gain + layer.bias if driven else x)
        assert_run(network.run(x[None]), 0, expected)
        save_netx(network, tmp_path / "a.net")
        assert_same(load_netx(tmp_path / "a.net"), network)

    check()


@given(
    seed=st.integers(0, 2**32 - 1),
    kinds=st.lists(st.sampled_from(KINDS[:-2]), min_size=2, max_size=4),
    first=st.sampled_from([None, "CUBA", "SigmaDelta"]),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_chains_equal_the_slow_layers(seed: int, kinds: list[tuple[str, str]], first: str | None) -> None:
    """What one layer sends, plain or graded, is what the next one takes."""
    rng = np.random.default_rng(seed)
    shape: tuple[int, ...] = (2, 4, 4)
    layers = [] if first is None else [random_any(rng, "input", first, shape, False)]
    for kind, neuron in kinds:
        image = len(shape) == 3
        layers.append(random_any(rng, kind if image else "dense", neuron, shape, False))
        shape = layers[-1].shape
    network = Loihi2Network(32, layers, in_shape=(2, 4, 4))
    x = rng.integers(0, 2, (32, 15))
    run = network.run(x[None])
    signal = x
    for i, layer in enumerate(layers):
        if isinstance(layer, InputLayer):
            signal = x * layer.gain + layer.bias
        expected = run_layer_slowly(layer, signal)
        assert_run(run, i, expected)
        signal = expected[0]


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda p: p.stem)
def test_the_slow_one_equals_lava(path: Path) -> None:
    """The reference itself, on the recordings (the first steps of the large ones)."""
    network, recorded = load_netx(path), np.load(path.with_suffix(".npz"))
    largest = max(network.n_in, *(layer.n_out for layer in network.layers))
    steps = 3 if largest > 500 else 8 if largest > 90 else 20
    signal = recorded["input"][:, :steps].astype(np.int64)
    for i, layer in enumerate(network.layers):
        driven = isinstance(layer, InputLayer)
        expected = run_layer_slowly(layer, signal * layer.gain + layer.bias if driven else signal)
        for name, states in zip("suv", expected, strict=True):
            if not (driven and name == "u"):  # Lava adds the input to the voltage
                np.testing.assert_array_equal(states, recorded[f"{name}_{i}"][:, :steps])
        signal = expected[0]
