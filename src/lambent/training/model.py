"""The network that a `Config` describes."""

from __future__ import annotations

import math

import torch
from torch import nn

from lambent.layers import LIReadout
from lambent.layers import calibrate as calibrate  # where programs used to find it
from lambent.training.config import Config
from lambent.training.describing import Defaults, make_layer, shape_of_inputs, weights_of_all


def check_layers(config: Config, n_units: int) -> None:
    """Raise ValueError if the layers of `config` do not fit so many inputs, or each other; names the layer.

    So for `rewire` without a sparse layer.
    """
    layers = config.descriptions()
    if config.rewire and not any(said.connections == "sparse" for said in layers):
        raise ValueError(f"rewire is of sparse layers (layer = 'sparse 256 density 0.1'), got {config.rewire:g}")
    weights_of_all(layers, shape_of_inputs(config.input_shape, n_units))


def build_model(config: Config, n_units: int, n_classes: int, duration: float = math.inf) -> nn.Sequential:
    """Hidden layers and an LI readout as `config` says, with random weights from its seed.

    Args:
        n_units, n_classes: inputs and classes.
        duration: length of a sample [ms]; initial delays take half of it at most, lest spikes come after its end.

    Raises:
        ValueError: a layer does not fit its inputs.
    """
    generator = torch.Generator().manual_seed(config.seed)
    longest = min(config.max_delay, 0.5 * duration)
    defaults = Defaults(config.dt, config.max_delay, config.delay, longest, config.neuron_values(), config.tau_spread)
    layers: list[nn.Module] = []
    shape = shape_of_inputs(config.input_shape, n_units)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        for description in config.descriptions():
            layer, shape = make_layer(description, shape, defaults, generator)
            for name, role in layer.parameter_roles.items():
                value, rate = getattr(layer, name, None), {"tau": config.lr_tau, "delay": config.lr_delay}.get(role)
                if value is not None and rate is not None:
                    value.requires_grad_(rate > 0)
            layers.append(layer)
        layers.append(
            LIReadout(
                math.prod(shape),
                n_classes,
                tau_mem=config.readout_tau_mem,
                tau_syn=config.readout_tau_syn,
                reduce=config.reduce,
                dt=config.dt,
                scale=config.logit_scale,
                count_gradient=0.0 if config.reduce == "max" else config.count_gradient,
            )
        )
    return nn.Sequential(*layers)
