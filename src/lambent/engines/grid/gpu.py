"""Engine `grid_gpu`: fixed step, event-driven, Triton, one program per sample, the whole sequence in one launch.

Work per spike is one row of weights forward and one row of gradients backward, as in `grid_cpu`; memory is
O(spikes) plus, per running program, one sample's rings of delayed arrivals and, while time constants are trained,
its currents and voltages. The host waits for the device once per layer, to learn how many spikes there are, and
with delays twice more, for the longest; under `lambent.run_ahead` not at all, but then the buffers' spare room is
handed out with the spikes. Weight gradients are summed atomically, in an order that varies;
`torch.use_deterministic_algorithms(True)` gives bit-equal runs, by fewer programs that each keep a sum of their own.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
from torch import Tensor

from lambent.engines.grid import gpu_backward as grid_gpu_backward
from lambent.engines.grid import gpu_forward as grid_gpu_forward
from lambent.engines.grid import gpu_readout as grid_gpu_readout
from lambent.engines.grid import operation as operations
from lambent.events import Events
from lambent.events import n_steps as count_steps
from lambent.machine.waiting import expect, learn, running_ahead
from lambent.neurons.lif import LIFNeuron, Synapses, check_connections, check_values, delay_steps

_SPIKES_PER_UNIT = 32  # room for this many on average, until a batch is known
_ROWS = 63  # of the rings, running ahead, until longer delays are known: Loihi's longest is 62 steps
_PROGRAMS = 1024  # at most, of a backward pass: more than run at once on any device
_COPIES = 64  # at most, of the weight gradients in deterministic mode
_SCRATCH = 2**31  # bytes, at most, of what is kept per program

# Spikes of a sample to have room for, and rows of the rings, by (size, steps). Affects speed alone.
_needed: dict[tuple[int, int], int] = {}
_rows: dict[tuple[int, int], int] = {}


def lif_forward(
    times: Tensor, steps: Tensor, units: Tensor, offsets: Tensor,
    weight: Tensor, delay: Tensor | None, recurrent: Tensor | None, recurrent_delay: Tensor | None,
    alpha_mem: Tensor, alpha_syn: Tensor, gain: Tensor, threshold: Tensor,
    tau_mem: Tensor, tau_syn: Tensor, min_slope: Tensor,
    n_steps: int, dt: float, subtract: bool, room: Sequence[int],
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Spikes of one LIF layer; see `operations.LIF_FORWARD`.

    `room`: spikes per sample and rows of the rings. A sample with more spikes is cut off; its counts are not.
    """
    batch, size = len(offsets) - 1, weight.shape[1]
    (reach, own_reach), rows = _reach(n_steps, dt, delay, recurrent_delay, room)
    starts = _starts(steps, offsets, n_steps)
    counts, peak_step = weight.new_empty(batch, size), units.new_empty(batch, size)
    lengths = units.new_zeros(batch + 1)  # of sample b at b + 1
    parameters = [_like(x, weight) for x in (alpha_mem, alpha_syn, gain, tau_mem, threshold, min_slope)]
    capacity = room[0] if room else _capacity(size, n_steps)
    while True:
        rings = weight.new_zeros(batch, rows, size) if rows else None
        own_steps, own_units = (units.new_empty(batch * capacity) for _ in range(2))
        slopes = weight.new_empty(batch * capacity)
        with torch.cuda.device_of(weight):
            grid_gpu_forward.lif_forward[(batch,)](
                starts, units.contiguous(), weight.contiguous(), reach, _like(recurrent, weight), own_reach,
                *parameters, rings, own_steps, own_units, slopes, lengths, counts, peak_step,
                n_steps, rows or 1, capacity, size, subtract, **_shape(size),
            )  # fmt: skip
        own_offsets = lengths.clamp(max=capacity).cumsum(0)
        if room:
            total = batch * capacity
            break
        sound = _sound(tau_mem, tau_syn, threshold, weight, recurrent)
        total, longest, is_sound = torch.stack([own_offsets[-1], lengths.max(), sound]).tolist()  # the host waits here
        if not is_sound:
            _complain(tau_mem, tau_syn, threshold, weight, recurrent)
        if _fits(size, n_steps, capacity, longest):
            break
        capacity = _capacity(size, n_steps)
    every = torch.arange(total, device=units.device)
    sample = torch.searchsorted(own_offsets[1:], every, right=True)
    entry = every + (sample * capacity - own_offsets[sample])
    if room:
        entry.clamp_(max=total - 1)
    own_steps, own_units, slopes = own_steps[entry], own_units[entry], slopes[entry]
    if room:
        spare = sample == batch
        own_steps.masked_fill_(spare, 0)
        slopes.masked_fill_(spare, 0)
        # spread over units, for what is added up by unit is added atomically
        own_units = torch.where(spare, (every % size).to(units.dtype), own_units)
    own_times = (own_steps.to(torch.float64) * dt).to(times.dtype)
    return own_times, counts, own_units, own_offsets, own_steps, slopes, peak_step


def lif_backward(
    grad_times: Tensor, grad_counts: Tensor,
    times: Tensor, steps: Tensor, units: Tensor, offsets: Tensor,
    weight: Tensor, delay: Tensor | None, recurrent: Tensor | None, recurrent_delay: Tensor | None,
    alpha_mem: Tensor, alpha_syn: Tensor, gain: Tensor, threshold: Tensor, tau_mem: Tensor, tau_syn: Tensor,
    own_units: Tensor, own_offsets: Tensor, own_steps: Tensor, slopes: Tensor, peak_step: Tensor,
    n_steps: int, dt: float, subtract: bool, room: Sequence[int],
    wants_times: bool, wants_delay: bool, wants_recurrent_delay: bool, wants_tau: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """The adjoint; see `operations.LIF_BACKWARD`."""
    batch, (sources, size) = len(offsets) - 1, weight.shape
    (reach, own_reach), rows = _reach(n_steps, dt, delay, recurrent_delay, room)
    weights = [weight, weight if wants_delay else None, recurrent, recurrent if wants_recurrent_delay else None]
    kept = 2 * size * weight.element_size() * (rows + (n_steps + 1 if wants_tau else 0))
    programs, copies = _programs(batch, kept, weights)
    d_times = weight.new_zeros(len(times)) if wants_times else None
    d_weights = [None if w is None else w.new_zeros(copies, *w.shape, dtype=weight.dtype) for w in weights]
    d_decay = weight.new_zeros(programs, 3, size)
    d_threshold = weight.new_zeros(programs, size)
    with torch.cuda.device_of(weight):
        grid_gpu_backward.lif_backward[(programs,)](
            _starts(steps, offsets, n_steps), units.contiguous(), weight.contiguous(),
            reach, _like(recurrent, weight), own_reach,
            *(_like(x, weight) for x in (alpha_mem, alpha_syn, gain, tau_mem, tau_syn, threshold)),
            _starts(own_steps, own_offsets, n_steps), own_units, slopes, peak_step,
            _like(grad_times, weight), _like(grad_counts, weight),
            weight.new_empty(programs, 2, rows, size) if rows else None,
            weight.new_empty(programs, 2, n_steps + 1, size) if wants_tau else None,
            d_times, *d_weights, d_decay if wants_tau else None, d_threshold,
            batch, n_steps, rows or 1, sources, size, subtract, copies > 1, **_shape(size, backward=True),
        )  # fmt: skip
    absent = weight.new_empty(0, 0)
    d_weight, d_delay, d_recurrent, d_recurrent_delay = (absent.clone() if d is None else _sum(d) for d in d_weights)
    if wants_delay:
        d_delay *= weight
    if wants_recurrent_delay and recurrent is not None:
        d_recurrent_delay *= recurrent
    d_times = times.new_empty(0) if d_times is None else d_times.to(times.dtype)
    return d_times, d_weight, d_delay, d_recurrent, d_recurrent_delay, d_decay.sum(0), d_threshold.sum(0)


def li_forward(
    times: Tensor, steps: Tensor, units: Tensor, offsets: Tensor, weight: Tensor,
    alpha_mem: Tensor, alpha_syn: Tensor, gain: Tensor, tau_mem: Tensor, tau_syn: Tensor, n_steps: int,
) -> Tensor:  # fmt: skip
    """Voltages of leaky integrators; see `operations.LI_FORWARD`."""
    batch, size = len(offsets) - 1, weight.shape[1]
    voltages = weight.new_empty(batch, n_steps, size)
    with torch.cuda.device_of(weight):
        grid_gpu_readout.li_forward[(batch,)](
            _starts(steps, offsets, n_steps), units.contiguous(), weight.contiguous(),
            *(_like(x, weight) for x in (alpha_mem, alpha_syn, gain)), voltages, n_steps, size, **_shape(size),
        )  # fmt: skip
    return voltages


def li_backward(
    grad: Tensor, times: Tensor, steps: Tensor, units: Tensor, offsets: Tensor, weight: Tensor,
    alpha_mem: Tensor, alpha_syn: Tensor, gain: Tensor, tau_mem: Tensor, tau_syn: Tensor, voltages: Tensor,
    wants_times: bool, wants_tau: bool,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of leaky integrators; see `operations.LI_BACKWARD`."""
    batch, (sources, size) = len(offsets) - 1, weight.shape
    programs, copies = _programs(batch, 0, [weight])
    d_times = weight.new_zeros(len(times)) if wants_times else None
    d_weight = weight.new_zeros(copies, sources, size)
    d_decay = weight.new_zeros(programs, 3, size)
    with torch.cuda.device_of(weight):
        grid_gpu_readout.li_backward[(programs,)](
            _starts(steps, offsets, voltages.shape[1]), units.contiguous(), weight.contiguous(),
            *(_like(x, weight) for x in (alpha_mem, alpha_syn, gain, tau_mem, tau_syn, voltages, grad)),
            d_times, d_weight, d_decay if wants_tau else None,
            batch, voltages.shape[1], sources, size, copies > 1, **_shape(size, backward=True),
        )  # fmt: skip
    d_times = times.new_empty(0) if d_times is None else d_times.to(times.dtype)
    return d_times, _sum(d_weight), d_decay.sum(0)


def _shape(size: int, backward: bool = False) -> dict[str, int]:
    """How the columns of a layer are laid over threads, and compiler options.

    Forward two a thread (up to 2,048 units), since few programs run at once and more warps hide each other's waits;
    backward four, which go into one atomic addition. `FETCH` rows of weights are under way at once.
    """
    block = max(32, triton.next_power_of_2(size))
    warps = min(max(block // (128 if backward else 64), 1), 32)
    fetch = 8 if not backward and 128 < block <= 2048 else 4
    return {"BLOCK": block, "FETCH": fetch, "num_warps": warps, "num_stages": 1}


def _programs(batch: int, kept: int, weights: list[Tensor | None]) -> tuple[int, int]:
    """Programs of a backward pass, each with `kept` bytes of scratch, and copies of the gradients of `weights`."""
    programs = max(1, min(batch, _PROGRAMS, _SCRATCH // max(kept, 1)))
    if not torch.are_deterministic_algorithms_enabled():
        return programs, 1
    copies = max(1, min(programs, _COPIES, _SCRATCH // sum(w.nbytes for w in weights if w is not None)))
    return copies, copies


def _sum(copies: Tensor) -> Tensor:
    return copies.sum(0) if len(copies) > 1 else copies[0]


def _starts(steps: Tensor, offsets: Tensor, n_steps: int) -> Tensor:
    """Where the spikes of each step begin: entry b * n_steps + n is the first of sample b from step n on."""
    batch = len(offsets) - 1
    entry = torch.arange(len(steps), device=steps.device)
    sample = torch.searchsorted(offsets[1:], entry, right=True)  # of padding: batch
    every = torch.arange(batch * n_steps + 1, device=steps.device)
    return torch.searchsorted(sample * n_steps + steps, every, out_int32=True)


def _like(x: Tensor | None, weight: Tensor) -> Tensor | None:
    return None if x is None else x.detach().to(weight.dtype).contiguous()


def _in_steps(n_steps: int, dt: float, delay: Tensor | None) -> Tensor | None:
    # a spike that arrives after the last step may as well arrive in the first one after it
    return None if delay is None else delay_steps(delay, dt).clamp(max=n_steps)


def _longest(*delays: Tensor | None) -> Tensor:
    """The longest of all delays, one at least, 0-d; NaN if one is negative or NaN."""
    ends = torch.stack([x for d in delays if d is not None for x in d.aminmax()])
    return torch.where(ends.amin() >= 0, ends.amax(), torch.nan)


def _rows_for(longest: float) -> int:
    """Rows of the rings: the longest delay and one more."""
    if not longest >= 0:
        raise ValueError("delays must not be negative or NaN")
    return 1 + int(longest)


def _reach(
    n_steps: int, dt: float, delay: Tensor | None, recurrent_delay: Tensor | None, room: Sequence[int]
) -> tuple[list[Tensor | None], int]:
    """Delays in whole steps and the rows of the rings, none without delays; running ahead, delays that fit the rows."""
    steps = [_in_steps(n_steps, dt, d) for d in (delay, recurrent_delay)]
    if delay is None and recurrent_delay is None:
        return steps, 0
    rows = room[1] if room else _rows_for(_longest(*steps).item())  # the host waits here
    fitting = [None if d is None else d.nan_to_num(0.0).clamp(0, rows - 1) for d in steps]
    return [None if d is None else d.to(torch.int32).contiguous() for d in fitting], rows


def _capacity(size: int, n_steps: int) -> int:
    """Spikes of a sample to have room for."""
    return _needed.get((size, n_steps), min(_SPIKES_PER_UNIT, n_steps) * size)


def _fits(size: int, n_steps: int, capacity: int, longest: float) -> bool:
    """Whether there was room for the longest sample; next time there is, with some to spare, and not much more."""
    wanted = max(int(longest) * 3 // 2, capacity * 63 // 64 if longest <= capacity else 0, size)
    _needed[size, n_steps] = min(wanted, n_steps * size)
    return longest <= capacity


def _sound(tau_mem: Tensor, tau_syn: Tensor, threshold: Tensor, *weights: Tensor | None) -> Tensor:
    """Whether all values are ones that `_complain` lets pass; 0-d."""
    values = torch.cat([tau_mem, tau_syn, threshold])
    good = [(torch.isfinite(values) & (values > 0)).all()]
    return torch.stack(good + [torch.isfinite(w).all() for w in weights if w is not None]).all()


def _complain(
    tau_mem: Tensor, tau_syn: Tensor, threshold: Tensor, weight: Tensor, recurrent: Tensor | None
) -> None:  # fmt: skip
    """Raise what a layer on the CPU raises before it begins."""
    for name, x in (("tau_mem", tau_mem), ("tau_syn", tau_syn), ("threshold", threshold)):
        check_values(name, x.detach())
    for name, w in (("weight", weight), ("recurrent_weight", recurrent)):
        if w is not None:
            check_connections(name, w.detach())


_lif = operations.define_lif("grid_gpu", lif_forward, lif_backward)
voltages = operations.define_voltages("grid_gpu", li_forward, li_backward)


def lif(events: Events, neuron: LIFNeuron, inputs: Synapses, recurrent: Synapses | None, dt: float) -> Events:
    """Spikes of a layer of LIF units; see `lambent.engines`."""
    if not running_ahead(events.device) or not len(events):
        return _lif(events, neuron, inputs, recurrent, dt)
    n_steps, size = count_steps(events.duration, dt), inputs.weight.shape[1]
    own = recurrent or Synapses(None, None)  # type: ignore[arg-type]
    values = [x.detach() for x in (neuron.tau_mem, neuron.tau_syn, neuron.threshold, inputs.weight)]
    values.append(None if own.weight is None else own.weight.detach())
    expect(_sound(*values), lambda: _complain(*values))
    capacity, rows = _capacity(size, n_steps), min(_rows.get((size, n_steps), _ROWS), n_steps + 1)

    def reaches(longest: float) -> bool:
        needed = _rows_for(longest)
        if needed > rows:
            _rows[size, n_steps] = needed + needed // 8
        return needed <= rows

    if inputs.delay is not None or own.delay is not None:
        learn(_longest(*(_in_steps(n_steps, dt, d) for d in (inputs.delay, own.delay))), reaches)
    out = _lif(events, neuron, inputs, recurrent, dt, [capacity, rows])
    most = out.counts().detach().sum(1, dtype=torch.float64).max()  # also of a sample that was cut off
    learn(most, lambda longest: _fits(size, n_steps, capacity, longest))
    return out
