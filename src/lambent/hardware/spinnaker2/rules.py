"""What is learned, and how: the losses and the two rules for the adjoint.

Both rules run one tick a step backwards, i = T-2 .. 0. A unit holds two adjoints, a source that spiked at step i gets
an *error* from every unit that it connects to, and its weight to that unit a gradient; W is the weight between them.

**"bena2024"**, the rule of Bena et al. (arXiv 2412.15021; the off-chip twin github.com/GabrielBena/pytorch-eventprop),
with lV, lI the adjoints after, and lV', lI' those before tick i, both zero at T-1, and g what a spike of step i+1 has
got as errors and from the loss:

    error += W (lV' - lI')
    lI = alpha lI' + (1 - alpha) lV'
    lV = beta lV' + s[i+1] (lV' + g) / (I[i+1] - V[i+1] + 1e-10)
    gradient -= tau_syn lI

where V is the voltage before the reset. Its loss has no gradient for silent outputs, nor for a spike in the last step:
an output that falls silent never returns.

**"lambent"**, the grid's own adjoint (DESIGN 4.1, 4.2; `lambent.neurons.lif`) in the chip's weights, with aV, aI the
derivatives of the loss with respect to the state after step i+1, kappa = (1 - beta) / k:

    spiked at i+1:  aV := aV (1 + 1 / (tau_mem slope)) - error / slope + push        slope = (kappa I - V) / tau_mem
    b = (1 - beta) aV + aI
    error += W (b / tau_syn - kappa aV / tau_mem)
    gradient += b
    aI := alpha b        aV := beta aV

slope is taken to be `least` where it is below that. `push` is what one more spike of the unit would be worth: it
enters at each spike, for a unit that was silent at its highest voltage, and where this never rose above rest at all
steps alike (`lambent.Spiking`). It comes from the penalty on rates, and for an output from its first spike that never
came.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

RULES = ("lambent", "bena2024")


def _need(name: str, value: object, good: bool, what: str) -> None:
    if not good:
        raise ValueError(f"{name} must be {what}, got {value}")


@dataclass(frozen=True)
class FirstSpike:
    """Cross-entropy of first spikes, as `lambent.losses.first_spike_cross_entropy`; the defaults are Bena et al.'s.

    -log softmax(-t / tau)[label] + alpha (exp(t[label] / tau_alpha) - 1), t the first spikes' times [ms].

    Raises:
        ValueError: a time constant is not positive, or `alpha` negative.
    """

    tau: float = 1.5
    alpha: float = 1e-2
    tau_alpha: float = 100.0

    def __post_init__(self) -> None:
        for name in ("tau", "tau_alpha"):
            _need(name, getattr(self, name), 0 < getattr(self, name) < math.inf, "positive")
        _need("alpha", self.alpha, 0 <= self.alpha < math.inf, "0 or more")


@dataclass(frozen=True)
class CrossEntropy:
    """Cross-entropy of a readout's scores, with label smoothing.

    Attributes:
        label_smoothing: as `torch.nn.functional.cross_entropy`.
        count_gradient: weight of what spikes are worth that come or go, beside their times (`lambent.LIReadout`). Here
            each spike gets what it is worth itself, where `LIReadout` gives all of a unit their mean.

    Raises:
        ValueError: a value is out of range.
    """

    label_smoothing: float = 0.0
    count_gradient: float = 1.0

    def __post_init__(self) -> None:
        _need("label_smoothing", self.label_smoothing, 0 <= self.label_smoothing < 1, "in [0, 1)")
        _need("count_gradient", self.count_gradient, 0 <= self.count_gradient < math.inf, "0 or more")


Loss = FirstSpike | CrossEntropy


@dataclass(frozen=True)
class Rule:
    """How a network learns.

    Attributes:
        adjoint: one of `RULES`.
        loss: on the last layer.
        rates: for each spiking layer the mean spikes per unit and sample below and above which units are pulled; None
            for none. Of "lambent" only: `lambent.losses.rate_penalty`.
        rate_strength: weight of that penalty.

    Raises:
        ValueError: a value is out of range, or "bena2024" with rates.
    """

    adjoint: str = "lambent"
    loss: Loss = FirstSpike()
    rates: tuple[tuple[float, float], ...] | None = None
    rate_strength: float = 1.0

    def __post_init__(self) -> None:
        if self.adjoint not in RULES:
            raise ValueError(f"rule must be one of {', '.join(RULES)}, got {self.adjoint!r}")
        if not isinstance(self.loss, (FirstSpike, CrossEntropy)):
            raise TypeError(f"loss must be a FirstSpike or a CrossEntropy, got {type(self.loss).__name__}")
        if self.adjoint == "bena2024":
            if self.rates is not None:
                raise ValueError("bena2024 knows no rates: silent units stay silent under it; use rule='lambent'")
            if isinstance(self.loss, CrossEntropy):
                raise ValueError("bena2024 has a loss on first spikes only; for a readout use rule='lambent'")
        for lower, upper in self.rates or ():
            _need("rates", (lower, upper), 0 <= lower <= upper, "pairs of 0 <= lower <= upper")
        _need("rate_strength", self.rate_strength, 0 <= self.rate_strength < math.inf, "0 or more")
