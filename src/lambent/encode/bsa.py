"""Signals as spike trains that a filter turns back into them: Ben's spiker algorithm."""

from __future__ import annotations

import torch
from torch import Tensor

from lambent.encode._spikes import check_positive, check_signals, pack
from lambent.events import Events


def bsa(signals: Tensor, dt: float, kernel: Tensor, threshold: float = 0.9) -> Events:
    """Ben's spiker algorithm: spikes which, filtered with `kernel`, give the signal back.

    Schrauwen & Van Campenhout 2003 (doi:10.1109/IJCNN.2003.1224019): step after step, a spike where subtracting the
    kernel lowers the sum of absolute values over its length by more than `threshold` times the kernel's own sum, and
    is then subtracted. Where the signal lies above the kernel it is lowered by all of that sum.
    The signal should be smooth on the scale of the kernel and stay below the sum of the kernel.

    Args:
        signals: (batch, channels, steps) float, not negative.
        dt: step [ms]; the duration is ``steps * dt``.
        kernel: (taps,) float, a low-pass filter, such as ``torch.from_numpy(scipy.signal.firwin(20, 0.1))``.
        threshold: share of the kernel's sum, in [0, 1); low values give too many spikes.

    Returns:
        Events of `channels` units, on the grid.

    Raises:
        TypeError, ValueError: `signals` are not as above, the kernel is no finite vector with a positive sum, or
            `threshold` is outside [0, 1).

    Example:
        >>> kernel = torch.tensor([0.2, 0.4, 0.2])
        >>> lb.encode.bsa(torch.tensor([[[0.0, 0.2, 0.4, 0.2, 0.0]]]), dt=1.0, kernel=kernel).times
        tensor([1.])
    """
    check_signals(signals, dt)
    _check_kernel(kernel)
    if (signals < 0).any():
        b, c, n = (signals < 0).nonzero()[0].tolist()
        raise ValueError(f"sample {b}, channel {c}, step {n}: {signals[b, c, n].item()} is negative; shift the signal")
    if not 0 <= threshold < 1:
        raise ValueError(f"threshold must be in [0, 1), got {threshold}")
    left = signals.detach().clone()
    kernel = kernel.to(left)
    steps, least = left.shape[-1], threshold * float(kernel.sum())
    spikes = []
    for n in range(steps):
        ahead = left[..., n : n + len(kernel)]
        filtered = kernel[: ahead.shape[-1]]
        spike = (ahead - filtered).abs().sum(-1) < ahead.abs().sum(-1) - least
        ahead -= spike[..., None] * filtered
        spikes.append(spike)
    samples, units, step = torch.stack(spikes, -1).nonzero(as_tuple=True)
    return pack(step.to(left.dtype) * dt, samples, units, left.shape[0], left.shape[1], steps * dt)


def decode_bsa(events: Events, dt: float, kernel: Tensor) -> Tensor:
    """The signals (batch, channels, steps): the spike trains filtered with `kernel` (taps,).

    Example:
        >>> events = lb.Events.from_lists([[1.0]], [[0]], n_units=1, duration=5.0)
        >>> lb.encode.decode_bsa(events, dt=1.0, kernel=torch.tensor([0.2, 0.4, 0.2]))
        tensor([[[0.0000, 0.2000, 0.4000, 0.2000, 0.0000]]])
    """
    check_positive(dt=dt)
    _check_kernel(kernel)
    trains = events.to_dense(dt).transpose(1, 2)
    batch, channels, steps = trains.shape
    flipped = kernel.to(trains).flip(0)[None, None]
    padded = torch.nn.functional.pad(trains.reshape(-1, 1, steps), (len(kernel) - 1, 0))
    return torch.nn.functional.conv1d(padded, flipped).reshape(batch, channels, steps)


def _check_kernel(kernel: Tensor) -> None:
    if not isinstance(kernel, Tensor) or not kernel.is_floating_point():
        raise TypeError("kernel must be a floating-point tensor")
    if kernel.ndim != 1 or not torch.isfinite(kernel).all() or not kernel.sum() > 0:
        raise ValueError(f"kernel must be a finite vector with a positive sum, got shape {tuple(kernel.shape)}")
