"""Numba kernels of the chip model: one sample of one layer at a time, event-driven, in integers.

Each kind of units has a kernel that takes a layer's input and its constants and returns the spikes:
`cuba.run`, `sigma_delta.run`, `resonator.run`. They share `synapses.deliver`, which adds the weights of one
spike to what is on its way, and `lists`, in which spikes travel.
"""

LIMIT = 1 << 23
"""States have 24 bits with sign."""
