"""What augmentation does to batches on the CPU, by the compiled loops of `kernels`; `device` does it elsewhere."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lambent.data import kernels
from lambent.data.packing import Packed, as_events, gather
from lambent.events import Events


def move(
    events: Events,
    factor: Tensor | None = None,
    time_shift: Tensor | None = None,
    unit_shift: Tensor | None = None,
    keep: Tensor | None = None,
) -> Events:
    """Move each sample as a whole and drop the spikes that leave it; see `kernels.move_spikes`.

    What is left out changes nothing.
    """
    times, units, offsets = _arrays(events)
    n = len(events)
    packed = kernels.move_spikes(
        times,
        units,
        offsets,
        np.ones(n) if factor is None else factor.numpy(),
        np.zeros(n) if time_shift is None else time_shift.numpy(),
        np.zeros(n, dtype=np.int64) if unit_shift is None else unit_shift.numpy(),
        np.ones(len(times), dtype=np.bool_) if keep is None else keep.numpy(),
        events.n_units,
        times.dtype.type(events.duration),
    )
    return as_events(packed, events.n_units, events.duration)


def sort(events: Events) -> Events:
    """The batch, sorted by time inside each sample; spikes at equal times keep their order."""
    times, units, offsets = _arrays(events)
    times, units = kernels.sort_samples(times, units, offsets, events.duration)
    return as_events((times, units, offsets), events.n_units, events.duration)


def take(events: Events, chosen: Tensor) -> Events:
    """The chosen samples; quicker than indexing, for there are no gradients to keep."""
    return as_events(gather(*_arrays(events), chosen.numpy()), events.n_units, events.duration)


def centres(events: Events) -> tuple[Tensor, Tensor]:
    """Mean time [ms] and mean unit of each sample, float64 (batch,) each; NaN for a sample without spikes."""
    time, unit = kernels.centres(*_arrays(events))
    return torch.from_numpy(time), torch.from_numpy(unit)


def _arrays(events: Events) -> Packed:
    return events.times.numpy(), events.units.numpy(), events.offsets.numpy()
