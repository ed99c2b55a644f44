"""Engine of the grid on a GPU: fixed step, event-driven, Triton, one program per sample, all steps in one launch.

A program holds the states of its units in registers. A larger layer, unless it is recurrent, is therefore split into
tiles, `_TILE` units each: every tile runs by itself, as if the others were not there, and has the columns of its own
units in weights, rings and gradients. What the tiles of a sample share is added up afterwards: their spikes are put
in the order of steps (they are in that of units), and the gradients of event times and values, and of weights that
several units have in common, are summed.

Work per spike is one row of weights forward and one row of gradients backward, as on the CPU; memory is
O(spikes) plus, per running program, one sample's rings of delayed arrivals and, while the neuron's constants are
trained, its states. The host waits for the device once per layer, to learn how many spikes there are, and
with delays once more, for the longest; under `lambent.run_ahead` not at all, but then the buffers' spare room is
handed out with the spikes. Weight gradients are summed atomically, in an order that varies;
`torch.use_deterministic_algorithms(True)` gives bit-equal runs, by fewer programs that each keep a sum of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from lambent.connections.connections import Connections
from lambent.connections.gpu import GpuConnections, gpu_connections
from lambent.engines.checks import soundness
from lambent.engines.grid import gpu_backward, gpu_forward, gpu_readout, operation
from lambent.engines.grid.gpu_units import gpu_neuron, numbers
from lambent.engines.kinds import class_of
from lambent.events import Events
from lambent.events import n_steps as count_steps
from lambent.machine.waiting import Check, expect, learn, running_ahead
from lambent.neurons.neuron import Neuron
from lambent.neurons.payload import Payload

_SPIKES_PER_UNIT = 32  # room for this many on average, until a batch is known
_ROWS = 63  # of the rings, running ahead, until longer delays are known: Loihi's longest is 62 steps
_PROGRAMS = 1024  # at most, of a backward pass: more than run at once on any device
_TILE = 2048  # units at most of one program, where a layer can be split
_LARGEST = 16384  # units at most of a recurrent layer, which cannot
_COPIES = 64  # at most, of the weight gradients in deterministic mode
_SCRATCH = 2**31  # bytes, at most, of what is kept per program

# Spikes of a sample's tile to have room for by (units of it, steps), and rows of the rings by (size, steps).
# Affects speed alone.
_needed: dict[tuple[int, int], int] = {}
_rows: dict[tuple[int, int], int] = {}


class _Side(NamedTuple):
    """The connections of one side of a layer, as kernels take them.

    Attributes:
        functions, parts, kind: device functions, pointers and the class; None where there are no connections.
        tensors: of the operation.
    """

    functions: GpuConnections | None
    parts: tuple[Any, ...] | None
    kind: Any
    tensors: Sequence[Tensor]


def _side(kind: str, tensors: Sequence[Tensor], rows: int) -> _Side:
    if not kind:
        return _Side(None, None, None, ())
    functions = gpu_connections(class_of(kind))
    return _Side(functions, functions.parts(tensors, rows), class_of(kind), tensors)


class _Sums:
    """Copies of the gradients of connections, zeros at first."""

    def __init__(self, side: _Side, wanted: Sequence[bool], copies: int) -> None:
        self.side = side
        shapes = side.kind.gradient_shapes(side.tensors, wanted) if side.kind else []
        like = side.tensors[0] if side.tensors else None
        self.sums = [None if 0 in s else like.new_zeros(copies, *s) for s in shapes]  # type: ignore[union-attr]
        self.size = max((x[0].numel() for x in self.sums if x is not None), default=0)

    @property
    def parts(self) -> tuple[Tensor | None, ...] | None:
        """Pointers, as many as the connections have parts."""
        if self.side.parts is None:
            return None
        return (*self.sums, *[None] * (len(self.side.parts) - len(self.sums)))

    def total(self) -> list[Tensor]:
        if not self.side.kind:
            return []
        like = self.side.tensors[0]
        return self.side.kind.gradients(
            [like.new_empty(0) if x is None else _sum(x) for x in self.sums], self.side.tensors
        )


def spikes_forward(
    neuron_kind: str, inputs_kind: str, recurrent_kind: str,
    times: Tensor, steps: Tensor, sources: Tensor, offsets: Tensor, values: Tensor | None,
    neuron: Sequence[Tensor], inputs: Sequence[Tensor], recurrent: Sequence[Tensor],
    n_steps: int, dt: float, payload: Sequence[float], room: Sequence[int], sound: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Spikes of one layer; see `operation.SPIKES_FORWARD`.

    `room`: rows of the rings (0 without delays) and, running ahead, spikes per tile of a sample. One with more of them
    is then cut off; its counts are not.
    """
    batch, (size,), fields = len(offsets) - 1, neuron[0].shape, torch.stack(list(neuron))
    n_rows, ahead = room[0], len(room) > 1
    own = _side(recurrent_kind, recurrent, n_rows)
    into = _side(inputs_kind, inputs, n_rows)
    starts = _starts(steps, offsets, n_steps)
    n_marks = class_of(neuron_kind).n_marks
    block, tiles = _tiles(size, recurrent_kind)
    parts = batch * tiles
    counts, peak_step = fields.new_empty(batch, size), sources.new_empty(batch, size)
    lengths = sources.new_zeros(parts + 1)  # of part k at k + 1
    capacity = room[1] if ahead else _capacity(min(size, block), n_steps)
    known = {k: v for k, v in numbers(class_of(neuron_kind)).items() if k in ("FIELDS", "STATES", "MARKS")}
    while True:
        rings = fields.new_zeros(batch, n_rows, size) if n_rows else None
        own_steps, own_units = (sources.new_empty(parts * capacity) for _ in range(2))
        marks = fields.new_empty(parts * capacity, n_marks)
        own_values, overshoots = (fields.new_empty(parts * capacity) if payload else None for _ in range(2))
        with torch.cuda.device_of(fields):
            gpu_forward.spikes_forward[(batch, tiles)](
                starts, sources.contiguous(), _like(fields, values), fields, into.parts, own.parts, rings, own_steps,
                own_units, own_values, overshoots, marks, lengths, counts, peak_step, n_steps, n_rows or 1, capacity,
                size, gpu_neuron(class_of(neuron_kind)), into.functions, own.functions, *(payload or (None, None)),
                **known, **_shape(block),
            )  # fmt: skip
        part_offsets = lengths.clamp(max=capacity).cumsum(0)
        if ahead:
            total = parts * capacity
            break
        is_sound = torch.ones_like(lengths[0]) if sound is None else sound.to(lengths.dtype)
        total, longest, held = torch.stack([part_offsets[-1], lengths.max(), is_sound]).tolist()  # the host waits here
        if not held:
            raise operation.Unsound
        if _fits(min(size, block), n_steps, capacity, longest):
            break
        capacity = _capacity(min(size, block), n_steps)
    every = torch.arange(total, device=sources.device)
    part = torch.searchsorted(part_offsets[1:], every, right=True)
    entry = every + (part * capacity - part_offsets[part])
    if ahead:
        spare = part == parts
        entry.clamp_(max=total - 1)
    if tiles > 1:
        order = part // tiles * n_steps + own_steps[entry]
        if ahead:
            order.masked_fill_(spare, batch * n_steps)
        entry = entry[order.sort(stable=True).indices]
    own_steps, own_units, marks = own_steps[entry], own_units[entry], marks[entry]
    carried = [x[entry].unsqueeze(1) for x in (overshoots, own_values) if x is not None]
    if carried:
        marks = torch.cat([marks, *carried], 1)
    if ahead:
        own_steps.masked_fill_(spare, 0)
        marks.masked_fill_(spare.unsqueeze(1), 0)
        # spread over units, for what is added up by unit is added atomically
        own_units = torch.where(spare, (every % size).to(sources.dtype), own_units)
    own_times = (own_steps.to(torch.float64) * dt).to(times.dtype)
    own_offsets = part_offsets[::tiles].contiguous()
    sent = marks[:, -1].to(times.dtype, copy=True) if payload else times.new_empty(0)  # outputs must not share
    return own_times, counts, own_units, own_offsets, own_steps, marks, peak_step, sent


def spikes_backward(
    grad_times: Tensor, grad_counts: Tensor, grad_values: Tensor,
    neuron_kind: str, inputs_kind: str, recurrent_kind: str,
    times: Tensor, steps: Tensor, sources: Tensor, offsets: Tensor, values: Tensor | None,
    neuron: Sequence[Tensor], inputs: Sequence[Tensor], recurrent: Sequence[Tensor],
    own_units: Tensor, own_offsets: Tensor, own_steps: Tensor, marks: Tensor, peak_step: Tensor, own_values: Tensor,
    n_steps: int, payload: Sequence[float], room: Sequence[int], wants_times: bool, wants_values: bool,
    wants_neuron: Sequence[bool], wants_inputs: Sequence[bool], wants_recurrent: Sequence[bool],
) -> tuple[Tensor, Tensor, list[Tensor], list[Tensor], list[Tensor]]:  # fmt: skip
    """The adjoint; see `operation.SPIKES_BACKWARD`."""
    cls = class_of(neuron_kind)
    batch, (size,), fields = len(offsets) - 1, neuron[0].shape, torch.stack(list(neuron))
    n_rows = room[0]
    own, into = _side(recurrent_kind, recurrent, n_rows), _side(inputs_kind, inputs, n_rows)
    traced = _traced(cls, wants_neuron)
    kept = size * fields.element_size() * (2 * n_rows + (_trace(cls, n_steps) if traced else 0))
    block, tiles = _tiles(size, recurrent_kind)
    programs, copies = _programs(batch, tiles, kept, [*inputs[:2], *recurrent[:2]])
    ordered = torch.are_deterministic_algorithms_enabled()
    sums = tiles if ordered else 1
    d_times = fields.new_zeros(sums, len(times)) if wants_times else None
    d_values = fields.new_zeros(sums, len(times)) if wants_values else None
    carried, slopes = None, None
    if payload:
        slopes, carried = Payload(*payload).slope(marks[:, -2]), marks[:, -1].contiguous()
        marks, grad_values = marks[:, :-2].contiguous(), grad_values.to(fields.dtype).contiguous()
    d_inputs, d_recurrent = _Sums(into, wants_inputs, copies), _Sums(own, wants_recurrent, copies)
    d_step = fields.new_zeros(programs, len(cls.step_gradients), size)
    d_spike = fields.new_zeros(programs, len(cls.spike_gradients), size)
    with torch.cuda.device_of(fields):
        gpu_backward.spikes_backward[(programs, tiles)](
            _starts(steps, offsets, n_steps), sources.contiguous(), _like(fields, values), fields, into.parts,
            own.parts, _starts(own_steps, own_offsets, n_steps, own_units // block, tiles), own_units, carried, slopes,
            marks, peak_step,
            grad_times.to(fields.dtype).contiguous(), grad_counts.to(fields.dtype).contiguous(),
            grad_values if payload else None,
            fields.new_empty(programs, 2, n_rows, size) if n_rows else None,
            fields.new_empty(programs, _trace(cls, n_steps), size) if traced else None,
            d_times, d_values, d_inputs.parts, d_recurrent.parts, d_step if traced else None, d_spike,
            batch, n_steps, n_rows or 1, len(times), d_inputs.size, d_recurrent.size, size, gpu_neuron(cls),
            into.functions, own.functions, **numbers(cls), COPIES=ordered, **_shape(block, backward=True),
        )  # fmt: skip
    d_neuron = _fields(cls, neuron, d_step, d_spike, wants_neuron)
    return _given(d_times, times), _given(d_values, times), d_neuron, d_inputs.total(), d_recurrent.total()


def levels_forward(
    neuron_kind: str, inputs_kind: str, times: Tensor, steps: Tensor, sources: Tensor, offsets: Tensor,
    values: Tensor | None, neuron: Sequence[Tensor], inputs: Sequence[Tensor], n_steps: int,
) -> Tensor:  # fmt: skip
    """Levels of units that never spike; see `operation.LEVELS_FORWARD`."""
    batch, (size,), fields = len(offsets) - 1, neuron[0].shape, torch.stack(list(neuron))
    n_rows = _needed_rows(_longest([(class_of(inputs_kind), inputs)]))
    into = _side(inputs_kind, inputs, n_rows)
    block, tiles = _tiles(size)
    levels = fields.new_empty(batch, n_steps, size)
    known = {k: v for k, v in numbers(class_of(neuron_kind)).items() if k in ("FIELDS", "STATES")}
    with torch.cuda.device_of(fields):
        gpu_readout.levels_forward[(batch, tiles)](
            _starts(steps, offsets, n_steps), sources.contiguous(), _like(fields, values), fields, into.parts,
            fields.new_zeros(batch, n_rows, size) if n_rows else None, levels,
            n_steps, n_rows or 1, size, gpu_neuron(class_of(neuron_kind)), into.functions, **known, **_shape(block),
        )  # fmt: skip
    return levels


def levels_backward(
    grad: Tensor, neuron_kind: str, inputs_kind: str, times: Tensor, steps: Tensor, sources: Tensor, offsets: Tensor,
    values: Tensor | None, neuron: Sequence[Tensor], inputs: Sequence[Tensor],
    wants_times: bool, wants_values: bool, wants_neuron: Sequence[bool], wants_inputs: Sequence[bool],
) -> tuple[Tensor, Tensor, list[Tensor], list[Tensor]]:  # fmt: skip
    """The adjoint of `levels_forward`; see `operation.LEVELS_BACKWARD`."""
    cls = class_of(neuron_kind)
    batch, n_steps, size = grad.shape
    fields = torch.stack(list(neuron))
    n_rows = _needed_rows(_longest([(class_of(inputs_kind), inputs)]))
    into = _side(inputs_kind, inputs, n_rows)
    traced = _traced(cls, wants_neuron)
    kept = size * fields.element_size() * (2 * n_rows + (_trace(cls, n_steps) if traced else 0))
    block, tiles = _tiles(size)
    programs, copies = _programs(batch, tiles, kept, list(inputs[:2]))
    ordered = torch.are_deterministic_algorithms_enabled()
    sums = tiles if ordered else 1
    d_times = fields.new_zeros(sums, len(times)) if wants_times else None
    d_values = fields.new_zeros(sums, len(times)) if wants_values else None
    d_inputs = _Sums(into, wants_inputs, copies)
    d_step = fields.new_zeros(programs, len(cls.step_gradients), size)
    known = {k: v for k, v in numbers(class_of(neuron_kind)).items() if k in ("FIELDS", "STATES", "STEP")}
    with torch.cuda.device_of(fields):
        gpu_readout.levels_backward[(programs, tiles)](
            _starts(steps, offsets, n_steps), sources.contiguous(), _like(fields, values), fields, into.parts,
            grad.to(fields.dtype).contiguous(), fields.new_empty(programs, 2, n_rows, size) if n_rows else None,
            fields.new_empty(programs, _trace(cls, n_steps), size) if traced else None,
            d_times, d_values, d_inputs.parts, d_step if traced else None, batch, n_steps, n_rows or 1, len(times),
            d_inputs.size, size, gpu_neuron(cls), into.functions, **known, COPIES=ordered,
            **_shape(block, backward=True),
        )  # fmt: skip
    d_neuron = _fields(cls, neuron, d_step, None, wants_neuron)
    return _given(d_times, times), _given(d_values, times), d_neuron, d_inputs.total()


def _like(fields: Tensor, values: Tensor | None) -> Tensor | None:
    """Values of spikes as kernels take them, in the type of the fields; None where all are 1."""
    return None if values is None else values.to(fields.dtype).contiguous()


def _given(gradient: Tensor | None, times: Tensor) -> Tensor:
    """A gradient of event times or values as it is handed out, empty where it is not wanted."""
    return times.new_empty(0) if gradient is None else _sum(gradient).to(times.dtype)


def _traced(cls: Any, wanted: Sequence[bool]) -> bool:
    """Whether the backward pass needs the states."""
    return cls.traced or any(wanted[cls._fields.index(name)] for name in cls.step_gradients)


def _trace(cls: Any, n_steps: int) -> int:
    """Rows of a sample's states and arrivals."""
    return (n_steps + 1) * cls.n_states + n_steps


def _fields(
    cls: Any, neuron: Sequence[Tensor], d_step: Tensor, d_spike: Tensor | None, wanted: Sequence[bool]
) -> list[Tensor]:
    """The gradients of the fields from the sums of all programs."""
    found = dict(zip(cls.step_gradients, d_step.sum(0), strict=True))
    if d_spike is not None:
        found |= dict(zip(cls.spike_gradients, d_spike.sum(0), strict=True))
    return [
        found[name].clone() if w and name in found else x.new_empty(0)
        for name, x, w in zip(cls._fields, neuron, wanted, strict=True)
    ]


def _tiles(size: int, recurrent_kind: str = "") -> tuple[int, int]:
    """Columns of a program, a power of two, and how many programs have all units of a sample."""
    block = max(32, triton.next_power_of_2(size))
    if not recurrent_kind:
        block = min(block, _TILE)
    elif size > _LARGEST:
        raise NotImplementedError(
            f"recurrent layers of more than {_LARGEST:,} units do not run on a GPU yet, this one has {size:,}; "
            "use CPU tensors"
        )
    return block, triton.cdiv(size, block)


def _shape(block: int, backward: bool = False) -> dict[str, int]:
    """How the columns of a program are laid over threads, and compiler options.

    Forward two a thread (up to 2,048 units), since few programs run at once and more warps hide each other's waits;
    backward four, which go into one atomic addition. `FETCH` rows of weights are under way at once.
    """
    warps = min(max(block // (128 if backward else 64), 1), 32)
    fetch = 8 if not backward and 128 < block <= 2048 else 4
    return {"BLOCK": block, "FETCH": fetch, "num_warps": warps, "num_stages": 1}


def _programs(batch: int, tiles: int, kept: int, weights: Sequence[Tensor]) -> tuple[int, int]:
    """Programs of a backward pass for each tile, all tiles' together with `kept` bytes of scratch.

    And copies of the gradients of `weights`: one, or in deterministic mode one for each program of each tile.
    """
    programs = max(1, min(batch, _PROGRAMS // tiles, _SCRATCH // max(kept, 1)))
    if not torch.are_deterministic_algorithms_enabled():
        return programs, 1
    weigh = tiles * sum(w.nbytes for w in weights)
    programs = max(1, min(programs, _COPIES // tiles, _SCRATCH // max(weigh, 1)))
    return programs, programs * tiles


def _sum(copies: Tensor) -> Tensor:
    return copies.sum(0) if len(copies) > 1 else copies[0]


def _starts(steps: Tensor, offsets: Tensor, n_steps: int, tile: Tensor | None = None, tiles: int = 1) -> Tensor:
    """Where the spikes of each step begin: entry b * n_steps + n is the first of sample b from step n on.

    Given the tiles that they are of, entry (b * n_steps + n) * tiles + k is the first from tile k of this step on.
    """
    batch = len(offsets) - 1
    entry = torch.arange(len(steps), device=steps.device)
    sample = torch.searchsorted(offsets[1:], entry, right=True)  # of padding: batch
    every = torch.arange(batch * n_steps * tiles + 1, device=steps.device)
    place = sample * n_steps + steps
    return torch.searchsorted(place if tile is None else place * tiles + tile, every, out_int32=True)


@torch.compiler.disable
def _longest(sides: Sequence[tuple[Any, Sequence[Tensor]]]) -> Tensor | None:
    """The longest of all delays in steps, 0-d; None without any."""
    found = [gpu_connections(cls).longest(tensors) for cls, tensors in sides]
    there = [x for x in found if x is not None]
    return torch.stack(there).amax() if there else None


def _needed_rows(longest: Tensor | None) -> int:
    """Rows of the rings: the longest delay and one more; none without delays."""
    return 0 if longest is None else 1 + int(longest)  # the host waits here


def _capacity(size: int, n_steps: int) -> int:
    """Spikes of a sample's tile of `size` units to have room for."""
    return _needed.get((size, n_steps), min(_SPIKES_PER_UNIT, n_steps) * size)


def _fits(size: int, n_steps: int, capacity: int, longest: float) -> bool:
    """Whether there was room for the longest; next time there is, with some to spare, and not much more.

    Room that was needed once is given up slowly, a first guess at once: for a large map it is gigabytes.
    """
    kept = capacity * 63 // 64 if longest <= capacity and (size, n_steps) in _needed else 0
    wanted = max(int(longest) * 3 // 2, kept, size)
    _needed[size, n_steps] = min(wanted, n_steps * size)
    return longest <= capacity


_spikes = operation.define_spikes("grid_gpu", spikes_forward, spikes_backward)
levels = operation.define_levels("grid_gpu", levels_forward, levels_backward, as_places=False)


def spikes(
    events: Events, neuron: Neuron, inputs: Connections, recurrent: Connections | None, dt: float,
    payload: Payload | None = None,
) -> Events:  # fmt: skip
    """Spikes of a layer; see `lambent.engines`."""
    must = soundness(neuron, inputs, recurrent)
    n_steps, size = count_steps(events.duration, dt), inputs.n_out
    layer = operation.layer_on_grid(neuron, inputs, recurrent, dt, n_steps, as_places=False)
    sides = [(type(c), x) for c, x in ((inputs, layer.inputs), (recurrent, layer.recurrent)) if c is not None]
    longest = _longest(sides) if any(len(x) > 1 for _, x in sides) else None
    if running_ahead(events.device) and len(events):
        return _ahead(events, layer, must, longest, size, n_steps, dt, payload)
    try:
        if longest is not None:
            rows, held = torch.stack([longest, must.holds.to(longest.dtype)]).tolist()  # the host waits here
            if not held:
                raise operation.Unsound
            return _spikes(events, layer, size, dt, payload, [1 + rows], must.holds)
        return _spikes(events, layer, size, dt, payload, [0], must.holds)
    except operation.Unsound:
        must.complain()
        raise


def _ahead(
    events: Events, layer: operation.GridLayer, must: Check, longest: Tensor | None, size: int, n_steps: int, dt: float,
    payload: Payload | None,
) -> Events:  # fmt: skip
    """The spikes without waiting, in buffers that are supposed to have enough room; see `lambent.run_ahead`."""
    expect(*must)
    block, _ = _tiles(size, layer.recurrent_kind)
    capacity = _capacity(min(size, block), n_steps)
    rows = 0 if longest is None else min(_rows.get((size, n_steps), _ROWS), n_steps + 1)

    def reaches(most: float) -> bool:
        needed = 1 + int(most)
        if needed > rows:
            _rows[size, n_steps] = needed + needed // 8
        return needed <= rows

    if longest is not None:
        learn(longest, reaches)
    out = _spikes(events, layer, size, dt, payload, [rows, capacity], None)
    tiles = out.counts().detach().split(block, 1)  # also of what was cut off
    most = torch.stack([x.sum(1, dtype=torch.float64).max() for x in tiles]).max()
    learn(most, lambda longest: _fits(min(size, block), n_steps, capacity, longest))
    return out
