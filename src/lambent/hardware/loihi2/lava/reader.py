"""Reading network.npz, whoever wrote it, as a network; every fault is a ValueError that names the value."""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from lambent.hardware.loihi2.layers.base import Layer
from lambent.hardware.loihi2.layers.conv import ConvLayer
from lambent.hardware.loihi2.layers.dense import Loihi2Layer
from lambent.hardware.loihi2.layers.input import InputLayer
from lambent.hardware.loihi2.network import Loihi2Network
from lambent.hardware.loihi2.neurons import CUBA, Neuron, ResonateAndFire, Sigma, SigmaDelta
from lambent.hardware.loihi2.readout import Average, Readout

_DAMAGED = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    SyntaxError,
    TokenError,
    OverflowError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)
"""What zipfile and numpy raise on damaged files."""

_MAX_BYTES = 1 << 31  # of all arrays; a file that claims more is broken
_MAX_LAYERS = 1 << 12
_MAX_UNITS = 1 << 28  # before shapes are multiplied up; layers themselves allow fewer
_NEURONS: dict[str, type[Neuron]] = {
    "CUBA": CUBA,
    "SigmaDelta": SigmaDelta,
    "Sigma": Sigma,
    "RF_PHASE": ResonateAndFire,
    "RF_IZHIKEVICH": ResonateAndFire,
}
_ANY = 1 << 30


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz file, none of which is an object.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no such file, or damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        claimed = 0
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                claimed += member.file_size
                if claimed > _MAX_BYTES:
                    raise ValueError(f"its arrays claim more than {_MAX_BYTES} bytes")
        with np.load(path, allow_pickle=False) as file:
            return {name: np.asarray(file[name]) for name in file.files}
    except _DAMAGED as error:
        raise ValueError(f"{path}: no .npz file of arrays, or damaged ({error})") from error


def network_of(values: Mapping[str, Any]) -> Loihi2Network:
    """The network that the arrays of network.npz say.

    Raises:
        ValueError: a value is missing, or of the wrong type, shape or range; the message starts with its name.
    """
    top = _Values(values, "", "")
    in_shape = top.shape("in_shape")
    n_layers = top.number("n_layers", 1, _MAX_LAYERS)
    driven = top.text("0/kind") == "input"
    try:
        layers: list[Layer] = []
        shape = in_shape
        for i in range(n_layers):
            layers.append(_layer(_Values(values, f"{i}/", f"layer/{i + (not driven)}/"), shape))
            shape = layers[-1].shape
        return Loihi2Network(
            n_in=math.prod(in_shape),
            layers=layers,
            dt=top.real("dt", ()).item(),
            readout=_readout(top, layers[-1].n_out),
            in_shape=in_shape,
            message_bits=top.number("message_bits", 0, _ANY),
            reset_interval=top.number("reset_interval", 1, _ANY) if top.has("reset_interval") else None,
            reset_offset=top.number("reset_offset", 0, _ANY) if top.has("reset_offset") else 0,
        )
    except TypeError as error:
        raise ValueError(str(error)) from error


class _Values:
    """The values of the network or of one layer, checked one by one.

    Args:
        values: all of the file.
        prefix: what those wanted start with.
        name: what stands in front of a value in messages.
    """

    def __init__(self, values: Mapping[str, Any], prefix: str, name: str) -> None:
        self.values, self.prefix, self.name = values, prefix, name

    def has(self, key: str) -> bool:
        return self.prefix + key in self.values

    def array(self, key: str, kinds: str) -> np.ndarray:
        if not self.has(key):
            raise ValueError(f"{self.name}{key}: missing")
        found = np.asarray(self.values[self.prefix + key])
        if found.dtype.kind not in kinds:
            raise ValueError(f"{self.name}{key}: unexpected {found.dtype} of shape {found.shape}")
        return found

    def whole(self, key: str, *shapes: tuple[int, ...]) -> np.ndarray:
        """Integers of one of `shapes`; any will do if there are none."""
        found = self.array(key, "iu")
        self._check_shape(key, found, *shapes)
        return found

    def real(self, key: str, *shapes: tuple[int, ...]) -> np.ndarray:
        found = self.array(key, "iuf")
        self._check_shape(key, found, *shapes)
        return found

    def number(self, key: str, low: int, high: int) -> int:
        found = int(self.whole(key, ()))
        if not low <= found <= high:
            raise ValueError(f"{self.name}{key}: {found} is outside {low} to {high}")
        return found

    def text(self, key: str) -> str:
        found = self.array(key, "U")
        self._check_shape(key, found, ())
        return str(found)

    def shape(self, key: str) -> tuple[int, ...]:
        sizes = tuple(int(n) for n in self.whole(key, (1,), (2,), (3,)))
        if min(sizes) < 1 or math.prod(sizes) > _MAX_UNITS:
            raise ValueError(f"{self.name}{key}: {list(sizes)} is no shape of a layer")
        return sizes

    def _check_shape(self, key: str, found: np.ndarray, *shapes: tuple[int, ...]) -> None:
        if shapes and found.shape not in shapes:
            wanted = " or ".join(str(s) if s else "one number" for s in shapes)
            raise ValueError(f"{self.name}{key}: must be {wanted}, got shape {found.shape}")


def _layer(values: _Values, in_shape: tuple[int, ...]) -> Layer:
    name, kind, shape = values.name.rstrip("/"), values.text("kind"), values.shape("shape")
    common: dict[str, Any] = {"name": name, "kind": kind, "neuron": _neuron(values, shape)}
    if kind == "input":
        layer: Layer = InputLayer(
            **common, shape=shape, gain=values.number("gain", -_ANY, _ANY), bias=values.number("offset", -_ANY, _ANY)
        )
    elif kind in ("dense", "dense_rec"):
        layer = _dense(values, common, shape, math.prod(in_shape))
    elif kind in ("conv", "pool"):
        layer = _conv(values, common, shape)
    else:
        raise ValueError(f"{name}/kind: {kind!r} is not supported, only input, dense, dense_rec, conv and pool")
    if layer.shape != shape:
        raise ValueError(f"{name}/shape: says {shape}, but the weights make it {layer.shape}")
    return layer


def _neuron(values: _Values, shape: tuple[int, ...]) -> Neuron:
    units = values.text("units")
    if units not in _NEURONS:
        raise ValueError(f"{values.name}units: {units!r} is not supported, only {', '.join(_NEURONS)}")
    kind = _NEURONS[units]
    found: dict[str, Any] = {key: _by_unit(values, name, shape) for key, (name, *_) in kind.ranges.items()}
    if kind is ResonateAndFire:
        found["phase"] = units == "RF_PHASE"
    if kind.graded:
        found["message_bits"] = values.number("message_bits", 1, _ANY)
    try:
        return kind(**found)
    except ValueError as error:
        raise ValueError(f"{values.name}message_bits: {error}") from error


def _by_unit(values: _Values, key: str, shape: tuple[int, ...]) -> np.ndarray:
    """A parameter of units: one number or one for each channel where that says the same."""
    found = values.whole(key, (math.prod(shape),))
    if (found == found[0]).all():
        return found[0]
    by_channel = found.reshape(shape[0], -1)
    return by_channel[:, 0] if (by_channel == by_channel[:, :1]).all() else found


def _delay(values: _Values, key: str) -> np.ndarray:
    """As it is, or one number if all are the same."""
    found = values.whole(key)
    return found.flat[0] if found.size and (found == found.flat[0]).all() else found


def _dense(values: _Values, common: dict[str, Any], shape: tuple[int, ...], n_in: int) -> Loihi2Layer:
    n_out = math.prod(shape)
    recurrent = common["kind"] == "dense_rec"
    return Loihi2Layer(
        **common,
        weight=values.whole("weight", (n_out, n_in)),
        weight_rec=values.whole("weight_rec", (n_out, n_out)) if recurrent else None,
        weight_imag=values.whole("weight_imag", (n_out, n_in)) if values.has("weight_imag") else None,
        bias=_by_unit(values, "bias", shape),
        delay=_delay(values, "delay"),
        delay_rec=_delay(values, "delay_rec") if recurrent else 0,
    )


def _conv(values: _Values, common: dict[str, Any], shape: tuple[int, ...]) -> ConvLayer:
    pool = common["kind"] == "pool"
    return ConvLayer(
        **common,
        weight=_kernels(values, "weight", pool),
        weight_imag=_kernels(values, "weight_imag", pool) if values.has("weight_imag") else None,
        in_shape=values.shape("in_shape"),
        groups=1 if pool else values.number("groups", 1, _ANY),
        bias=_by_unit(values, "bias", shape),
        delay=_by_unit(values, "delay", shape),
        **{name: values.whole(name, (2,)) for name in ("stride", "padding", "dilation")},  # type: ignore[arg-type]
    )


def _kernels(values: _Values, key: str, pool: bool) -> np.ndarray:
    """Those of a pool, which stand in the file once for each channel, are all the same."""
    found = values.whole(key)
    if not pool:
        return found
    if found.ndim != 4 or (found != found[:1]).any():
        raise ValueError(f"{values.name}{key}: must be one kernel for all channels, got shape {found.shape}")
    return found[:1]


def _readout(top: _Values, n_out: int) -> Readout | Average | None:
    if not top.has("readout"):
        return None
    reduce = top.text("readout")
    if reduce == "average":
        return Average(top.number("readout_classes", 1, _ANY))
    labels = top.array("readout_labels", "Uf")  # no labels are an empty array of floats
    if labels.size and labels.dtype.kind != "U":
        raise ValueError(f"readout_labels: must be text, got {labels.dtype}")
    return Readout(reduce, top.real("readout_scale", (n_out,)), tuple(map(str, labels.ravel())))
