"""The network that a `Config` describes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lambent.hardware.chip import find_chip
from lambent.layers import LIF, LIReadout
from lambent.layers import calibrate as calibrate  # where programs used to find it
from lambent.training.config import Config


def build_model(config: Config, n_units: int, n_classes: int) -> nn.Sequential:
    """Hidden LIF layers and an LI readout as `config` says, with random weights from its seed."""
    generator = torch.Generator().manual_seed(config.seed)

    def spread(tau: float) -> Tensor:
        return tau * torch.exp(config.tau_spread * torch.randn(config.hidden, generator=generator))

    max_delay = find_chip(config.chip).max_delay * config.dt
    longest = min(config.delay, max_delay)
    layers: list[nn.Module] = []
    size = n_units
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        for _ in range(config.layers):
            delay = torch.rand(size, config.hidden, generator=generator) * longest if longest else None
            layer = LIF(
                size,
                config.hidden,
                recurrent=config.recurrent,
                tau_mem=spread(config.tau_mem).clamp(min=config.dt),
                tau_syn=spread(config.tau_syn).clamp(min=config.dt),
                reset=config.reset,
                delay=delay,
                max_delay=max_delay,
                dt=config.dt,
            )
            layer.tau_mem.requires_grad_(config.lr_tau > 0)
            layer.tau_syn.requires_grad_(config.lr_tau > 0)
            if layer.delay is not None:
                layer.delay.requires_grad_(config.lr_delay > 0)
            layers.append(layer)
            size = config.hidden
        layers.append(
            LIReadout(
                size,
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
