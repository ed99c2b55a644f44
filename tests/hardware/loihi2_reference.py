"""The chip model a second time, slow and obvious, and helpers shared by the tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lambent.hardware.loihi2 import Loihi2Layer

ORACLE = Path(__file__).resolve().parents[2] / ".." / "shared" / "oracle" / "lava"
RECORDINGS = sorted(p.stem for p in ORACLE.glob("*.npz"))

needs_recordings = pytest.mark.skipif(not RECORDINGS, reason="no recordings beside the checkout (shared/oracle)")

LIMIT = 2**23


def decayed(x: int, decay: int) -> int:
    size = abs(x) * (4096 - decay) // 4096
    return -size if x < 0 else size


def wrapped(x: int) -> int:
    while x > LIMIT:
        x -= 2 * LIMIT
    while x <= -LIMIT:
        x += 2 * LIMIT
    return x


def run_layer_slowly(layer: Loihi2Layer, spikes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spikes, current and voltage (n_out, steps) for `spikes` (n_in, steps), in unbounded integers."""
    steps, n_out = spikes.shape[1], layer.n_out
    out, current, voltage = (np.zeros((n_out, steps), np.int64) for _ in range(3))
    i_decay, v_decay, threshold = (
        np.broadcast_to(x, (n_out,)).tolist() for x in (layer.i_decay, layer.v_decay, layer.v_th_mant)
    )
    u, v = [0] * n_out, [0] * n_out
    for t in range(steps):
        for j in range(n_out):
            a = 0
            for i in range(layer.n_in):
                sent = t - 1 - int(layer.synapse_delays[j, i])
                if sent >= 0 and spikes[i, sent]:
                    a += int(layer.weight[j, i])
            if layer.weight_rec is not None and t > 0:
                a += sum(int(layer.weight_rec[j, i]) for i in range(n_out) if out[i, t - 1])
            u[j] = wrapped(decayed(u[j], i_decay[j]) + 64 * a)
            v[j] = decayed(v[j], v_decay[j]) + u[j] + 64 * int(layer.bias[j])
            v[j] = max(-LIMIT + 1, min(LIMIT - 1, v[j]))
            if v[j] > 64 * threshold[j]:
                out[j, t] = 1
                v[j] = 0
            current[j, t], voltage[j, t] = u[j], v[j]
    return out, current, voltage


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
