"""Lava beside the chip model: where it is installed, and networks to run on both."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from lava_reference import random_any

from lambent.hardware.loihi2 import Average, InputLayer, Layer, Loihi2Layer, Loihi2Network, Readout, save_lava

HERE = Path(__file__).parent
_KNOWN = os.environ.get("LAMBENT_LAVA_PYTHON") or HERE.parents[2] / ".lava" / "bin" / "python"
LAVA = Path(_KNOWN) if Path(_KNOWN).exists() else None
"""The Python that has Lava."""
WHY_NOT = "needs Lava: tools/lava_environment.sh makes it in .lava, or LAMBENT_LAVA_PYTHON names a Python that has it"

KINDS = {  # kind of layer: units it can have, shape of what it listens to
    "dense": (("CUBA", "SigmaDelta", "Sigma", "RF_PHASE", "RF_IZHIKEVICH"), (9,)),
    "dense_rec": (("CUBA", "SigmaDelta"), (9,)),
    "conv": (("CUBA", "SigmaDelta", "RF_PHASE", "RF_IZHIKEVICH"), (2, 6, 5)),
    "pool": (("CUBA", "SigmaDelta"), (2, 6, 5)),
    "input": (("CUBA", "SigmaDelta"), (2, 3, 2)),
}
EVERY_KIND = [(kind, units) for kind, (all_units, _) in KINDS.items() for units in all_units]
SIGNS = {  # lowest and highest weight, and what all are multiples of
    "small": (-128, 127, 1), "even": (-256, 254, 2), "wide": (-256, 254, 1), "excitatory": (0, 255, 1),
    "inhibitory": (-255, 0, 1), "one lowest": (-128, 0, 64), "zero": (0, 0, 1),
}  # fmt: skip


class Case(NamedTuple):
    """A network and one sample (n_in, steps) for it."""

    network: Loihi2Network
    spikes: np.ndarray


def random_weights(rng: np.random.Generator, shape: tuple[int, ...], signs: str) -> np.ndarray:
    """Weights of a sign mode, its extreme ones among them."""
    low, high, step = SIGNS[signs]
    weight = rng.integers(low // step, high // step + 1, shape) * step
    flat = weight.reshape(-1)
    at = rng.permutation(flat.size)
    flat[at[0]] = low
    flat[at[-1]] = high
    if signs == "wide" and flat.size > 2:
        flat[at[1]] = -201
    return weight


def random_case(rng: np.random.Generator, kind: str, units: str, signs: str) -> Case:
    """A network whose first layer is of this kind, with one or two dense ones behind it."""
    shape = KINDS[kind][1]
    layers: list[Layer] = [_with_weights(rng, random_any(rng, kind, units, shape, False), signs)]
    graded_input = kind != "input" and rng.random() < 0.4
    for _ in range(int(rng.integers(kind == "input", 3))):
        own = str(rng.choice(KINDS["dense"][0]))
        after = random_any(rng, "dense", own, (layers[-1].n_out,), False)
        layers.append(_with_weights(rng, after, str(rng.choice([x for x in SIGNS if x != "zero"]))))
    n_in, n_out = int(np.prod(shape)), layers[-1].n_out
    readout: Readout | Average = Readout("exp_mean", 1.0 + np.arange(n_out))
    if rng.random() < 0.3:
        readout = Average(n_out)
    network = Loihi2Network(n_in, layers, readout=readout, in_shape=shape, message_bits=16 if graded_input else 0)
    spikes = (rng.random((n_in, 50)) < 0.25).astype(np.int64)
    if graded_input or kind == "input":
        spikes *= rng.integers(-90, 90, spikes.shape)
    return Case(network, spikes)


def _with_weights(rng: np.random.Generator, layer: Layer, signs: str) -> Layer:
    if isinstance(layer, InputLayer):
        return layer
    changed = {"weight": random_weights(rng, layer.weight.shape, signs)}  # type: ignore[attr-defined]
    if getattr(layer, "weight_imag", None) is not None:
        changed["weight_imag"] = random_weights(rng, layer.weight_imag.shape, signs)  # type: ignore[attr-defined]
    if isinstance(layer, Loihi2Layer) and layer.weight_rec is not None:
        changed["weight_rec"] = random_weights(rng, layer.weight_rec.shape, signs)
    if not layer.neuron.graded and rng.random() < 0.3 and np.any(layer.bias):  # more bits than Lava's mantissa has
        changed["bias"] = np.asarray(layer.bias) * 512
    return dataclasses.replace(layer, **changed)  # type: ignore[arg-type]


def run_in_lava(cases: Sequence[Case], folder: Path) -> list[dict[str, np.ndarray]]:
    """What Lava makes of `cases`, which are written into `folder`."""
    assert LAVA is not None
    folders = [folder / str(i) for i in range(len(cases))]
    for case, own in zip(cases, folders, strict=True):
        save_lava(case.network, own)
        np.savez(own / "input.npz", spikes=case.spikes)
    subprocess.run([LAVA, "-W", "ignore", HERE / "run_in_lava.py", *folders], check=True, cwd=folder)
    found = []
    for own in folders:
        with np.load(own / "out.npz") as file:
            found.append({name: file[name] for name in file.files})
    return found


def differences(case: Case, out: dict[str, np.ndarray]) -> tuple[int, int]:
    """Entries of spikes, current and voltage that are different from the chip model's, of how many."""
    recording = case.network.run(case.spikes[None])
    different = entries = 0
    for name, arrays in (("s", recording.spikes), ("u", recording.current), ("v", recording.voltage)):
        for i, array in enumerate(arrays):
            different += int((out[f"{name}_{i}"] != array[0]).sum())
            entries += array[0].size
    readout = case.network.readout
    if readout is not None:
        different += int((~np.isclose(out["scores"], readout.scores(recording)[0], rtol=1e-9)).sum())
    return different, entries
