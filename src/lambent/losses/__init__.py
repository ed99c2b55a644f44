"""Losses on readouts, spike times, spike trains and spike counts, and the rate regulariser.

All are plain tensor code: gradients reach the layers through voltages, `Events.times` and `Events.counts()`. All are
means over the batch, and raise ValueError for an empty one; labels that are no whole numbers are a TypeError. What a
readout gives is a tensor, for which any loss of torch will do, such as `torch.nn.functional.mse_loss` on voltages.
"""

from lambent.losses.distance import van_rossum, van_rossum_distances
from lambent.losses.rate import rate_penalty
from lambent.losses.readout import readout_cross_entropy, smoothed_and_plain_cross_entropy
from lambent.losses.spikes import (
    count_cross_entropy,
    first_spike_cross_entropy,
    first_spike_mse,
    first_spike_times,
    population_mean,
)

__all__ = [
    "count_cross_entropy",
    "first_spike_cross_entropy",
    "first_spike_mse",
    "first_spike_times",
    "population_mean",
    "rate_penalty",
    "readout_cross_entropy",
    "smoothed_and_plain_cross_entropy",
    "van_rossum",
    "van_rossum_distances",
]
