"""Weights as integers: of 8 bits or fewer, for inference on the array of multiply-accumulate units."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from lambent.hardware.bits import layer_bits
from lambent.hardware.spinnaker2.convert import to_chip, to_torch
from lambent.hardware.spinnaker2.network import Layer, Spinnaker2Network
from lambent.machine.showing import Short, counted, text_table

_TRIED = 24  # scales of a layer, of which that of the least error is taken


@dataclass(frozen=True)
class RoundedLayer:
    """What became of one layer's weights.

    Attributes:
        name: of the layer.
        shape: (n_out, rows), rows counting the units themselves where they are recurrent.
        weight_bits: of a weight, sign included.
        clipped: share of weights that were too large, and were cut.
        rms_error: root mean square error of the weights, relative to their root mean square.
        weight_bytes: that they take on the chip, a byte each.
    """

    name: str
    shape: tuple[int, int]
    weight_bits: int
    clipped: float
    rms_error: float
    weight_bytes: int


def rounded(layer: Layer, most: int) -> tuple[np.ndarray, float]:
    """The weights as integers from -most to most, int8, and what 1 is worth: with the least error of some scales tried.

    >>> from lambent.hardware.spinnaker2.rounding import rounded
    >>> layer = lb.hardware.spinnaker2.to_chip(torch.nn.Sequential(lb.LIF(4, 3))).layers[0]
    >>> integers, scale = rounded(layer, 127)
    >>> bool((abs(integers * scale - layer.matrix) < scale).all())
    True
    """
    weights = layer.matrix.astype(np.float64) * layer.scale
    largest = np.abs(weights).max()
    if not largest:
        return np.zeros(weights.shape, np.int8), 1.0

    def error(scale: float) -> float:
        return float(((np.rint(weights / scale).clip(-most, most) * scale - weights) ** 2).sum())

    scales = [float(largest / most * share) for share in np.linspace(1, 0.3, _TRIED)]
    best = float(np.float32(min(scales, key=error)))
    return np.rint(weights / best).clip(-most, most).astype(np.int8), best


@dataclass(frozen=True, eq=False)
class Conversion(Short):
    """A network with integer weights, and the float model that it was made of.

    Attributes:
        network: for the chip.
        layers: what became of each.
        model: the float one.
    """

    network: Spinnaker2Network
    layers: tuple[RoundedLayer, ...]
    model: nn.Sequential

    @property
    def weight_bits(self) -> list[int]:
        """Bits of a weight in each layer, sign included."""
        return [layer.weight_bits for layer in self.layers]

    def quantised(self) -> nn.Sequential:
        """A copy of the float model with the values that the chip has."""
        return to_torch(self.network, self.model)


def convert(model: nn.Module, bits: int | Sequence[int] | None = None, labels: Sequence[str] = ()) -> Conversion:
    """`model` with integer weights, one scale a layer; states, decays and thresholds stay float32.

    Args:
        model: as `to_chip` takes it.
        bits: 2 to 8, sign included; one number, or one for each layer; 8 where left out.
        labels: names of the classes.

    Raises:
        TypeError, ValueError: as `to_chip`, or bits that are out of range.
    """
    network = to_chip(model, labels)
    assert isinstance(model, nn.Sequential)  # checked by to_chip
    layers, made = [], []
    for layer, b in zip(network.layers, layer_bits(8 if bits is None else bits, len(network.layers)), strict=True):
        most = 2 ** (b - 1) - 1
        integers, scale = rounded(layer, most)
        off = integers * scale - layer.matrix.astype(np.float64)
        rms = float(np.sqrt((off**2).sum() / max((layer.matrix.astype(np.float64) ** 2).sum(), 1e-300)))
        cut = float((np.abs(layer.matrix) > (most + 0.5) * scale).mean())
        made.append(RoundedLayer(layer.name, integers.T.shape, b, cut, rms, integers.nbytes))
        layers.append(replace(layer, matrix=integers, scale=scale))
    return Conversion(replace(network, layers=tuple(layers)), tuple(made), model)


@dataclass(frozen=True)
class Report:
    """What was written; `str()` gives a table.

    Attributes:
        path: the file.
        file_bytes: its size.
        layers: one each.
    """

    path: str
    file_bytes: int
    layers: tuple[RoundedLayer, ...]

    @property
    def weight_bits(self) -> list[int]:
        """Bits of a weight in each layer."""
        return [layer.weight_bits for layer in self.layers]

    def __str__(self) -> str:
        rows = [
            (x.name, f"{x.shape[0]} x {x.shape[1]}", f"{x.weight_bits}", f"{100 * x.clipped:.2f} %",
             f"{100 * x.rms_error:.2f} %", f"{x.weight_bytes:,} B")
            for x in self.layers
        ]  # fmt: skip
        head = ("layer", "shape", "bits", "clipped", "rms error", "weights")
        said = f"{self.path}: {self.file_bytes:,} bytes, {counted(len(self.layers), 'layer')}"
        return f"{said}\n{text_table(head, rows, 1)}"


def save(conversion: Conversion, path: str | os.PathLike[str]) -> Report:
    """Write the network of a conversion, whole or not at all."""
    conversion.network.save(path)
    return Report(os.fspath(path), Path(path).stat().st_size, conversion.layers)
