"""What a unit does with what arrives at it, independent of who sends it and of how time passes."""

from lambent.neurons.adaptive import AdaptiveLIF
from lambent.neurons.adlif import AdLIF
from lambent.neurons.equations import Equations
from lambent.neurons.integrator import Integrator
from lambent.neurons.lif import LIF
from lambent.neurons.neuron import Neuron
from lambent.neurons.refractory import RefractoryLIF
from lambent.neurons.resonator import Resonator

NEURONS: tuple[type[Neuron], ...] = (LIF, AdaptiveLIF, AdLIF, RefractoryLIF, Resonator, Equations, Integrator)
"""Every neuron, for the tests that all of them pass."""

__all__ = ["LIF", "NEURONS", "AdLIF", "AdaptiveLIF", "Equations", "Integrator", "Neuron", "RefractoryLIF", "Resonator"]
