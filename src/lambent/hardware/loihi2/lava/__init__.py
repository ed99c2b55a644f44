"""Networks as programs for Intel's Lava: a folder with `network.py`, the same for all, and `network.npz`, the values.

`network.npz` holds n_layers, in_shape, message_bits, dt, what a readout needs (readout, readout_scale, readout_labels,
readout_classes), and for each layer i, i/kind, i/units, i/shape and what `_values` below lists.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from lambent.hardware.loihi2.layers.base import Layer
from lambent.hardware.loihi2.layers.conv import ConvLayer
from lambent.hardware.loihi2.layers.dense import Loihi2Layer
from lambent.hardware.loihi2.layers.input import InputLayer
from lambent.hardware.loihi2.network import Loihi2Network
from lambent.hardware.loihi2.neurons import Graded, ResonateAndFire
from lambent.hardware.loihi2.readout import Average, Readout
from lambent.machine.files import replacing

PROGRAM = Path(__file__).with_name("network.py")
_MANTISSA = 1 << 15  # of a bias in Lava


def save_lava(network: Loihi2Network, folder: str | os.PathLike[str]) -> None:
    """Write `network` as a folder that Lava runs; the files in it are replaced whole.

    `python network.py INPUT.npz OUT.npz` then needs Python 3.10 and lava-nc 0.10, no lambent.

    Raises:
        ValueError: Lava's processes cannot hold a value; the message names the layer.
    """
    for layer in network.layers:
        _check(layer)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "network.npz") as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **values_of(network))
    with replacing(folder / "network.py") as temporary:
        shutil.copyfile(PROGRAM, temporary)


def values_of(network: Loihi2Network) -> dict[str, Any]:
    """What `network.npz` holds."""
    found: dict[str, Any] = {
        "n_layers": len(network.layers),
        "in_shape": np.array(network.in_shape),
        "message_bits": network.message_bits,
        "dt": network.dt,
    }
    readout = network.readout
    if isinstance(readout, Average):
        found |= {"readout": "average", "readout_classes": readout.n_classes}
    elif isinstance(readout, Readout):
        found |= {"readout": readout.reduce, "readout_scale": readout.scale, "readout_labels": np.array(readout.labels)}
    for i, layer in enumerate(network.layers):
        found |= {f"{i}/{name}": value for name, value in _values(layer).items()}
    return found


def _values(layer: Layer) -> dict[str, Any]:
    neuron = layer.neuron
    units = neuron.type if isinstance(neuron, ResonateAndFire) else type(neuron).__name__
    found: dict[str, Any] = {"kind": layer.kind, "units": units, "shape": np.array(layer.shape)}
    for field, (name, *_) in neuron.ranges.items():
        found[name] = layer.per_unit(getattr(neuron, field))
    if isinstance(neuron, Graded):
        found["message_bits"] = neuron.message_bits
    if isinstance(layer, InputLayer):
        return found | {"gain": layer.gain, "offset": layer.bias, "bias": np.zeros(layer.n_out, np.int32)}
    found["bias"] = layer.per_unit(layer.bias)
    if isinstance(layer, ConvLayer):
        pool = layer.kind == "pool"  # a convolution that keeps channels apart
        groups = layer.in_shape[0] if pool else layer.groups
        found |= {"in_shape": np.array(layer.in_shape), "groups": groups, "delay": layer.per_unit(layer.delay)}
        found |= {name: np.array(getattr(layer, name)) for name in ("stride", "padding", "dilation")}
    if isinstance(layer, Loihi2Layer):
        found["delay"] = layer.synapse_delays if np.any(layer.delay) else 0
        if layer.weight_rec is not None:
            found["weight_rec"] = layer.weight_rec
            found["delay_rec"] = layer.recurrent_delays if np.any(layer.delay_rec) else 0
    assert isinstance(layer, (ConvLayer, Loihi2Layer))
    for name in ("weight", "weight_imag"):
        weight = getattr(layer, name)
        if weight is not None:
            found[name] = np.repeat(weight, groups, 0) if isinstance(layer, ConvLayer) and pool else weight
    return found


def _check(layer: Layer) -> None:
    """Raise ValueError for what Lava's processes would not hold."""
    bias = layer.per_unit(0 if isinstance(layer, InputLayer) else layer.bias).astype(np.int64)
    if isinstance(layer.neuron, Graded):
        return
    size = np.abs(bias)
    lost = (size >= _MANTISSA) & (size % (1 << np.maximum(0, np.ceil(np.log2(size + 1)).astype(int) - 15)) != 0)
    if lost.any():
        unit = int(lost.argmax())
        raise ValueError(
            f"{layer.name}/bias: {bias[unit]} of unit {unit} needs more than the 16 bits that Lava has; "
            f"make it an even number or keep it within +-{_MANTISSA - 1}"
        )
