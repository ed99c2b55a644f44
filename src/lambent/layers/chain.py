"""`parts`: what a model is made of; `check_chain`: a model as a chain of layers, for all that write models down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

from lambent.connections.connections import Connections
from lambent.layers.channel import Channel
from lambent.layers.dropout import EventDropout
from lambent.layers.integrators import LI, Integrators
from lambent.layers.readout import LIReadout
from lambent.layers.spiking import Spiking
from lambent.neurons.integrator import Integrator
from lambent.neurons.lif import LIF
from lambent.neurons.neuron import Neuron


class Part(NamedTuple):
    """One layer of a model.

    Attributes:
        name: as in `named_modules`.
        layer: the module.
        connections, recurrent: from its inputs, and among its units or None.
        neuron: its units.
    """

    name: str
    layer: Spiking | LIReadout
    connections: Connections
    neuron: Neuron
    recurrent: Connections | None


def parts(model: nn.Module) -> list[Part]:
    """The layers of any model, wherever they lie in it; other modules are passed over."""
    found = []
    for name, module in model.named_modules():
        if isinstance(module, (Spiking, LIReadout)):
            recurrent = module.recurrent if isinstance(module, Spiking) else None
            found.append(Part(name, module, module.connections, module.neuron, recurrent))
    return found


def check_chain(
    model: nn.Module, neurons: Sequence[type[Neuron]] = (LIF,), why: str = ""
) -> tuple[list[Spiking | Integrators], float]:
    """The layers of `model`, a `torch.nn.Sequential` of spiking ones with or without a final `LIReadout`, and their dt.

    What acts in training alone, `EventDropout` and most `Channel`s, is left out.

    Args:
        neurons: the units that there are words for; with `Integrator` a layer may be `LI`.
        why: what to say of others.

    Raises:
        TypeError: the model is no Sequential or holds another kind of layer, or of units.
        ValueError: no layers, a readout that is not last, sizes or steps that do not fit each other, values
            that no network can have; the message names the layer.
    """
    if not isinstance(model, nn.Sequential):
        raise TypeError(f"the model must be a torch.nn.Sequential, got {type(model).__name__}")
    if not len(model):
        raise ValueError("the model has no layers")
    layers: list[Spiking | Integrators] = []
    dt = 0.0
    for i, module in enumerate(model):
        if isinstance(module, EventDropout) or (isinstance(module, Channel) and not module.in_evaluation):
            continue
        where = f"layer {i} ({type(module).__name__})"
        if isinstance(module, LI) and Integrator not in neurons:
            raise TypeError(
                f"{where}: sends voltages as the values of its spikes; only spikes without values can be converted"
            )
        if not isinstance(module, (Spiking, Integrators)):
            raise TypeError(f"{where}: only LIF and other spiking layers and a final LIReadout can be converted")
        if isinstance(module, Spiking) and type(module.neuron) not in neurons:
            kinds = " or ".join(f"lambent.neurons.{kind.__name__}" for kind in neurons)
            raise TypeError(
                f"{where}: has {type(module.neuron).__name__} units, which cannot be converted{why and f': {why}'}; "
                f"train the layer with {kinds}"
            )
        if isinstance(module, Spiking) and module.payload_bits:
            raise TypeError(
                f"{where}: its spikes carry {module.payload_bits} bits; only spikes without values (payload_bits=None) "
                "can be converted"
            )
        if isinstance(module, LIReadout) and i != len(model) - 1:
            raise ValueError(f"{where}: a readout must be the last layer")
        if module.dt is None:
            raise ValueError(f"{where}: dt=None has no steps; give all layers a dt such as 1.0 ms")
        if layers and module.dt != dt:
            raise ValueError(f"{where}: dt is {module.dt} ms, that of layer 0 is {layers[0].dt} ms")
        if layers and module.in_features != layers[-1].out_features:
            raise ValueError(f"{where}: takes {module.in_features} inputs, but gets {layers[-1].out_features}")
        for name, value in module.state_dict().items():
            if not torch.isfinite(value).all():
                raise ValueError(f"{where}: {name} holds NaN or infinity")
            if name in ("tau_mem", "tau_syn", "period", "threshold") and not (value > 0).all():
                raise ValueError(f"{where}: {name} must be positive")
        layers.append(module)
        dt = module.dt
    return layers, dt
