"""NetX files: the HDF5 layout in which Lava exchanges networks for Loihi 2.

    layer/0/type = "input", layer/0/shape
    layer/i/type = "dense" or "dense_rec", shape, inFeatures, outFeatures, weight (out, in), and optionally
    weight_rec (out, out) and bias (out,), delay
    layer/i/neuron/type = "CUBA" (or "LOIHI"), iDecay, vDecay, vThMant, refDelay, gradedSpike

What only lambent knows, the step length and the readout, is kept in attributes of the root that start with
`lambent_`; other readers ignore them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from lambent.files import replacing
from lambent.hardware.loihi2.hdf5 import (
    H5_ERRORS,
    read_attribute,
    read_numbers,
    read_size,
    read_text,
    read_truncated,
    read_whole,
)
from lambent.hardware.loihi2.network import Loihi2Layer, Loihi2Network
from lambent.hardware.loihi2.readout import Readout


def save_netx(network: Loihi2Network, path: str | os.PathLike[str]) -> None:
    """Write `network` to a NetX file, whole or not at all.

    Arrays and the structure of the file carry checksums, so that damage is noticed on reading.
    """
    with replacing(Path(path)) as temporary, h5py.File(temporary, "w", libver="v110") as h5:
        h5.attrs["lambent_dt"] = network.dt
        if network.readout is not None:
            h5.attrs["lambent_readout_reduce"] = np.bytes_(network.readout.reduce)
            h5.attrs["lambent_readout_scale"] = network.readout.scale
            if network.readout.labels:
                labels = [label.encode() for label in network.readout.labels]
                h5.attrs["lambent_readout_labels"] = np.array(labels)
        source = h5.create_group("layer/0")
        source["type"] = np.bytes_("input")
        source["shape"] = np.array([network.n_in])
        for i, layer in enumerate(network.layers, start=1):
            _write_layer(h5.create_group(f"layer/{i}"), layer)


def _write_layer(group: h5py.Group, layer: Loihi2Layer) -> None:
    def put(name: str, value: Any) -> None:
        group.create_dataset(name, data=np.asarray(value), fletcher32=np.ndim(value) > 0)

    group["type"] = np.bytes_(layer.kind)
    group["shape"] = np.array([layer.n_out])
    group["inFeatures"] = np.int32(layer.n_in)
    group["outFeatures"] = np.int32(layer.n_out)
    put("weight", layer.weight.astype(np.float32))
    if layer.weight_rec is not None:
        put("weight_rec", layer.weight_rec.astype(np.float32))
    if np.any(layer.bias):
        put("bias", layer.bias)
    if np.any(layer.delay):
        put("delay", layer.delay)
    group["neuron/type"] = "CUBA"
    put("neuron/iDecay", layer.i_decay)
    put("neuron/vDecay", layer.v_decay)
    put("neuron/vThMant", layer.v_th_mant)
    group["neuron/refDelay"] = np.int32(0)
    group["neuron/gradedSpike"] = False


def load_netx(path: str | os.PathLike[str]) -> Loihi2Network:
    """Read a NetX file of dense and dense_rec layers of CUBA units.

    Weights, biases and delays stored as floating point are truncated to integers, as Lava does. A file
    without an input layer is read too; its first layer says how many inputs there are.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no HDF5, damaged, or not such a network; the message names the file, and where
            one is at fault, the layer and the dataset.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        h5 = h5py.File(path, "r")
    except H5_ERRORS as error:
        raise ValueError(f"{path}: no HDF5 file, or damaged ({error})") from error
    with h5:
        try:
            return _read_network(h5)
        except H5_ERRORS as error:
            raise ValueError(f"{path}: {error}") from error


def _read_network(h5: h5py.File) -> Loihi2Network:
    names = _layer_names(h5)
    n_in = None
    if read_text(h5, f"{names[0]}/type") == "input":
        if f"{names[0]}/neuron" in h5:
            raise ValueError(f"{names[0]}/neuron: input layers with units of their own are not supported")
        n_in = read_size(h5, f"{names[0]}/shape")
        names = names[1:]
    if not names:
        raise ValueError("layer: there is no layer besides the input")
    layers: list[Loihi2Layer] = []
    for name in names:
        n_before = layers[-1].n_out if layers else n_in
        layers.append(_read_layer(h5, name, n_before))
    dt = read_attribute(h5, "lambent_dt", "f", ())
    return Loihi2Network(
        n_in=layers[0].n_in if n_in is None else n_in,
        layers=layers,
        dt=1.0 if dt is None else float(dt),
        readout=_read_readout(h5, layers[-1].n_out),
    )


def _layer_names(h5: h5py.File) -> list[str]:
    try:
        keys = set(h5["layer"])
    except H5_ERRORS as error:
        raise ValueError(f"layer: missing, or damaged ({error})") from error
    wanted = [str(i) for i in range(len(keys))]
    if not keys or keys != set(wanted):
        raise ValueError(f"layer: layers must be numbered from 0 without gaps, found {sorted(keys)}")
    return [f"layer/{key}" for key in wanted]


def _read_layer(h5: h5py.File, name: str, n_in: int | None) -> Loihi2Layer:
    kind = read_text(h5, f"{name}/type")
    if kind not in ("dense", "dense_rec"):
        raise ValueError(f"{name}/type: layers of type {kind!r} are not supported, only dense and dense_rec")
    neuron = read_text(h5, f"{name}/neuron/type")
    if kind == "dense" and f"{name}/weight_rec" in h5:
        raise ValueError(f"{name}/weight_rec: has no meaning in a layer of type dense")
    if neuron not in ("CUBA", "LOIHI"):
        raise ValueError(f"{name}/neuron/type: units of type {neuron!r} are not supported, only CUBA and LOIHI")
    for dataset, limit in (("refDelay", 1), ("gradedSpike", 0), ("messageBits", 0)):
        where = f"{name}/neuron/{dataset}"
        if where in h5 and (read_numbers(h5, where, (), (1,)) > limit).any():
            raise ValueError(f"{where}: above {limit} is not supported")

    n_out = read_size(h5, f"{name}/shape")
    if n_in is None:
        n_in = int(read_whole(h5, f"{name}/inFeatures", (), (1,)).reshape(()))
    for dataset, n in (("inFeatures", n_in), ("outFeatures", n_out)):
        where = f"{name}/{dataset}"
        if where in h5 and (read_whole(h5, where, (), (1,)) != n).any():
            raise ValueError(f"{where}: says {read_whole(h5, where, (), (1,))}, the layers' shapes say {n}")

    weight = read_truncated(h5, f"{name}/weight", (n_out, n_in))
    weight_rec = read_truncated(h5, f"{name}/weight_rec", (n_out, n_out)) if kind == "dense_rec" else None
    bias = read_truncated(h5, f"{name}/bias", (n_out,)) if f"{name}/bias" in h5 else 0
    delays = ((), (n_out,), (n_in,), (n_out, n_in))
    return Loihi2Layer(
        name=name,
        kind=kind,
        weight=weight,
        weight_rec=weight_rec,
        bias=bias,
        delay=read_truncated(h5, f"{name}/delay", *delays) if f"{name}/delay" in h5 else 0,
        i_decay=read_whole(h5, f"{name}/neuron/iDecay", (), (n_out,)),
        v_decay=read_whole(h5, f"{name}/neuron/vDecay", (), (n_out,)),
        v_th_mant=read_whole(h5, f"{name}/neuron/vThMant", (), (n_out,)),
    )


def _read_readout(h5: h5py.File, n_out: int) -> Readout | None:
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
