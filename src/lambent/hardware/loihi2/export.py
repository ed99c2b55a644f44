"""`export_netx`: write a trained model as a NetX file and say what was lost on the way."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from lambent.events import Events
from lambent.hardware.loihi2.convert import Conversion, ConvertedLayer, convert
from lambent.hardware.loihi2.netx import save_netx
from lambent.machine.showing import counted, html_table, text_table

_HEAD = ("layer", "kind", "shape", "bits", "clipped", "rms error", "taus off by", "scale", "weights")


@dataclass(frozen=True)
class LayerReport:
    """What became of one layer.

    Attributes:
        name: as in the file, "layer/1" and so on.
        kind: "dense", "dense_rec", "conv" or "pool".
        shape: (n_out, n_in).
        weight_bits: bits of a weight, sign included.
        clipped: share of weights that were too large and were cut to the largest there is.
        rms_error: root mean square error of the weights, relative to their root mean square.
        tau_error: by how much rounding its decay changed a time constant most, relative to it; signed.
        scale: least and largest number of chip units that make one unit of the model's voltage.
        weight_bytes: memory of all synaptic weights at `weight_bits`, zeros of dense layers among them.
        why: why a convolution or a pool became another kind; empty for all others.
    """

    name: str
    kind: str
    shape: tuple[int, int]
    weight_bits: int
    clipped: float
    rms_error: float
    tau_error: float
    scale: tuple[float, float]
    weight_bytes: int
    why: str = ""


@dataclass(frozen=True, repr=False)
class NetxReport:
    """What `export_netx` wrote; `str()` gives a table, `dataclasses.asdict` plain values.

    Attributes:
        path: the file.
        file_bytes: its size.
        layers: one `LayerReport` each.
    """

    path: str
    file_bytes: int
    layers: tuple[LayerReport, ...]

    @property
    def weight_bits(self) -> list[int]:
        """Bits of a weight in each layer."""
        return [layer.weight_bits for layer in self.layers]

    def __repr__(self) -> str:
        bits = ", ".join(map(str, self.weight_bits))
        layers = counted(len(self.layers), "layer")
        return f"NetxReport({self.path!r}, {self.file_bytes:,} bytes, {layers} of {bits} bits a weight)"

    def _repr_html_(self) -> str:
        return html_table(f"{self.path}: {self.file_bytes:,} bytes", self._rows(), _HEAD)

    def __str__(self) -> str:
        table = text_table(_HEAD, self._rows(), len(_HEAD))
        became = [f"{x.name} is {x.kind}, as {x.why}" for x in self.layers if x.why]
        return "\n".join([table, *became, f"{self.path}: {self.file_bytes:,} bytes"])

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                x.name,
                x.kind,
                f"{x.shape[1]} -> {x.shape[0]}",
                str(x.weight_bits),
                f"{x.clipped:.2%}",
                f"{x.rms_error:.2%}",
                f"{x.tau_error:+.1%}",
                f"{x.scale[0]:.4g} to {x.scale[1]:.4g}",
                f"{x.weight_bytes:,} B",
            )
            for x in self.layers
        ]


def export_netx(
    model: nn.Module,
    path: str | os.PathLike[str],
    weight_bits: int | Sequence[int] | None = None,
    *,
    calibration: Events | None = None,
    labels: Sequence[str] = (),
    lava_compatible: bool = False,
) -> NetxReport:
    """Quantise `model` and write it as a NetX file for Loihi 2, whole or not at all.

    Several spikes of one unit in one step count once on the chip, where the float model adds them up: a coarse dt can
    cost agreement. Biases are rounded to what moves V by one of the threshold's units in a step: the longer tau_mem,
    the coarser. What the weights are rounded to here, the chip holds without further loss. Lava reads the file as it
    is, but for what `lambent.hardware.loihi2.netx.lava` lists, such as delays onto recurrent layers. Sparse connections
    are written as dense ones with zeros, as NetX has no others. A convolution or a pool is the chip's, with one scale
    for each channel, if its channels' units are equal and have one delay; what it became if not, and why, the report
    says. The readout's units have a scale each, stored with the file: divide voltages by it before comparing them.

    Args:
        model: a `torch.nn.Sequential` of layers of LIF units or resonators behind any connections, with or without a
            final `LIReadout`.
        path: the file to write.
        weight_bits: bits of a weight with its sign, 2 to 8; one number, or one for each layer. Left out it is 8,
            and for a model from `lambent.quantize.quantization_aware` what it was trained with: these weights are
            then written as they are.
        calibration: typical input, from which voltage ranges and firing rates are measured on the chip model.
            Recommended: without it, ranges are guessed.
        labels: names of the classes, stored with the readout.
        lava_compatible: refuse to write what Lava's own reader would get wrong.

    Raises:
        TypeError: the model is no Sequential or holds another kind of layer.
        ValueError: the model has something the chip cannot do (reset "subtract", delays beyond 62 steps, dt=None);
            the message names the layer and what to change. Or `lava_compatible`, and Lava would misread the file;
            the message says what and why.
    """
    return write(convert(model, weight_bits, calibration, labels), path, lava_compatible=lava_compatible)


def write(conversion: Conversion, path: str | os.PathLike[str], *, lava_compatible: bool = False) -> NetxReport:
    """Write a converted model; see `export_netx`."""
    save_netx(conversion.network, path, lava_compatible=lava_compatible)
    layers = tuple(_layer_report(layer) for layer in conversion.layers)
    return NetxReport(os.fspath(path), Path(path).stat().st_size, layers)


def _layer_report(converted: ConvertedLayer) -> LayerReport:
    layer, weight_bits = converted.layer, converted.integers.bits
    parts = [getattr(layer, name, None) for name in ("weight", "weight_rec", "weight_imag")]
    n_weights = sum(part.size for part in parts if part is not None)
    return LayerReport(
        name=layer.name,
        kind=layer.kind,
        shape=(layer.n_out, layer.n_in),
        weight_bits=weight_bits,
        clipped=converted.clipped,
        rms_error=converted.rms_error,
        tau_error=converted.tau_error,
        scale=(float(converted.scale.min()), float(converted.scale.max())),
        weight_bytes=-(-n_weights * weight_bits // 8),
        why=converted.wiring.why,
    )
