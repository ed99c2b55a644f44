"""A neuron that the package does not have, as its user would write it: LIF units that a spike takes below rest."""

from __future__ import annotations

from lambent.neurons import LIF
from lambent.neurons.lif import LIFUnits


class DeepResetUnits(LIFUnits):
    """Units that a spike takes to -0.5."""

    @staticmethod
    def reset(x, p):
        return x[0], 0.0 * x[1] - 0.5

    @staticmethod
    def jump(a, pull, push, marks, p):
        ratio = 1 + (p.threshold + 0.5) / (p.tau_mem * marks[0])
        return a[0], a[1] * ratio - pull / marks[0] + push


class DeepReset(LIF):
    """LIF units that a spike takes to -0.5."""

    def on_grid(self, dt, dtype):
        return DeepResetUnits(*super().on_grid(dt, dtype))


class UntrainedUnits(DeepResetUnits):
    """Units that know no gradients of their fields."""

    step_gradients = spike_gradients = ()


class Untrained(DeepReset):
    """A neuron that does not learn."""

    def on_grid(self, dt, dtype):
        return UntrainedUnits(*super().on_grid(dt, dtype))
