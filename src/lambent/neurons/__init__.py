"""What a unit does with what arrives at it, independent of who sends it and of how time passes."""

from lambent.neurons.adaptive import AdaptiveLIF
from lambent.neurons.integrator import Integrator
from lambent.neurons.lif import LIF
from lambent.neurons.neuron import Neuron

NEURONS: tuple[type[Neuron], ...] = (LIF, AdaptiveLIF, Integrator)
"""Every neuron, for the tests that all of them pass."""

__all__ = ["LIF", "NEURONS", "AdaptiveLIF", "Integrator", "Neuron"]
