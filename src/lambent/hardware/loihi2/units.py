"""What a model's units are on the chip: its constants, rounded to 12 bits, and what those are worth in a model.

LIF units and leaky integrators are CUBA units, resonators resonate-and-fire units. A voltage, of resonators Re, is
counted in units of the chip, of which `scale` make one of the model's; see `lambent.hardware.loihi2.convert`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lambent.connections.matrix import array
from lambent.hardware.loihi2 import neurons as chip
from lambent.machine.warn import warn_caller
from lambent.neurons import LIF, Integrator, Neuron, Resonator
from lambent.neurons.response import grid_constants

KINDS = (LIF, Resonator)
"""Spiking neurons that the chip has."""

_TAU_ERROR = 0.05  # of a time constant on the chip, from which it is warned of


@dataclass(frozen=True, eq=False)
class ChipUnits:
    """Units in the chip's constants; all arrays are float64 (n,), one value for each.

    Attributes:
        neuron: the chip's, without thresholds.
        threshold: of the model, None for units that never spike.
        bias: of the model, or None.
        gain: what multiplies a weight so that the mean response to a spike stays the same, and the chip's factor k is
            in it.
        response: the voltage, of resonators |z|, summed over time, per unit of `gain` times weight.
        times: time constants [ms] that the rounded constants are worth, by name.
        errors: by how much that changed each, relative to it; signed.
        lost: those of the model, by name, that the chip cannot have at all.
    """

    neuron: chip.Neuron
    threshold: np.ndarray | None
    bias: np.ndarray | None
    gain: np.ndarray
    response: np.ndarray
    times: dict[str, np.ndarray]
    errors: dict[str, np.ndarray]
    lost: dict[str, np.ndarray]

    def with_thresholds(self, mantissa: np.ndarray) -> chip.Neuron:
        """The chip's neuron with thresholds."""
        return type(self.neuron)(**{**vars(self.neuron), "v_th_mant": mantissa})

    def check(self, name: str, dt: float) -> None:
        """Raise ValueError where the chip has no decay for a time constant, warn where that is far from it."""
        for constant, lost in self.lost.items():
            if len(lost):
                low, high = (time_constant(np.array(d), dt) for d in (4095.5, 0.5))
                raise ValueError(
                    f"{name}: {constant} of {lost[0]:g} ms cannot be had on the chip, whose decays, in 1/4096 of a "
                    f"step of {dt:g} ms, hold {low:.3g} to {high:.3g} ms; take other time constants or another dt"
                )
        for constant, error in self.errors.items():
            worst = error[np.abs(error).argmax()]
            if abs(worst) > _TAU_ERROR:
                warn_caller(
                    f"{name}: {constant} is up to {worst:+.0%} off on the chip, whose decays are rounded to 1/4096 of "
                    f"a step of {dt:g} ms; with a longer dt, or shorter time constants, they come closer"
                )


def units_on_chip(neuron: Neuron, dt: float) -> ChipUnits:
    """LIF units, leaky integrators or resonators in the chip's constants."""
    return _resonators(neuron, dt) if isinstance(neuron, Resonator) else _cuba(neuron, dt)


def time_constant(decay: np.ndarray, dt: float) -> np.ndarray:
    """The time constant [ms] of decays in 1/4096 per step of `dt`."""
    return -dt / np.log(1 - decay / 4096)


def times_of(neuron: chip.Neuron, dt: float) -> dict[str, np.ndarray]:
    """What the constants of a neuron of the chip are worth: time constants [ms] of a model, by name."""
    if isinstance(neuron, chip.ResonateAndFire):
        sin, cos = (np.asarray(x, np.float64) for x in (neuron.sin_decay, neuron.cos_decay))
        return {
            "tau_mem": -dt / np.log(np.hypot(sin, cos) / 4096),
            "period": 2 * math.pi * dt / (np.arctan2(sin, cos) % (2 * math.pi)),
        }
    cuba: Any = neuron
    return {"tau_mem": time_constant(cuba.v_decay, dt), "tau_syn": time_constant(cuba.i_decay, dt)}


def weight_worth(effect: np.ndarray, times: dict[str, np.ndarray], dt: float) -> np.ndarray:
    """The weights (fan-in, n) that have this effect on the voltage of units (n,) with such time constants."""
    if "tau_syn" not in times:
        return effect
    tau_mem, tau_syn = (torch.from_numpy(times[name]).float() for name in ("tau_mem", "tau_syn"))
    return effect / grid_constants(tau_mem, tau_syn, dt)[2].double().numpy()


def bias_worth(bias: np.ndarray, scale: np.ndarray, neuron: chip.CUBA) -> np.ndarray:
    """The biases (n,) of a model that integers are worth; `scale` is that of `Integers`."""
    return bias * 4096.0 / (scale * neuron.v_decay)


def _cuba(neuron: Any, dt: float) -> ChipUnits:
    alpha_mem, alpha_syn, gain = (array(x) for x in grid_constants(neuron.tau_mem, neuron.tau_syn, dt))
    v_decay, i_decay = (np.clip(np.rint((1 - x) * 4096), 1, 4095).astype(np.int64) for x in (alpha_mem, alpha_syn))
    made = chip.CUBA(i_decay, v_decay)
    # V summed over time per unit of k w: that of the model, and that of the rounded decays
    response = 1 / (v_decay / 4096 * (i_decay / 4096))
    with np.errstate(divide="ignore"):  # of what `check` refuses
        gain = gain / ((1 - alpha_mem) * (1 - alpha_syn)) / response
    wanted = {"tau_mem": array(neuron.tau_mem), "tau_syn": array(neuron.tau_syn)}
    bias: Tensor | None = getattr(neuron, "bias", None)
    times = times_of(made, dt)
    return ChipUnits(
        neuron=made,
        threshold=None if isinstance(neuron, Integrator) else array(neuron.threshold),
        bias=None if bias is None else array(bias),
        gain=gain,
        response=response,
        times=times,
        errors={name: times[name] / tau - 1 for name, tau in wanted.items()},
        lost={  # decays of 12 bits that are none
            name: tau[(decay < 0.5 / 4096) | (decay > 4095.5 / 4096)]
            for (name, tau), decay in zip(wanted.items(), (1 - alpha_mem, 1 - alpha_syn), strict=True)
        },
    )


def _resonators(neuron: Any, dt: float) -> ChipUnits:
    units = neuron.on_grid(dt, torch.float64)
    sin, cos = (np.rint(array(x) * 4096).astype(np.int64) for x in (units.sin, units.cos))
    left = np.hypot(sin, cos) / 4096
    wanted = {name: array(getattr(neuron, name)) for name in ("tau_mem", "period")}
    decay = -np.expm1(-dt / wanted["tau_mem"])
    gone = (left >= 1) | (decay < 0.5 / 4096) | (decay > 4095.5 / 4096)
    lost = {"tau_mem": wanted["tau_mem"][gone], "period": wanted["period"][(sin == 0) & ~gone]}
    made = chip.ResonateAndFire(sin, cos, phase=neuron.rule == "phase")
    with np.errstate(divide="ignore", invalid="ignore"):  # of what `check` refuses
        times = times_of(made, dt)
        response = 1 / np.maximum(1 - left, 1 / 4096)
    return ChipUnits(
        neuron=made,
        threshold=array(neuron.threshold),
        bias=None,
        gain=np.ones(len(sin)),
        response=response,
        times=times,
        errors={name: times[name] / tau - 1 for name, tau in wanted.items()},
        lost=lost,
    )
