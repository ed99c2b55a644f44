"""Writing networks into open NetX files; see `lambent.hardware.loihi2.netx` for the layout."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from lambent.hardware.loihi2.layers.base import Layer
from lambent.hardware.loihi2.layers.conv import ConvLayer
from lambent.hardware.loihi2.layers.dense import Loihi2Layer
from lambent.hardware.loihi2.layers.input import InputLayer
from lambent.hardware.loihi2.network import Loihi2Network
from lambent.hardware.loihi2.neurons import CUBA, Graded, Neuron, ResonateAndFire, Sigma
from lambent.hardware.loihi2.readout import Average, Readout


def write_network(h5: h5py.File, network: Loihi2Network) -> None:
    """Write `network` into an empty file, the same bytes for the same network."""
    h5.attrs["lambent_dt"] = network.dt
    if network.message_bits:
        h5.attrs["lambent_message_bits"] = network.message_bits
    if network.reset_interval is not None:
        h5.attrs["lambent_reset_interval"] = network.reset_interval
        h5.attrs["lambent_reset_offset"] = network.reset_offset
    if isinstance(network.readout, Readout):
        h5.attrs["lambent_readout_reduce"] = np.bytes_(network.readout.reduce)
        h5.attrs["lambent_readout_scale"] = network.readout.scale
        if network.readout.labels:
            labels = [label.encode() for label in network.readout.labels]
            h5.attrs["lambent_readout_labels"] = np.array(labels)
    n = 0

    def group(kind: str, shape: tuple[int, ...]) -> h5py.Group:
        nonlocal n
        created = h5.create_group(f"layer/{n}")
        created["type"], created["shape"] = np.bytes_(kind), np.array(shape)
        n += 1
        return created

    if not isinstance(network.layers[0], InputLayer):
        group("input", network.in_shape)
    shape = network.in_shape
    for layer in network.layers:
        if isinstance(layer, Loihi2Layer) and len(shape) == 3:
            group("flatten", (layer.n_in, 1, 1))
        _write_layer(group(layer.kind, layer.shape), layer)
        shape = layer.shape
    if isinstance(network.readout, Average):
        group("average", (network.readout.n_classes, 1, 1))


def _write_layer(group: h5py.Group, layer: Layer) -> None:
    if isinstance(layer, InputLayer):
        group["weight"], group["bias"] = np.array([layer.gain]), np.array([layer.bias])
    elif isinstance(layer, Loihi2Layer):
        group["inFeatures"] = np.int32(layer.n_in)
        group["outFeatures"] = np.int32(layer.n_out)
        _write_weights(group, layer)
        if layer.weight_rec is not None:
            _put(group, "weight_rec", layer.weight_rec.astype(np.float32))
        if np.any(layer.delay_rec):
            _put(group, "delay_rec", layer.delay_rec)
    elif isinstance(layer, ConvLayer):
        if layer.kind == "conv":
            group["inChannels"], group["outChannels"] = layer.in_shape[0], layer.shape[0]
            group["groups"] = layer.groups
        group["kernelSize"] = np.array(layer.weight.shape[2:])
        for field in ("stride", "padding", "dilation"):
            group[field] = np.array(getattr(layer, field))
        _write_weights(group, layer)
    _write_neuron(group, layer, layer.neuron)


def _write_weights(group: h5py.Group, layer: Loihi2Layer | ConvLayer) -> None:
    if layer.weight_imag is None:
        _put(group, "weight", layer.weight.astype(np.float32))
    else:
        group.create_group("weight")  # one made on the way to a dataset would hold the time
        _put(group, "weight/real", layer.weight.astype(np.float32))
        _put(group, "weight/imag", layer.weight_imag.astype(np.float32))
    if np.any(layer.bias):
        _put(group, "bias", _by_unit(layer, layer.bias))
    if np.any(layer.delay):
        _put(group, "delay", layer.delay)


def _write_neuron(group: h5py.Group, layer: Layer, neuron: Neuron) -> None:
    group.create_group("neuron")
    group["neuron/type"] = neuron.type
    for field, (dataset, *_) in neuron.ranges.items():
        _put(group, f"neuron/{dataset}", _by_unit(layer, getattr(neuron, field)))
    if isinstance(neuron, CUBA):
        group["neuron/refDelay"] = np.int32(0)
    if isinstance(neuron, (CUBA, ResonateAndFire)):
        group["neuron/gradedSpike"] = False
    if isinstance(neuron, Graded):
        group["neuron/activation"] = "relu"
        if neuron.message_bits != type(neuron)().message_bits:
            group["neuron/messageBits"] = np.int32(neuron.message_bits)
    if isinstance(neuron, Sigma):
        group["neuron/sigma_output"] = True


def _by_unit(layer: Layer, value: Any) -> np.ndarray:
    """`value` as files hold it: that of each unit of an image by width, height and channel."""
    value = np.asarray(value)
    if len(layer.shape) == 3 and value.ndim == 1 and len(value) == layer.n_out != layer.shape[0]:
        return value.reshape(layer.shape).transpose(2, 1, 0)
    return value


def _put(group: h5py.Group, name: str, value: Any) -> None:
    """Arrays are compressed, which HDF5 undoes for every reader; zeros of sparse connections then take little room."""
    packed = {"compression": "gzip", "shuffle": True, "fletcher32": True} if np.ndim(value) else {}
    group.create_dataset(name, data=np.asarray(value), **packed)
