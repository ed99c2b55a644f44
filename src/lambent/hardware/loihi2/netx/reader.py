"""Reading networks out of open NetX files; see `lambent.hardware.loihi2.netx` for the layout."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lambent.hardware.loihi2.layers.base import Layer
from lambent.hardware.loihi2.layers.conv import ConvLayer
from lambent.hardware.loihi2.layers.dense import Loihi2Layer
from lambent.hardware.loihi2.layers.input import DEFAULT_GAIN, InputLayer
from lambent.hardware.loihi2.network import Loihi2Network
from lambent.hardware.loihi2.neurons import CUBA, THRESHOLD_LIMIT, Neuron, ResonateAndFire, Sigma, SigmaDelta
from lambent.hardware.loihi2.readout import Average, Readout
from lambent.machine.hdf5 import (
    H5_ERRORS,
    Hdf5,
    find_dataset,
    holds,
    read_attribute,
    read_numbers,
    read_shape,
    read_text,
    read_truncated,
    read_whole,
)

_Shape = tuple[int, ...]
_DENSE_MEMBERS = {"type", "shape", "inFeatures", "outFeatures", "weight", "weight_rec", "bias", "delay"}


def read_network(h5: Hdf5) -> Loihi2Network:
    """The network in `h5`.

    Raises:
        ValueError: it is none; the message names the layer and the dataset.
    """
    names = _layer_names(h5)
    layers: list[Layer] = []
    in_shape = shape = None
    readout: Readout | Average | None = None
    for i, name in enumerate(names):
        kind = read_text(h5, f"{name}/type")
        if readout is not None:
            raise ValueError(f"{names[i - 1]}/type: an average must be the last layer")
        if kind == "input":
            if i > 0:
                raise ValueError(f"{name}/type: only the first layer can be an input")
            in_shape = shape = read_shape(h5, f"{name}/shape")
            layers += _read_input(h5, name, shape)
        elif kind == "flatten":
            shape = _read_flatten(h5, name, shape)
            in_shape = in_shape or shape
        elif kind == "average":
            readout = _read_average(h5, name, layers)
        else:
            layers.append(_read_layer(h5, name, kind, shape))
            in_shape = in_shape or layers[-1].in_shape
            shape = layers[-1].shape
    if not layers:
        raise ValueError("layer: there is no layer besides the input")
    dt = read_attribute(h5, "lambent_dt", "f", ())
    bits = read_attribute(h5, "lambent_message_bits", "i", ())
    interval = read_attribute(h5, "lambent_reset_interval", "i", ())
    offset = read_attribute(h5, "lambent_reset_offset", "i", ())
    voltages = _read_readout(h5, layers[-1].n_out)
    if readout is not None and voltages is not None:
        raise ValueError(f"{names[-1]}/type: an average and a readout of voltages exclude each other")
    assert in_shape is not None
    return Loihi2Network(
        n_in=math.prod(in_shape),
        layers=layers,
        dt=1.0 if dt is None else float(dt),
        readout=readout or voltages,
        in_shape=in_shape,
        message_bits=0 if bits is None else int(bits),
        reset_interval=None if interval is None else int(interval),
        reset_offset=0 if offset is None else int(offset),
    )


def _layer_names(h5: Hdf5) -> list[str]:
    try:
        keys = set(h5["layer"])
    except H5_ERRORS as error:
        raise ValueError(f"layer: missing, or damaged ({error})") from error
    wanted = [str(i) for i in range(len(keys))]
    if not keys or keys != set(wanted):
        raise ValueError(f"layer: layers must be numbered from 0 without gaps, found {sorted(keys)}")
    return [f"layer/{key}" for key in wanted]


def _read_input(h5: Hdf5, name: str, shape: _Shape) -> list[Layer]:
    if not holds(h5, f"{name}/neuron"):
        for dataset in ("weight", "bias"):
            if holds(h5, f"{name}/{dataset}"):
                raise ValueError(f"{name}/{dataset}: has no meaning for an input without units")
        return []
    numbers = {"gain": DEFAULT_GAIN, "bias": 0}
    for field, dataset in (("gain", "weight"), ("bias", "bias")):
        if holds(h5, f"{name}/{dataset}"):
            numbers[field] = int(read_truncated(h5, f"{name}/{dataset}", (), (1,), (1, 1)).reshape(()))
    neuron = _read_neuron(h5, name, shape)
    return [InputLayer(name, "input", shape, numbers["gain"], bias=numbers["bias"], neuron=neuron)]


def _read_flatten(h5: Hdf5, name: str, shape: _Shape | None) -> _Shape:
    flat = math.prod(read_shape(h5, f"{name}/shape"))
    if shape is not None and flat != math.prod(shape):
        raise ValueError(f"{name}/shape: says {flat} units, but gets {math.prod(shape)}")
    return (flat,)


def _read_average(h5: Hdf5, name: str, layers: list[Layer]) -> Average:
    average = Average(math.prod(read_shape(h5, f"{name}/shape")))
    if not layers:
        raise ValueError(f"{name}/type: there is nothing to average")
    try:
        average.check(layers[-1].n_out)
    except ValueError as error:
        raise ValueError(f"{name}/shape: {error}") from error
    return average


def _read_layer(h5: Hdf5, name: str, kind: str, in_shape: _Shape | None) -> Layer:
    if kind in ("dense", "dense_rec"):
        return _read_dense(h5, name, kind, in_shape)
    if kind in ("conv", "pool"):
        return _read_conv(h5, name, kind, in_shape)
    raise ValueError(
        f"{name}/type: layers of type {kind!r} are not supported, "
        "only input, flatten, dense, dense_rec, conv, pool and average"
    )


def _read_dense(h5: Hdf5, name: str, kind: str, in_shape: _Shape | None) -> Loihi2Layer:
    n_out = math.prod(read_shape(h5, f"{name}/shape"))
    if in_shape is None:
        n_in = int(read_whole(h5, f"{name}/inFeatures", (), (1,)).reshape(()))
    else:
        n_in = math.prod(in_shape)
    for dataset, n in (("inFeatures", n_in), ("outFeatures", n_out)):
        _expect(h5, f"{name}/{dataset}", n, "the layers' shapes say")
    for dataset in ("weight_rec", "delay_rec"):
        if kind == "dense" and holds(h5, f"{name}/{dataset}"):
            raise ValueError(f"{name}/{dataset}: has no meaning in a layer of type dense")
    weight, imag = _read_weights(h5, name, (n_out, n_in), (n_out * n_in,))
    recurrent, delay_rec = None, np.zeros((), np.int32)
    if kind == "dense_rec":
        recurrent = read_truncated(h5, f"{name}/weight_rec", (n_out, n_out), (n_out * n_out,)).reshape(n_out, n_out)
        if holds(h5, f"{name}/delay_rec"):
            delay_rec = read_truncated(h5, f"{name}/delay_rec", (), (n_out,), (n_out, n_out))
    delays = ((), (n_out,), (n_in,), (n_out, n_in))
    if holds(h5, f"{name}/neuron"):
        neuron = _read_neuron(h5, name, (n_out,))
    elif unknown := {x for x in h5[name] if holds(h5, f"{name}/{x}")} - _DENSE_MEMBERS:
        raise ValueError(f"{name}/neuron: missing, while there is {', '.join(sorted(unknown))}")
    else:  # what slayer's affine layer without dynamics becomes in Lava
        neuron = CUBA(i_decay=0, v_decay=4096, v_th_mant=THRESHOLD_LIMIT)
    return Loihi2Layer(
        name=name,
        kind=kind,
        weight=weight.reshape(n_out, n_in),
        weight_rec=recurrent,
        weight_imag=None if imag is None else imag.reshape(n_out, n_in),
        bias=read_truncated(h5, f"{name}/bias", (n_out,)) if holds(h5, f"{name}/bias") else 0,
        delay=read_truncated(h5, f"{name}/delay", *delays) if holds(h5, f"{name}/delay") else 0,
        delay_rec=delay_rec,
        neuron=neuron,
    )


def _read_conv(h5: Hdf5, name: str, kind: str, in_shape: _Shape | None) -> ConvLayer:
    shape = read_shape(h5, f"{name}/shape")
    if in_shape is None:
        raise ValueError(f"{name}/type: a {kind} layer needs an input layer that says its shape")
    if len(in_shape) != 3 or len(shape) != 3:
        raise ValueError(f"{name}/shape: a {kind} layer is (channels, height, width) and so is the one before it")
    kernel = _read_kernel_size(h5, name)
    groups = 1
    if kind == "conv" and holds(h5, f"{name}/groups"):
        groups = int(read_whole(h5, f"{name}/groups", (), (1,)).reshape(()))
    if groups < 1 or in_shape[0] % groups:
        raise ValueError(f"{name}/groups: {groups} groups of {in_shape[0]} channels")
    channels = (1, 1) if kind == "pool" else (shape[0], in_shape[0] // groups)
    weight, imag = _read_weights(h5, name, (*channels, *kernel), (*channels, *kernel, 1))
    geometry = {field: read_whole(h5, f"{name}/{field}", (), (1,), (2,)) for field in ("stride", "padding", "dilation")}
    if kind == "conv":
        for dataset, n in (("inChannels", in_shape[0]), ("outChannels", shape[0])):
            _expect(h5, f"{name}/{dataset}", n, "the layers' shapes say")
    n_out = math.prod(shape)
    layer = ConvLayer(
        name=name,
        kind=kind,
        weight=weight.reshape(*channels, *kernel),
        in_shape=in_shape,
        groups=groups,
        weight_imag=None if imag is None else imag.reshape(*channels, *kernel),
        delay=read_truncated(h5, f"{name}/delay", (), (shape[0],), (n_out,)) if holds(h5, f"{name}/delay") else 0,
        bias=_of_units(read_truncated, h5, f"{name}/bias", shape) if holds(h5, f"{name}/bias") else 0,
        neuron=_read_neuron(h5, name, shape),
        **geometry,  # type: ignore[arg-type]
    )
    if layer.shape != shape:
        raise ValueError(f"{name}/shape: says {shape}, but kernel and stride make it {layer.shape}")
    return layer


def _read_kernel_size(h5: Hdf5, name: str) -> _Shape:
    """(height, width), from the weights themselves where the file does not say it."""
    if holds(h5, f"{name}/kernelSize"):
        size = np.broadcast_to(read_whole(h5, f"{name}/kernelSize", (), (1,), (2,)), 2)
        return (int(size[0]), int(size[1]))
    where = f"{name}/weight/real" if holds(h5, f"{name}/weight/real") else f"{name}/weight"
    shape = find_dataset(h5, where).shape
    if len(shape) < 4:
        raise ValueError(f"{where}: must be (channels_out, channels_in / groups, height, width), got shape {shape}")
    return tuple(int(n) for n in shape[2:4])


def _read_weights(h5: Hdf5, name: str, *shapes: _Shape) -> tuple[np.ndarray, np.ndarray | None]:
    if holds(h5, f"{name}/weight/imag") or holds(h5, f"{name}/weight/real"):
        real, imag = (read_truncated(h5, f"{name}/weight/{part}", *shapes) for part in ("real", "imag"))
        return real, imag
    return read_truncated(h5, f"{name}/weight", *shapes), None


def _read_neuron(h5: Hdf5, name: str, shape: _Shape) -> Neuron:
    """The units of a layer of `shape`."""
    where = f"{name}/neuron"
    kind = read_text(h5, f"{where}/type")
    neurons: dict[str, type[Neuron]] = {
        "CUBA": CUBA,
        "LOIHI": CUBA,
        "SDNN": Sigma if _flag(h5, f"{where}/sigma_output") else SigmaDelta,
        "RF_PHASE": ResonateAndFire,
        "RF_IZHIKEVICH": ResonateAndFire,
    }
    if kind not in neurons:
        raise ValueError(f"{where}/type: units of type {kind!r} are not supported, only {', '.join(neurons)}")
    for dataset, known in (("refDelay", (0, 1)), ("gradedSpike", (0,)), ("weight_exp", (0,)), ("wgtExp", (0,))):
        if holds(h5, f"{where}/{dataset}"):
            found = float(read_numbers(h5, f"{where}/{dataset}", (), (1,)).reshape(()))
            if found not in known:
                raise ValueError(f"{where}/{dataset}: {found:g} is not supported, only {' and '.join(map(str, known))}")
    values: dict[str, Any] = {}
    for field, (dataset, *_) in neurons[kind].ranges.items():
        values[field] = _of_units(read_whole, h5, f"{where}/{dataset}", shape)
    if kind.startswith("RF"):
        values["phase"] = kind == "RF_PHASE"
    if kind == "SDNN":
        if holds(h5, f"{where}/activation") and (activation := read_text(h5, f"{where}/activation")) != "relu":
            raise ValueError(f"{where}/activation: {activation!r} is not supported, only 'relu'")
        if holds(h5, f"{where}/messageBits"):
            values["message_bits"] = int(read_whole(h5, f"{where}/messageBits", (), (1,)).reshape(()))
    try:
        return neurons[kind](**values)
    except ValueError as error:
        raise ValueError(f"{where}/messageBits: {error}") from error


def _of_units(read: Any, h5: Hdf5, where: str, shape: _Shape) -> np.ndarray:
    """One number, one per unit of a vector, or one per channel or unit of an image, those in C order."""
    if len(shape) != 3:
        return read(h5, where, (), (math.prod(shape),))
    values = read(h5, where, (), (shape[0],), shape[::-1])
    return values.transpose(2, 1, 0).ravel() if values.ndim == 3 else values


def _flag(h5: Hdf5, where: str) -> bool:
    return holds(h5, where) and bool(read_numbers(h5, where, (), (1,)).reshape(()))


def _expect(h5: Hdf5, where: str, n: int, who: str) -> None:
    if holds(h5, where) and (read_whole(h5, where, (), (1,)) != n).any():
        raise ValueError(f"{where}: says {read_whole(h5, where, (), (1,))}, {who} {n}")


def _read_readout(h5: Hdf5, n_out: int) -> Readout | None:
    reduce = read_attribute(h5, "lambent_readout_reduce", "S", ())
    if reduce is None:
        return None
    scale = read_attribute(h5, "lambent_readout_scale", "f", (n_out,))
    if scale is None:
        raise ValueError("attribute lambent_readout_scale: missing")
    labels = read_attribute(h5, "lambent_readout_labels", "S", (n_out,))
    try:
        names = [] if labels is None else [label.decode() for label in labels.tolist()]
        return Readout(reduce.item().decode(), scale, tuple(names))
    except UnicodeDecodeError as error:
        raise ValueError("attribute lambent_readout_labels: is no text") from error
