"""Engine `grid_cpu`: fixed step, event-driven, Numba, all cores.

Work per spike is one row of weights forward and one row of the adjoint backward; memory is O(spikes) plus, per
thread, one sample's adjoint and, while time constants are trained, its currents and voltages. Samples are divided into
groups that depend on the batch alone, so results don't depend on the number of threads (`torch.set_num_threads`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lambent.engines.grid import cpu_kernels as kernels
from lambent.engines.grid import operation as operations
from lambent.engines.groups import run_groups, sample_groups, total
from lambent.neurons.lif import delay_steps


def _array(x: Tensor | None, like: Tensor | None = None) -> np.ndarray:
    """A contiguous array of `x` (or an empty matrix), in the float type of `like` where one is given."""
    if x is None:
        return np.empty((0, 0), np.int32 if like is None else like.detach().numpy().dtype)
    x = x.detach()
    return np.ascontiguousarray((x if like is None else x.to(like.dtype)).numpy())


def _reach(delay: Tensor | None, sources: int, dt: float, n_steps: int) -> np.ndarray:
    """Where spikes arrive in the kernels' ring: delay in whole steps * number of targets + target.

    Unsigned, since Numba checks whether a signed index counts from the end. Empty rows without delays.
    """
    if delay is None:
        return np.empty((sources, 0), np.uint32)
    size = delay.shape[1]
    if 2 * (n_steps + 1) * size > 2**32:
        raise ValueError(f"{n_steps} steps of {size} units with delays are too many; take shorter samples")
    # what arrives after the last step may as well arrive in the first one after it
    steps = delay_steps(delay, dt).clamp(max=n_steps).numpy().astype(np.int64)
    return (steps * size + np.arange(size)).astype(np.uint32)


def _rows(size: int, *reaches: np.ndarray) -> int:
    return 1 + max((int(r.max()) // size for r in reaches if r.size), default=0)


def lif_forward(
    times: Tensor, steps: Tensor, units: Tensor, offsets: Tensor,
    weight: Tensor, delay: Tensor | None, recurrent: Tensor | None, recurrent_delay: Tensor | None,
    alpha_mem: Tensor, alpha_syn: Tensor, gain: Tensor, threshold: Tensor,
    tau_mem: Tensor, tau_syn: Tensor, min_slope: Tensor,
    n_steps: int, dt: float, subtract: bool, _room: Sequence[int],
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Spikes of one LIF layer: times, counts, units, offsets, and for the adjoint steps, slopes, peak steps."""
    batch, size = len(offsets) - 1, weight.shape[1]
    reach, own_reach = _reach(delay, len(weight), dt, n_steps), _reach(recurrent_delay, size, dt, n_steps)
    counts = np.zeros((batch, size), _array(weight).dtype)
    peak_step = np.zeros((batch, size), np.int32)
    args = (
        _array(steps), _array(units), _array(offsets), _array(weight), reach, _array(recurrent, weight),
        own_reach, _rows(size, reach, own_reach),
        *(_array(x, weight) for x in (alpha_mem, alpha_syn, gain, tau_mem, threshold, min_slope)),
        n_steps, subtract, counts, peak_step,
    )  # fmt: skip
    parts = run_groups(lambda g, first, last: kernels.lif_forward(first, last, *args), batch)
    own_steps, own_units, slopes = (torch.from_numpy(np.concatenate(x)) for x in zip(*parts, strict=True))
    sizes = torch.from_numpy(counts.sum(1, dtype=np.float64)).to(torch.int64)
    own_offsets = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
    own_times = (own_steps.to(torch.float64) * dt).to(times.dtype)
    return (
        own_times, torch.from_numpy(counts), own_units, own_offsets,
        own_steps, slopes, torch.from_numpy(peak_step),
    )  # fmt: skip


def lif_backward(
    grad_times: Tensor, grad_counts: Tensor,
    times: Tensor, steps: Tensor, units: Tensor, offsets: Tensor,
    weight: Tensor, delay: Tensor | None, recurrent: Tensor | None, recurrent_delay: Tensor | None,
    alpha_mem: Tensor, alpha_syn: Tensor, gain: Tensor, threshold: Tensor, tau_mem: Tensor, tau_syn: Tensor,
    own_units: Tensor, own_offsets: Tensor, own_steps: Tensor, slopes: Tensor, peak_step: Tensor,
    n_steps: int, dt: float, subtract: bool, _room: Sequence[int],
    wants_times: bool, wants_delay: bool, wants_recurrent_delay: bool, wants_tau: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """The adjoint: gradients of times, weight, delay, recurrent, recurrent_delay, (3) decays, threshold.

    Those of absent matrices, and of times and delays that want none, come empty.
    """
    batch, size = len(offsets) - 1, weight.shape[1]
    reach, own_reach = _reach(delay, len(weight), dt, n_steps), _reach(recurrent_delay, size, dt, n_steps)
    w, wr = _array(weight), _array(recurrent, weight)
    groups = len(sample_groups(batch))
    d_times = np.zeros(len(times) if wants_times else 0, w.dtype)
    no = (0, 0)
    shapes = (
        w.shape, w.shape if wants_delay else no, wr.shape, wr.shape if wants_recurrent_delay else no,
        (3, size), (size,),
    )  # fmt: skip
    parts = [np.zeros((groups, *shape), w.dtype) for shape in shapes]
    args = (
        _array(steps), _array(units), _array(offsets), w, reach, wr, own_reach, _rows(size, reach, own_reach),
        *(_array(x, weight) for x in (alpha_mem, alpha_syn, gain, tau_mem, tau_syn, threshold)),
        n_steps, subtract, _array(own_steps), _array(own_units), _array(own_offsets), _array(slopes),
        _array(peak_step), _array(grad_times, weight), _array(grad_counts, weight), wants_tau, d_times,
    )  # fmt: skip
    run_groups(lambda g, first, last: kernels.lif_backward(first, last, *args, *(p[g] for p in parts)), batch)
    d_weight, d_delay, d_recurrent, d_recurrent_delay, d_decay, d_threshold = (total(p) for p in parts)
    if wants_delay:
        d_delay *= weight
    if wants_recurrent_delay and recurrent is not None:
        d_recurrent_delay *= recurrent
    d_input = torch.from_numpy(d_times).to(times.dtype)
    return d_input, d_weight, d_delay, d_recurrent, d_recurrent_delay, d_decay, d_threshold


def li_forward(
    times: Tensor, steps: Tensor, units: Tensor, offsets: Tensor, weight: Tensor,
    alpha_mem: Tensor, alpha_syn: Tensor, gain: Tensor, tau_mem: Tensor, tau_syn: Tensor, n_steps: int,
) -> Tensor:  # fmt: skip
    """Voltages (batch, n_steps, size) of leaky integrators."""
    batch = len(offsets) - 1
    voltages = np.empty((batch, n_steps, weight.shape[1]), _array(weight).dtype)
    args = (
        _array(steps), _array(units), _array(offsets), _array(weight),
        *(_array(x, weight) for x in (alpha_mem, alpha_syn, gain)), voltages,
    )  # fmt: skip
    run_groups(lambda g, first, last: kernels.li_forward(first, last, *args), batch)
    return torch.from_numpy(voltages)


def li_backward(
    grad: Tensor, times: Tensor, steps: Tensor, units: Tensor, offsets: Tensor, weight: Tensor,
    alpha_mem: Tensor, alpha_syn: Tensor, gain: Tensor, tau_mem: Tensor, tau_syn: Tensor, voltages: Tensor,
    wants_times: bool, wants_tau: bool,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of times, weight and (3) decays."""
    batch, size = len(offsets) - 1, weight.shape[1]
    w = _array(weight)
    d_times = np.zeros(len(times) if wants_times else 0, w.dtype)
    parts = [np.zeros((len(sample_groups(batch)), *shape), w.dtype) for shape in (w.shape, (3, size))]
    args = (
        _array(steps), _array(units), _array(offsets), w,
        *(_array(x, weight) for x in (alpha_mem, alpha_syn, gain, tau_mem, tau_syn, voltages, grad)),
        wants_tau, d_times,
    )  # fmt: skip
    run_groups(lambda g, first, last: kernels.li_backward(first, last, *args, *(p[g] for p in parts)), batch)
    return torch.from_numpy(d_times).to(times.dtype), total(parts[0]), total(parts[1])


lif = operations.define_lif("grid_cpu", lif_forward, lif_backward)
voltages = operations.define_voltages("grid_cpu", li_forward, li_backward)
