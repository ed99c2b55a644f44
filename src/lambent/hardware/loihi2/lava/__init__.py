"""Networks as programs for Intel's Lava: a folder with `network.py`, the same for all, and `network.npz`, the values.

And networks that users of Lava have made: `graph.py`, which needs nothing of lambent, finds the same values in a graph
of processes.

`network.npz` holds n_layers, in_shape, message_bits, dt, reset_interval and reset_offset if there are resets, what a
readout needs (readout, readout_scale, readout_labels,
readout_classes), and for each layer i, i/kind, i/units, i/shape and what `_values` below lists.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lambent.events import Events
from lambent.hardware.loihi2.lava import graph
from lambent.hardware.loihi2.lava.reader import network_of, read_arrays
from lambent.hardware.loihi2.lava.slayer import from_slayer, is_slayer
from lambent.hardware.loihi2.layers.base import Layer
from lambent.hardware.loihi2.layers.conv import ConvLayer
from lambent.hardware.loihi2.layers.dense import Loihi2Layer
from lambent.hardware.loihi2.layers.input import InputLayer
from lambent.hardware.loihi2.network import Loihi2Network, check_network
from lambent.hardware.loihi2.neurons import Graded, ResonateAndFire
from lambent.hardware.loihi2.readout import Average, Readout
from lambent.machine.files import read_file, replacing

_PROGRAM = Path(__file__).with_name("network.py")
_TITLE = 60  # bytes by which programs of this kind are known, of whatever version
_MANTISSA = 1 << 15  # of a bias in Lava
FILES = ("network.py", "network.npz", "example.npz", "verified.json")
"""What such a folder holds, the last written by `network.py --check`."""
_STATES = {"s": "spikes", "u": "current", "v": "voltage"}


def save_lava(network: Loihi2Network, folder: str | os.PathLike[str], sample: Events | None = None) -> None:
    """Write `network` as a folder that Lava runs, on its model of the chip or on a chip; files are replaced whole.

    `python network.py INPUT.npz OUT.npz` then needs Python 3.10 and lava-nc 0.10, no lambent.

    Args:
        network: what to write.
        folder: made if need be.
        sample: a batch of one; what the network does with it goes into example.npz, for `network.py --check`.

    Raises:
        TypeError: `network` is no `Loihi2Network`.
        ValueError: Lava's processes cannot hold a value, and the message names the layer; or the folder holds another
            network.py.

    Example:
        >>> import tempfile, numpy as np
        >>> from lambent.hardware.loihi2 import CUBA, Loihi2Layer, Loihi2Network, save_lava
        >>> layer = Loihi2Layer("layer/1", "dense", np.array([[90, -3]]), neuron=CUBA(800, 200, 70))
        >>> save_lava(Loihi2Network(2, [layer]), tempfile.mkdtemp())
    """
    check_network(network)
    if reasons := not_held_by_lava(network):
        raise ValueError("; ".join(reasons))
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: is a file; a program for Lava needs a folder")
    program = folder / "network.py"
    if program.exists() and read_file(program)[:_TITLE] != _PROGRAM.read_bytes()[:_TITLE]:
        raise ValueError(f"{program}: is another program; choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    for older in ("example.npz", "verified.json"):
        (folder / older).unlink(missing_ok=True)
    _save(folder / "network.npz", values_of(network))
    if sample is not None:
        _save(folder / "example.npz", _example(network, sample))
    with replacing(program) as temporary:
        temporary.write_bytes(_PROGRAM.read_bytes())


def how_to_run(folder: Path, has_example: bool) -> str:
    """What to do with such a folder."""
    check = f"; does Lava compute the same? python {folder / 'network.py'} --check" if has_example else ""
    return f"in Lava's Python: python {folder / 'network.py'} INPUT.npz OUT.npz{check}"


def verified(folder: Path) -> str:
    """What `network.py --check` found in such a folder when it was last run, if that was of this network."""
    again = f"in Lava's Python: python {folder / 'network.py'} --check"
    try:
        text = read_file(folder / "verified.json")
        network = hashlib.sha256(read_file(folder / "network.npz")).hexdigest()
    except (OSError, ValueError):
        return f"not verified yet; {again}"
    try:
        known = json.loads(text)
        entries, different = int(known["entries"]), int(known["different"])
        if not 0 <= different <= entries:
            raise ValueError(f"{different} of {entries} entries")
        if known["network"] != network:
            return f"not verified since it was written; {again}"
        lava = str(known["lava"])[:20]
    except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as error:
        return f"verified.json is damaged ({type(error).__name__}); {again}"
    found = "all equal" if different == 0 else f"{different:,} DIFFERENT"
    return f"Lava {lava}: {entries:,} entries of spikes, current, voltage and scores of one sample, {found}"


def not_held_by_lava(network: Loihi2Network) -> list[str]:
    """What Lava's processes cannot hold, and what to do; each entry starts with the layer."""
    reasons = [_lost_bias(layer) for layer in network.layers]
    return [reason for reason in reasons if reason]


def _example(network: Loihi2Network, sample: Events) -> dict[str, np.ndarray]:
    """Input and outcome of a batch of one, as `network.py` takes and writes them."""
    recording = network.run(sample)
    dense = sample.to_dense(network.dt)[0].T.int().cpu().numpy()
    found = {
        "spikes": dense if isinstance(network.layers[0], InputLayer) or network.message_bits else dense.clip(max=1)
    }
    for name, attribute in _STATES.items():
        found |= {f"{name}_{i}": x[0] for i, x in enumerate(getattr(recording, attribute))}
    return found | ({"scores": network.readout.scores(recording)[0]} if network.readout else {})


def _save(path: Path, values: Mapping[str, Any]) -> None:
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **values)


def values_of(network: Loihi2Network) -> dict[str, Any]:
    """What `network.npz` holds."""
    found: dict[str, Any] = {
        "n_layers": len(network.layers),
        "in_shape": np.array(network.in_shape),
        "message_bits": network.message_bits,
        "dt": network.dt,
    }
    if network.reset_interval is not None:
        found |= {"reset_interval": network.reset_interval, "reset_offset": network.reset_offset}
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
        found["sparse"] = not layer.wraps  # as Lava is to have them
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


def _lost_bias(layer: Layer) -> str:
    """Which bias does not fit the mantissa and the exponent that Lava has for it; empty if all do."""
    if isinstance(layer, InputLayer) or isinstance(layer.neuron, Graded):
        return ""
    bias = layer.per_unit(layer.bias).astype(np.int64)
    for shift in range(3):  # biases have up to 17 bits and a sign
        wide = (np.abs(bias) >> shift >= _MANTISSA) & (bias >> shift & 1 == 1)
        if wide.any():
            unit = int(wide.argmax())
            multiple = f"a multiple of {2 << shift}"
            return (
                f"{layer.name}/bias: {bias[unit]} of unit {unit} has more than the 16 bits of Lava's biases; "
                f"make it {multiple} or keep it within +-{_MANTISSA - 1}"
            )
    return ""


def load_lava(path: str | os.PathLike[str]) -> Loihi2Network:
    """Read network.npz, as `save_lava` writes it and `graph.py` does in Lava's Python.

    Args:
        path: the file, or a folder with it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or says no such network; the message names the file and the value.

    Example:
        >>> import tempfile, numpy as np
        >>> from lambent.hardware.loihi2 import CUBA, Loihi2Layer, Loihi2Network, load_lava, save_lava
        >>> layer = Loihi2Layer("layer/1", "dense", np.array([[90, -3]]), neuron=CUBA(800, 200, 70))
        >>> folder = tempfile.mkdtemp()
        >>> save_lava(Loihi2Network(2, [layer]), folder)
        >>> load_lava(folder)
        Loihi2Network(2-1: dense; dt=1 ms)
    """
    path = Path(path)
    if path.is_dir():
        path = path / "network.npz"
    values = read_arrays(path)
    try:
        return network_of(values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def from_lava(processes: Any) -> Loihi2Network:
    """The network that processes of Lava make up, weights and thresholds as Lava's fixed-point models take them.

    A chain of layers, as `graph.py` beside this file says. Lava needs another Python than lambent does: where they are
    not in one, `python graph.py MODULE:NAME OUT.npz` in Lava's writes what this reads.

    Args:
        processes: any process of the graph, several, a network of lava-dl's NetX or of its slayer, a list of slayer's
            blocks; or the path of what `graph.py` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: lambent has no such network; the message names the process or the layer, and says what to do.

    Example:
        >>> import tempfile, numpy as np
        >>> from lambent.hardware.loihi2 import CUBA, Loihi2Layer, Loihi2Network, from_lava, save_lava
        >>> layer = Loihi2Layer("layer/1", "dense", np.array([[90, -3]]), neuron=CUBA(800, 200, 70))
        >>> folder = tempfile.mkdtemp()
        >>> save_lava(Loihi2Network(2, [layer]), folder)
        >>> from_lava(f"{folder}/network.npz")  # or, where Lava is, from_lava(lif)
        Loihi2Network(2-1: dense; dt=1 ms)
    """
    if isinstance(processes, (str, os.PathLike)):
        return load_lava(processes)
    if is_slayer(processes):
        return from_slayer(processes)
    return network_of(graph.values_of(processes))
