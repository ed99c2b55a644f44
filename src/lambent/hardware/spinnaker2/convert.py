"""From a torch model to the chip's network, and back: hybrid training trains off the chip, fine-tunes on it, or both.

The network on lambent's grid (`cpu`, in torch) is the off-chip twin: it spikes in the same steps.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from lambent.connections.connections import delay_steps
from lambent.connections.matrix import array, as_matrix, gathered, spread_out
from lambent.hardware.spinnaker2.network import REDUCTIONS, Layer, Readout, Spinnaker2Network
from lambent.layers import Channel, EventDropout, LIReadout, Spiking
from lambent.layers.chain import check_chain


def to_chip(model: nn.Module, labels: Sequence[str] = ()) -> Spinnaker2Network:
    """`model` in the chip's float32 numbers; see `Spinnaker2Network` for the arithmetic.

    A spike where V equals the threshold to the last bit is one of the model only; the chip wants more.

    Args:
        model: a `torch.nn.Sequential` of layers of LIF units on one grid, reset to zero, without bias and delays, with
            or without a final `LIReadout`.
        labels: names of the classes.

    Raises:
        TypeError, ValueError: the programs of the chip have no words for it; the message names the layer and what to
            change.

    >>> model = torch.nn.Sequential(lb.LIF(5, 120), lb.LIF(120, 3))
    >>> network = lb.hardware.spinnaker2.to_chip(model)
    >>> [layer.matrix.shape for layer in network.layers]
    [(5, 120), (120, 3)]
    """
    modules, dt = check_model(model)
    layers = tuple(_layer(f"layer {i}", module, dt) for i, module in enumerate(modules))
    last = modules[-1]
    if labels and len(labels) != layers[-1].n_out:
        raise ValueError(f"{len(labels)} labels for {layers[-1].n_out} outputs")
    readout = Readout(tuple(labels), last.reduce, last.scale) if isinstance(last, LIReadout) else Readout(tuple(labels))
    return Spinnaker2Network(layers, dt, readout)


def check_model(model: nn.Module) -> tuple[list[Spiking | LIReadout], float]:
    """The layers of `model` and their step, if the chip's programs can run them; raises as `to_chip`."""
    modules, dt = check_chain(model, why="the chip's programs are for LIF units")
    for i, module in enumerate(modules):
        where = f"layer {i} ({type(module).__name__})"
        if isinstance(module, LIReadout):
            if module.reduce not in REDUCTIONS:
                raise ValueError(
                    f"{where}: reduce={module.reduce!r} is not summed up as voltages come; use one of "
                    f"{', '.join(REDUCTIONS)}"
                )
            continue
        neuron: Any = module.neuron
        if neuron.reset != "zero":
            raise ValueError(f'{where}: the chip resets to 0; train with reset="zero"')
        if neuron.bias is not None:
            raise ValueError(f"{where}: the programs have no bias; leave it out, or add an input that always spikes")
        for name in ("delay", "recurrent_delay"):
            delay = getattr(module, name)
            if delay is not None and bool((delay_steps(delay, dt) != 0).any()):
                raise ValueError(f"{where}: the programs of the chip have no delays; leave {name} out (--delay 0)")
    return cast("list[Spiking | LIReadout]", modules), dt


def _matrix(module: Spiking | LIReadout) -> np.ndarray:
    """Weights of the float model [from, to], those among the units below, float64."""
    recurrent = module.recurrent if isinstance(module, Spiking) else None
    parts = [as_matrix(x) for x in (module.connections, recurrent) if x is not None]
    return np.concatenate([spread_out(part, part.weight) for part in parts])


def _alike(one: Layer, other: Layer) -> bool:
    """Whether layers differ in weights at most."""
    if one.matrix.shape != other.matrix.shape or (one.n_in, one.spiking) != (other.n_in, other.spiking):
        return False
    return all(np.array_equal(getattr(one, x), getattr(other, x)) for x in ("tau_mem", "tau_syn", "threshold"))


def _without_weights(name: str, module: Spiking | LIReadout, dt: float) -> Layer:
    """The layer that a module is, with zeros for weights."""
    neuron: Any = module.neuron
    spiking = isinstance(module, Spiking)
    tau_mem, tau_syn = array(neuron.tau_mem), array(neuron.tau_syn)
    ones = np.ones(module.out_features)
    threshold = array(neuron.threshold) * ones if spiking else ones
    recurrent = isinstance(module, Spiking) and module.recurrent is not None
    n_from = module.in_features + module.out_features * recurrent
    return Layer(
        name=name,
        n_in=module.in_features,
        matrix=np.zeros((n_from, module.out_features), np.float32),
        tau_mem=tau_mem * ones,
        tau_syn=tau_syn * ones,
        threshold=threshold,
        least=float(neuron.least_slope(dt)) if spiking else 0.1,
        spiking=spiking,
    )


def _layer(name: str, module: Spiking | LIReadout, dt: float) -> Layer:
    plain = _without_weights(name, module, dt)
    with np.errstate(over="ignore"):
        matrix = (_matrix(module) * plain.worth(dt)).astype(np.float32)
    return replace(plain, matrix=matrix)


def check_trainable(model: nn.Module) -> None:
    """Raise ValueError where `model` wants what the chip does not do while it learns: it updates all weights alone."""
    for name, module in model.named_modules():
        if isinstance(module, (EventDropout, Channel)):
            kind = type(module).__name__
            raise ValueError(f"layer {name} ({kind}): the chip loses no spikes while it learns; leave it out")
    for name, value in model.named_parameters():
        is_weight = name.endswith("weight")
        if is_weight and not value.requires_grad:
            raise ValueError(f"{name} is frozen (requires_grad=False); the chip updates the weights of all layers")
        if value.requires_grad and not is_weight:
            raise ValueError(f"{name} is to be trained (requires_grad); the chip updates weights alone")


@torch.no_grad()
def to_torch(network: Spinnaker2Network, model: nn.Sequential) -> nn.Sequential:
    """A copy of `model`, which the network was made of, with the weights that the network has now.

    Raises:
        TypeError, ValueError: as `to_chip`; or the network is of another model.
    """
    made = copy.deepcopy(model)
    write_weights(network, made)
    return made


@torch.no_grad()
def write_weights(network: Spinnaker2Network, model: nn.Module) -> None:
    """Put the weights that the network has now into `model`, in place; raises as `to_torch`."""
    modules, dt = check_model(model)
    made = [_without_weights(x.name, module, dt) for x, module in zip(network.layers, modules, strict=False)]
    if len(network.layers) != len(modules) or network.dt != dt or not all(map(_alike, made, network.layers)):
        raise ValueError(f"the network is of another model: {network!r} with {network.layers} is not that of {model}")
    for module, layer in zip(modules, network.layers, strict=True):
        value = layer.matrix.astype(np.float64) * layer.scale / layer.worth(dt)
        inputs, loop = value[: layer.n_in], value[layer.n_in :]
        _write(module.weight, module.connections, inputs)
        if isinstance(module, Spiking) and module.recurrent is not None:
            _write(module.recurrent_weight, module.recurrent, loop)


def _write(weight: Any, connections: Any, matrix: np.ndarray) -> None:
    kind = as_matrix(connections)
    if kind is not connections:
        raise TypeError(
            f"{type(connections).__name__} connections became a matrix on the chip, whose weights they cannot take; "
            "train Dense or Sparse ones there"
        )
    weight.copy_(torch.from_numpy(gathered(kind, matrix)).to(weight.dtype))
