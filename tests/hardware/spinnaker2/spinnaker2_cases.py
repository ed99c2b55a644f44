"""Small networks, rules and chips for the tests of SpiNNaker2."""

from __future__ import annotations

import torch

import lambent as lb
from lambent.hardware import spinnaker2 as s2
from lambent.hardware.spinnaker2.fast import FastMachine, spikes_of
from lambent.hardware.spinnaker2.machine import Machine
from lambent.machine.denormals import denormals_flushed

INF = float("inf")


def feedforward() -> torch.nn.Sequential:
    return s2.bena2024_model(0)


def deep(last: torch.nn.Module | None = None) -> torch.nn.Sequential:
    torch.manual_seed(1)
    first = lb.LIF(5, 20, recurrent=True, tau_mem=13.0)
    second = lb.LIF(20, 12, recurrent=True, threshold=1.2, tau_syn=torch.linspace(3.0, 20.0, 12))
    return torch.nn.Sequential(first, second, last or lb.LIF(12, 3))


def readout(reduce: str = "exp_mean", count_gradient: float = 1.0) -> torch.nn.Sequential:
    torch.manual_seed(0)
    return deep(lb.LIReadout(12, 3, scale=30.0, reduce=reduce, count_gradient=count_gradient))


CASES = {
    "bena2024": (feedforward, s2.Rule("bena2024"), {}),
    "bena2024, deep": (deep, s2.Rule("bena2024"), {"groups": 2}),
    "lambent": (feedforward, s2.Rule(rates=((0.5, 5.0), (2.0, 9.0))), {"groups": 4}),
    "lambent, deep": (deep, s2.Rule(rates=((0.5, 5.0), (2.0, INF), (1.0, 2.0)), rate_strength=0.3), {}),
    "readout": (readout, s2.Rule("lambent", s2.CrossEntropy(0.1, 1.0), ((0.5, 1.0), (2.0, 9.0))), {"groups": 5}),
    "readout, times alone": (lambda: readout("last", 0.0), s2.Rule("lambent", s2.CrossEntropy(0.0, 0.0)), {}),
}
"""Models, rules, and how they are placed."""


def run_batch(chip, points, n=22):
    events, labels = points
    with denormals_flushed():
        return chip.batch(spikes_of(events[:n], 1.0), labels[:n].numpy())


def both(model, rule, batch=22, **options):
    """The packet machine and the fast one on the same placement."""
    placement = s2.place(s2.to_chip(model), 27, batch=batch, training=True, **options)
    return Machine(placement, rule, 27.0), FastMachine(placement, rule, 27.0)


def narrow(constants, **limits):
    """A chip with other limits."""
    return type(constants)(**{**vars(constants), **limits})
