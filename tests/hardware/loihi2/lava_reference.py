"""The chip model a second time, slow and obvious, and helpers shared by the tests."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np

from lambent.hardware.loihi2 import (
    CUBA,
    ConvLayer,
    InputLayer,
    Layer,
    Loihi2Layer,
    Neuron,
    ResonateAndFire,
    Sigma,
    SigmaDelta,
)

RECORDINGS = sorted((Path(__file__).parent / "recordings").glob("*.net"))
"""Networks that Lava has run; what it computed lies beside each, under the same name with .npz."""

LIMIT = 2**23


def decayed(x: int, decay: int) -> int:
    size = abs(x) * (4096 - decay) // 4096
    return -size if x < 0 else size


def wrapped(x: int) -> int:
    """Folded into (-2^23, 2^23], once."""
    if x > LIMIT:
        return x - 2 * LIMIT
    return x + 2 * LIMIT if x <= -LIMIT else x


def signed(x: int, bits: int) -> int:
    """The two's complement of `bits` bits."""
    return (x + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)


def clipped(x: int) -> int:
    return max(-LIMIT + 1, min(LIMIT - 1, x))


def dense_weights(layer: Layer, weight: np.ndarray) -> np.ndarray:
    """(n_out, n_in), synapse by synapse."""
    if isinstance(layer, Loihi2Layer):
        return weight.astype(np.int64)
    assert isinstance(layer, ConvLayer)
    (c_out, h_out, w_out), (c_in, h_in, w_in) = layer.shape, layer.in_shape
    (sy, sx), (py, px), (dy, dx) = layer.stride, layer.padding, layer.dilation
    matrix = np.zeros((c_out, h_out, w_out, c_in, h_in, w_in), np.int64)
    for o, i, ky, kx in product(range(c_out), range(c_in), *map(range, weight.shape[2:])):
        if layer.kind == "pool":
            w = weight[0, 0, ky, kx] if o == i else 0
        else:
            same_group = o // (c_out // layer.groups) == i // (c_in // layer.groups)
            w = weight[o, i % (c_in // layer.groups), ky, kx] if same_group else 0
        for y, x in product(range(h_out), range(w_out)):
            at = y * sy - py + ky * dy, x * sx - px + kx * dx
            if 0 <= at[0] < h_in and 0 <= at[1] < w_in:
                matrix[o, y, x, i, at[0], at[1]] += w
    return matrix.reshape(layer.n_out, layer.n_in)


def dense_delays(layer: Layer) -> np.ndarray:
    """(n_out, n_in)."""
    if isinstance(layer, Loihi2Layer):
        delay = np.asarray(layer.delay)
        per_output = delay.shape == (layer.n_out,)
        return np.array(
            [
                [
                    delay[j] if per_output else np.broadcast_to(delay, (layer.n_out, layer.n_in))[j, i]
                    for i in range(layer.n_in)
                ]
                for j in range(layer.n_out)
            ]
        )
    return np.broadcast_to(by_unit(layer, layer.delay)[:, None], (layer.n_out, layer.n_in))


def by_unit(layer: Layer, value: np.ndarray | int) -> np.ndarray:
    """(n_out,) of one value, one per channel or one per unit."""
    value = np.asarray(value)
    if value.ndim and len(value) != layer.n_out:
        return np.array([value[j // (layer.n_out // len(value))] for j in range(layer.n_out)])
    return np.broadcast_to(value, (layer.n_out,))


def run_layer_slowly(
    layer: Layer, given: np.ndarray, reset: tuple[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spikes (or values sent), current and voltage (n_out, steps), in unbounded integers.

    `given` (n_in, steps) are spikes, their values or, for an input layer, mantissas. With `reset`, (interval, phase),
    units start from 0 in every step t for which t % interval is the phase.
    """
    steps, n_out = given.shape[1], layer.n_out
    out, current, voltage = (np.zeros((n_out, steps), np.int64) for _ in range(3))
    parts = [] if isinstance(layer, InputLayer) else [layer.weight]
    if isinstance(layer.neuron, ResonateAndFire):
        parts.append(layer.weight_imag)
    weights = [dense_weights(layer, w) for w in parts]
    delays = None if isinstance(layer, InputLayer) else dense_delays(layer)
    bits = 24 if isinstance(layer, ConvLayer) and layer.wraps else 32
    states = [dict.fromkeys(("u", "v", "sigma", "act", "residue"), 0) for _ in range(n_out)]
    for t in range(steps):
        if reset is not None and t % reset[0] == reset[1]:
            states = [dict.fromkeys(state, 0) for state in states]
        for j in range(n_out):
            a = [int(given[j, t])] if delays is None else []
            for w in weights:
                total = 0
                for i in w[j].nonzero()[0]:
                    sent = t - 1 - int(delays[j, i])
                    if sent >= 0 and given[i, sent]:
                        total += int(w[j, i]) * int(given[i, sent])
                if getattr(layer, "weight_rec", None) is not None:
                    for i in range(n_out):
                        delay = np.asarray(layer.delay_rec)
                        sent = (
                            t - 1 - int(delay[j] if delay.ndim == 1 else np.broadcast_to(delay, (n_out, n_out))[j, i])
                        )
                        if sent >= 0:
                            total += int(layer.weight_rec[j, i]) * int(out[i, sent])
                a.append(signed(signed(total, 32), bits))
            out[j, t], current[j, t], voltage[j, t] = _step(layer, j, states[j], a)
    return out, current, voltage


def _step(layer: Layer, j: int, state: dict[str, int], a: list[int]) -> tuple[int, int, int]:
    """One unit for one step: what it sends and the two states recorded of it."""
    neuron, driven = layer.neuron, isinstance(layer, InputLayer)
    p = {name: int(by_unit(layer, getattr(neuron, name))[j]) for name in neuron.ranges}
    bias = 0 if driven else int(by_unit(layer, layer.bias)[j])
    if isinstance(neuron, CUBA):
        state["u"] = wrapped(signed(decayed(state["u"], p["i_decay"]) + 64 * a[0], 32))
        state["v"] = clipped(signed(decayed(state["v"], p["v_decay"]) + state["u"] + 64 * bias, 32))
        fires = state["v"] > 64 * p["v_th_mant"]
        if fires:
            state["v"] = 0
        return int(fires), state["u"], state["v"]
    if isinstance(neuron, ResonateAndFire):
        sin, cos, re, im = p["sin_decay"], p["cos_decay"], state["u"], state["v"]

        def part(x: int) -> int:
            return -(-x // 4096) if x < 0 else x // 4096

        state["u"] = clipped(part(cos * re) - part(sin * im) + signed(64 * a[0], 32))
        state["v"] = clipped(part(sin * re) + part(cos * im) + signed(64 * a[1], 32))
        threshold = 64 * p["v_th_mant"]
        if neuron.phase:
            fires = state["u"] >= threshold and state["v"] >= 0 and im < 0
        else:
            fires = state["v"] >= threshold
            if fires:
                state["u"], state["v"] = 0, threshold - 1
        return int(fires), state["u"], state["v"]
    state["sigma"] = signed(4096 * a[0] if driven else state["sigma"] + a[0], 32)
    if isinstance(neuron, Sigma):
        return state["sigma"], state["sigma"], state["sigma"]
    act = signed(state["sigma"] + 4096 * bias, 32)
    if not driven:
        act = max(act, 0)
    delta = signed(act - state["act"] + state["residue"], 32)
    state["act"] = act
    sends = signed(abs(delta), 32) >= 4096 * p["v_th_mant"]
    state["residue"] = 0 if sends else delta
    return delta >> 6 if sends else 0, state["sigma"], act


def random_layer(
    seed: int, n_in: int, n_out: int, *, recurrent: bool = False, delay: str = "none", extreme: bool = False
) -> Loihi2Layer:
    """A layer with random values; `extreme` ones wrap their currents and clip their voltages all the time."""
    rng = np.random.default_rng(seed)
    shapes = {"none": None, "scalar": (), "in": (n_in,), "out": (n_out,), "synapse": (n_out, n_in)}
    shape = shapes[delay]
    decays = (0, 2, 4095, 4096) if extreme else (50, 800, 2000, 4096)
    return Loihi2Layer(
        name=f"layer/{seed}",
        kind="dense_rec" if recurrent else "dense",
        weight=rng.integers(-256, 255, (n_out, n_in)) if extreme else rng.integers(-127, 128, (n_out, n_in)),
        weight_rec=rng.integers(-127, 128, (n_out, n_out)) if recurrent else None,
        bias=rng.integers(-(2**17) + 1, 2**17, n_out) if extreme else rng.integers(-200, 200, n_out),
        delay=0 if shape is None else rng.integers(0, 63 if extreme else 12, shape),
        i_decay=rng.choice(decays, n_out),
        v_decay=rng.choice(decays, n_out),
        v_th_mant=rng.integers(-(2**17), 2**17 + 1, n_out) if extreme else rng.integers(-5, 500, n_out),
    )


def between(rng: np.random.Generator, low: int, high: int, shapes: list[tuple[int, ...]], extreme: bool) -> np.ndarray:
    """Integers from `low` to `high` of one of `shapes`; `extreme` ones are mostly these two."""
    shape = shapes[rng.integers(len(shapes))]
    inside = rng.integers(low, high + 1, shape)
    return np.where(rng.random(shape) < 0.6, rng.choice([low, high], shape), inside) if extreme else inside


NEURONS = ("CUBA", "SigmaDelta", "Sigma", "RF_PHASE", "RF_IZHIKEVICH")


def random_neuron(rng: np.random.Generator, kind: str, shapes: list[tuple[int, ...]], extreme: bool) -> Neuron:
    """Units of `kind`, their parameters of any of `shapes`."""

    def values(low: int, high: int) -> np.ndarray:
        return between(rng, low, high, shapes, extreme)

    if kind == "CUBA":
        decay = (0, 4096) if extreme else (50, 3000)
        return CUBA(values(*decay), values(*decay), values(-(2**17), 2**17) if extreme else values(-5, 500))
    if kind == "SigmaDelta":
        return SigmaDelta(values(0, 2**18 - 1 if extreme else 2), message_bits=int(rng.integers(1, 33)))
    if kind == "Sigma":
        return Sigma(message_bits=int(rng.integers(1, 33)))
    decay = (-4096, 4096) if extreme else (1000, 2800)
    threshold = values(-(2**17), 2**17) if extreme else values(1, 300)
    return ResonateAndFire(values(*decay), values(*decay), threshold, phase=kind == "RF_PHASE")


def random_any(rng: np.random.Generator, kind: str, neuron: str, in_shape: tuple[int, ...], extreme: bool) -> Layer:
    """A layer of any `kind` and units that listens to units of `in_shape`; images are small."""

    def weights(*shape: int) -> np.ndarray:
        w = between(rng, -256, 254, [shape], True) if extreme else rng.integers(-127, 128, shape)
        return w if w.min() < 0 < w.max() else np.maximum(w, -255)

    def some(low: int, high: int, *shapes: tuple[int, ...]) -> np.ndarray:
        return between(rng, low, high, list(shapes), extreme)

    is_complex, unbiased = neuron.startswith("RF"), neuron in ("Sigma", "RF_PHASE", "RF_IZHIKEVICH")
    bias = 2**17 - 1 if extreme else 200
    if kind == "input":
        shapes = [(), (int(np.prod(in_shape)),)] + ([in_shape[:1]] if len(in_shape) == 3 else [])
        units = random_neuron(rng, neuron, shapes, extreme)
        return InputLayer(
            "layer/0", kind, in_shape, int(rng.integers(-90, 90)), bias=int(rng.integers(-50, 50)), neuron=units
        )
    if kind in ("dense", "dense_rec"):
        n_in, n_out = int(np.prod(in_shape)), int(rng.integers(1, 8))
        shapes = [(), (n_out,)]
        return Loihi2Layer(
            "layer/1",
            kind,
            weights(n_out, n_in),
            rng.integers(-127, 128, (n_out, n_out)) if kind == "dense_rec" else None,
            weight_imag=weights(n_out, n_in) if is_complex else None,
            bias=0 if unbiased else some(-bias, bias, (n_out,)),
            delay=some(0, 62 if extreme else 6, (), (n_out,), (n_in,), (n_out, n_in)),
            delay_rec=some(0, 62 if extreme else 6, (), (n_out,), (n_out, n_out)) if kind == "dense_rec" else 0,
            neuron=random_neuron(rng, neuron, shapes, extreme),
        )
    channels = in_shape[0]
    groups = int(rng.choice([g for g in range(1, channels + 1) if channels % g == 0])) if kind == "conv" else 1
    c_out = groups * int(rng.integers(1, 4)) if kind == "conv" else channels
    padding, dilation = rng.integers(0, 3, 2), rng.integers(1, 3, 2)
    kernel = [
        int(rng.integers(1, (n + 2 * p - 1) // d + 2)) for n, p, d in zip(in_shape[1:], padding, dilation, strict=True)
    ]
    shape = (c_out, channels // groups, *kernel) if kind == "conv" else (1, 1, *kernel)
    values = {
        "weight": weights(*shape),
        "in_shape": in_shape,
        "stride": rng.integers(1, 4, 2),
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "weight_imag": weights(*shape) if is_complex else None,
    }
    bare = ConvLayer("layer/1", kind, **values, neuron=ResonateAndFire() if is_complex else CUBA())
    shapes = [(), (c_out,), (bare.n_out,)]
    return ConvLayer(
        "layer/1",
        kind,
        **values,
        bias=0 if unbiased else some(-bias, bias, *shapes),
        delay=some(0, 62 if extreme else 6, *shapes),
        neuron=random_neuron(rng, neuron, shapes, extreme),
    )


def lava_reads(matrices: list[np.ndarray]) -> list[np.ndarray]:
    """What Lava's NetX reader and its fixed-point synapses make of a layer's weights, (weight, weight_rec).

    All matrices share an exponent and a number of bits, found from the largest weight and from the bits that
    are zero in all weights; each is then clipped to 8 bits and cut to that number of bits by its own signs.
    """
    together = np.hstack(matrices)
    low, high = together.min(), together.max()
    if low < 0 <= high:
        scale, signed = min(127 / high if high else np.inf, 128 / -low), 1
    else:
        scale, signed = (255 / high if low >= 0 else 256 / -low), 0
    shift = int(np.floor(np.log2(scale))) + signed
    zero_bits = next((n for n in range(8, 0, -1) if not (together % 2**n).any()), 0)
    bits = 8 - shift - (zero_bits - signed)
    result = []
    for matrix in matrices:
        w = matrix.astype(np.int64) << shift
        mixed = w.min() < 0 < w.max()
        sign = -1 if w.max() <= 0 and w.min() < 0 else 1
        cut = 8 - bits + mixed
        w = np.clip(sign * w, -256 * mixed, 255)
        result.append(sign * (w >> cut << cut) / 2**shift)
    return result
