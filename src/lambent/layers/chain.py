"""`check_chain`: a model as the list of its layers, for everything that writes models down."""

from __future__ import annotations

import torch
from torch import nn

from lambent.layers.lif import LIF
from lambent.layers.readout import LIReadout


def check_chain(model: nn.Module) -> tuple[list[LIF | LIReadout], float]:
    """The layers of `model`, a `torch.nn.Sequential` of `LIF` with or without a final `LIReadout`, and their dt [ms].

    Raises:
        TypeError: the model is no Sequential or holds another kind of layer.
        ValueError: no layers, a readout that is not last, sizes or steps that do not fit each other, values
            that no network can have; the message names the layer.
    """
    if not isinstance(model, nn.Sequential):
        raise TypeError(f"the model must be a torch.nn.Sequential, got {type(model).__name__}")
    if not len(model):
        raise ValueError("the model has no layers")
    layers: list[LIF | LIReadout] = []
    dt = 0.0
    for i, module in enumerate(model):
        where = f"layer {i} ({type(module).__name__})"
        if not isinstance(module, (LIF, LIReadout)):
            raise TypeError(f"{where}: only LIF and a final LIReadout can be converted")
        if isinstance(module, LIReadout) and i != len(model) - 1:
            raise ValueError(f"{where}: a readout must be the last layer")
        if module.dt is None:
            raise ValueError(f"{where}: dt=None has no steps; give all layers a dt such as 1.0 ms")
        if i and module.dt != dt:
            raise ValueError(f"{where}: dt is {module.dt} ms, that of layer 0 is {layers[0].dt} ms")
        if layers and module.in_features != layers[-1].out_features:
            raise ValueError(f"{where}: takes {module.in_features} inputs, but gets {layers[-1].out_features}")
        for name, parameter in module.named_parameters():
            if not torch.isfinite(parameter).all():
                raise ValueError(f"{where}: {name} holds NaN or infinity")
            if name in ("tau_mem", "tau_syn", "threshold") and not (parameter > 0).all():
                raise ValueError(f"{where}: {name} must be positive")
        layers.append(module)
        dt = module.dt
    return layers, dt
