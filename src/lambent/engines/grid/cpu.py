"""Engine of the grid on the CPU: fixed step, event-driven, Numba, all cores.

Work per spike is one row of weights forward and one row of the adjoint backward; memory is O(spikes) plus, per
thread, the adjoint of some 1,000 steps and, while the neuron's constants are trained, their states. Samples are
divided into groups that depend on the batch alone, so results don't depend on the number of threads
(`torch.set_num_threads`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lambent.connections.absent import ABSENT
from lambent.connections.connections import Connections
from lambent.engines.checks import soundness
from lambent.engines.grid import cpu_kernels as kernels
from lambent.engines.grid import operation
from lambent.engines.groups import run_groups, sample_groups, total
from lambent.engines.kinds import class_of
from lambent.events import Events
from lambent.events import n_steps as count_steps
from lambent.machine.compiling import told_apart
from lambent.machine.threads import in_threads
from lambent.machine.waiting import expect
from lambent.neurons.neuron import Neuron
from lambent.neurons.payload import Payload

_LONGEST_DELAY = 30_000  # steps on a stream, as those of its blocks are no bound


def _array(x: Tensor) -> np.ndarray:
    return np.ascontiguousarray(x.detach().numpy())


def _values(x: Tensor | None, dtype: torch.dtype) -> np.ndarray | None:
    """Values of spikes as the kernels take them: in their type, or None."""
    return None if x is None else _array(x.to(dtype))


def _arrays(tensors: Sequence[Tensor]) -> list[np.ndarray]:
    return [_array(x) for x in tensors]


def _units(kind: str, tensors: Sequence[Tensor]) -> Any:
    return told_apart(class_of(kind)(*_arrays(tensors)))


def _nothing_kept(units: Any) -> tuple[np.ndarray, np.ndarray, int]:
    """For a sample that begins at rest."""
    nothing = np.empty((0, 0), units[0].dtype)
    return nothing, nothing, 0


def _connections(kind: str, tensors: Sequence[Tensor]) -> tuple[Any, int]:
    """What the kernels take, and rows of the window."""
    if not kind:
        return ABSENT, 1
    cls = class_of(kind)
    return told_apart(cls.arrays(_arrays(tensors))), cls.rows(tensors)


class _Gradients:
    """One sum for each group of samples, of what kernels collect for connections."""

    def __init__(self, kind: str, tensors: Sequence[Tensor], wanted: Sequence[bool], groups: int, dtype: Any) -> None:
        self.cls, self.tensors, self.wanted = class_of(kind) if kind else None, tensors, wanted
        shapes = self.cls.gradient_shapes(tensors, wanted) if self.cls else []
        self.parts = [np.zeros((groups, *shape), dtype) for shape in shapes]

    def of(self, group: int) -> tuple[np.ndarray, ...]:
        return tuple(part[group] for part in self.parts)

    def total(self) -> list[Tensor]:
        return self.cls.gradients([total(part) for part in self.parts], self.tensors) if self.cls else []


def _step_gradients(cls: Any, wanted: Sequence[bool], groups: int, size: int, dtype: Any) -> np.ndarray | None:
    """One sum for each group of samples, of what steps add to fields; None where neither that nor states matter."""
    if not (cls.traced or any(wanted[cls._fields.index(name)] for name in cls.step_gradients)):
        return None
    return np.zeros((groups, len(cls.step_gradients), size), dtype)


def _fields(names: Sequence[str], cls: Any, parts: np.ndarray, found: list[Tensor], wanted: Sequence[bool]) -> None:
    """Put the rows of `parts` (groups, names, size) where the fields of these names are."""
    sums = total(parts)
    for name, row in zip(names, sums, strict=True):
        k = cls._fields.index(name)
        if wanted[k]:
            found[k] = row.clone()


def spikes_forward(
    neuron_kind: str, inputs_kind: str, recurrent_kind: str,
    times: Tensor, steps: Tensor, sources: Tensor, offsets: Tensor, values: Tensor | None,
    neuron: Sequence[Tensor], inputs: Sequence[Tensor], recurrent: Sequence[Tensor],
    n_steps: int, dt: float, payload: Sequence[float], room: Sequence[int], sound: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Spikes of one layer; see `operation.SPIKES_FORWARD`."""
    batch, size = len(offsets) - 1, len(neuron[0])
    own, own_rows = _connections(recurrent_kind, recurrent)
    connections, rows = _connections(inputs_kind, inputs)
    units = _units(neuron_kind, neuron)
    counts = np.zeros((batch, size), units[0].dtype)
    peak_step = np.zeros((batch, size), np.int32)
    args = (
        _array(steps), _array(sources), _values(values, neuron[0].dtype), _array(offsets), units, connections, own,
        max(rows, own_rows), n_steps, Payload(*payload) if payload else None, counts, peak_step,
        *_nothing_kept(units),
    )  # fmt: skip
    parts = run_groups(lambda g, first, last: kernels.spikes_forward(first, last, *args), batch)
    own_steps, own_units, marks = (torch.from_numpy(np.concatenate(x)) for x in zip(*parts, strict=True))
    sizes = torch.from_numpy(counts.sum(1, dtype=np.float64)).to(torch.int64)
    own_offsets = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
    own_times = (own_steps.to(torch.float64) * dt).to(times.dtype)
    own_values = marks[:, -1].to(times.dtype, copy=True) if payload else times.new_empty(0)  # outputs must not share
    return (
        own_times, torch.from_numpy(counts), own_units, own_offsets,
        own_steps, marks, torch.from_numpy(peak_step), own_values,
    )  # fmt: skip


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
    units = _units(neuron_kind, neuron)
    cls = type(units)
    batch, size, dtype = len(offsets) - 1, len(units[0]), units[0].dtype
    own, own_rows = _connections(recurrent_kind, recurrent)
    connections, rows = _connections(inputs_kind, inputs)
    groups = len(sample_groups(batch))
    d_times = np.zeros(len(times), dtype) if wants_times else None
    d_inputs = _Gradients(inputs_kind, inputs, wants_inputs, groups, dtype)
    d_recurrent = _Gradients(recurrent_kind, recurrent, wants_recurrent, groups, dtype)
    d_step = _step_gradients(cls, wants_neuron, groups, size, dtype)
    d_spike = np.zeros((groups, len(cls.spike_gradients), size), dtype)
    d_values = np.zeros(len(times), dtype) if wants_values else None
    kept = neuron[0].dtype
    args = (
        _array(steps), _array(sources), _values(values, kept), _array(offsets), units, connections, own,
        max(rows, own_rows), n_steps,
        _array(own_steps), _array(own_units), _array(marks[:, -1]) if payload else None, _array(own_offsets),
        _array(marks), _array(peak_step), _array(grad_times.to(kept)), _array(grad_counts),
        _values(grad_values if payload else None, kept), Payload(*payload) if payload else None, d_times, d_values,
    )  # fmt: skip
    run_groups(
        lambda g, first, last: kernels.spikes_backward(
            first, last, *args, None if d_step is None else d_step[g], d_spike[g], d_inputs.of(g), d_recurrent.of(g)
        ),
        batch,
    )
    d_neuron = [x.new_empty(0) for x in neuron]
    if d_step is not None:
        _fields(cls.step_gradients, cls, d_step, d_neuron, wants_neuron)
    _fields(cls.spike_gradients, cls, d_spike, d_neuron, wants_neuron)
    found = _given(d_times, times), _given(d_values, times)
    return *found, d_neuron, d_inputs.total(), d_recurrent.total()


def _given(gradient: np.ndarray | None, times: Tensor) -> Tensor:
    """Gradients of times or values of spikes, empty where not wanted."""
    return times.new_empty(0) if gradient is None else torch.from_numpy(gradient).to(times.dtype)


def levels_forward(
    neuron_kind: str, inputs_kind: str, times: Tensor, steps: Tensor, sources: Tensor, offsets: Tensor,
    values: Tensor | None, neuron: Sequence[Tensor], inputs: Sequence[Tensor], n_steps: int,
) -> Tensor:  # fmt: skip
    """Levels of units that never spike; see `operation.LEVELS_FORWARD`."""
    units = _units(neuron_kind, neuron)
    connections, rows = _connections(inputs_kind, inputs)
    batch = len(offsets) - 1
    out = np.empty((batch, n_steps, len(units[0])), units[0].dtype)
    args = (
        _array(steps), _array(sources), _values(values, neuron[0].dtype), _array(offsets), units, connections, rows,
        out, *_nothing_kept(units),
    )  # fmt: skip
    run_groups(lambda g, first, last: kernels.levels_forward(first, last, *args), batch)
    return torch.from_numpy(out)


def levels_backward(
    grad: Tensor, neuron_kind: str, inputs_kind: str, times: Tensor, steps: Tensor, sources: Tensor, offsets: Tensor,
    values: Tensor | None, neuron: Sequence[Tensor], inputs: Sequence[Tensor],
    wants_times: bool, wants_values: bool, wants_neuron: Sequence[bool], wants_inputs: Sequence[bool],
) -> tuple[Tensor, Tensor, list[Tensor], list[Tensor]]:  # fmt: skip
    """The adjoint of `levels_forward`; see `operation.LEVELS_BACKWARD`."""
    units = _units(neuron_kind, neuron)
    cls = type(units)
    batch, size, dtype = len(offsets) - 1, len(units[0]), units[0].dtype
    connections, rows = _connections(inputs_kind, inputs)
    groups = len(sample_groups(batch))
    d_times = np.zeros(len(times), dtype) if wants_times else None
    d_inputs = _Gradients(inputs_kind, inputs, wants_inputs, groups, dtype)
    d_step = _step_gradients(cls, wants_neuron, groups, size, dtype)
    d_values = np.zeros(len(times), dtype) if wants_values else None
    args = (
        _array(steps), _array(sources), _values(values, neuron[0].dtype), _array(offsets), units, connections, ABSENT,
        rows, _array(grad), d_times, d_values,
    )  # fmt: skip
    run_groups(
        lambda g, first, last: kernels.levels_backward(
            first, last, *args, None if d_step is None else d_step[g], d_inputs.of(g)
        ),
        batch,
    )
    d_neuron = [x.new_empty(0) for x in neuron]
    if d_step is not None:
        _fields(cls.step_gradients, cls, d_step, d_neuron, wants_neuron)
    return _given(d_times, times), _given(d_values, times), d_neuron, d_inputs.total()


_spikes = operation.define_spikes("grid_cpu", spikes_forward, spikes_backward)
levels = operation.define_levels("grid_cpu", levels_forward, levels_backward, as_places=True)


def spikes(
    events: Events, neuron: Neuron, inputs: Connections, recurrent: Connections | None, dt: float,
    payload: Payload | None = None,
) -> Events:  # fmt: skip
    """Spikes of a layer; see `lambent.engines`."""
    expect(*soundness(neuron, inputs, recurrent))
    layer = operation.layer_on_grid(neuron, inputs, recurrent, dt, count_steps(events.duration, dt))
    return _spikes(events, layer, inputs.n_out, dt, payload)


_Given = tuple[int, int, np.ndarray, np.ndarray, Any, np.ndarray]
"""The one sample as kernels take it: first and last, steps, units, values and offsets."""


class Onward:
    """A layer on a stream: what goes on from block to block, of any lengths, as if they were one sample.

    Args:
        recurrent: connections among the units, or None.
        dt: time step [ms].
        payload: what spikes carry.
    """

    def __init__(
        self, neuron: Neuron, inputs: Connections, recurrent: Connections | None, dt: float,
        payload: Payload | None = None,
    ) -> None:  # fmt: skip
        expect(*soundness(neuron, inputs, recurrent))
        layer = operation.layer_on_grid(neuron, inputs, recurrent, dt, _LONGEST_DELAY)
        self.dt, self._payload, self._size = dt, payload, inputs.n_out
        self._units = _units(layer.neuron_kind, layer.neuron)
        self._inputs, rows = _connections(layer.inputs_kind, layer.inputs)
        self._own, own_rows = _connections(layer.recurrent_kind, layer.recurrent)
        self._rows, self._steps = max(rows, own_rows), 0
        dtype = self._units[0].dtype
        self._window = np.zeros((kernels.BLOCK + self._rows, self._size), dtype)
        self._state = np.zeros((type(self._units).n_states, self._size), dtype)

    def _arguments(self, events: Events) -> tuple[_Given, tuple[np.ndarray, np.ndarray, int], int]:
        steps, sources, values, offsets = _spike_arrays(events, self.dt, self._state.dtype)
        before, n_steps = self._steps, count_steps(events.duration, self.dt)
        self._steps += n_steps
        return (0, 1, steps, sources, values, offsets), (self._window, self._state, before), n_steps

    @torch.no_grad()
    def spikes(self, events: Events) -> Events:
        """The layer's spikes in the next block, a batch of one."""
        given, kept, n_steps = self._arguments(events)
        counts, peaks = np.zeros((1, self._size), self._state.dtype), np.zeros((1, self._size), np.int32)
        steps, units, marks = kernels.spikes_forward(
            *given, self._units, self._inputs, self._own, self._rows, n_steps, self._payload, counts, peaks, *kept
        )
        times = torch.from_numpy(steps.astype(np.float64) * self.dt).to(events.dtype)
        values = torch.from_numpy(marks[:, -1].copy()).to(events.dtype) if self._payload else None
        own = torch.from_numpy(units), torch.tensor([0, len(units)])
        out = Events(times, *own, self._size, events.duration, values, check=False)
        out.dt = self.dt
        return out

    @torch.no_grad()
    def levels(self, events: Events) -> Tensor:
        """What units that never spike come to after each step of the next block, (1, steps, size)."""
        given, kept, n_steps = self._arguments(events)
        out = np.empty((1, n_steps, self._size), self._state.dtype)
        kernels.levels_forward(*given, self._units, self._inputs, self._rows, out, *kept)
        return torch.from_numpy(out)


@torch.no_grad()
def states(
    events: Events, own: Events | None, neuron: Neuron, inputs: Connections, recurrent: Connections | None, dt: float
) -> np.ndarray:
    """States (batch, n_states, out, steps) of a layer after each step, and after the reset of units that spiked in it.

    Args:
        own: the spikes of the layer itself, which are not worked out once more; None for units that never spike.
    """
    n_steps = count_steps(events.duration, dt)
    layer = operation.layer_on_grid(neuron, inputs, recurrent, dt, n_steps)
    units = _units(layer.neuron_kind, layer.neuron)
    connections, rows = _connections(layer.inputs_kind, layer.inputs)
    among, own_rows = _connections(layer.recurrent_kind, layer.recurrent)
    size, dtype = len(units[0]), units[0].dtype
    found = np.empty((len(events), n_steps + 1, type(units).n_states, size), dtype)
    found[:, 0] = 0
    steps, sources, values, first = _spike_arrays(events, dt, units[0].dtype)
    own_steps, own_units, own_values, own_first = (
        (steps, sources, None, np.zeros(len(first), np.int64))
        if own is None
        else _spike_arrays(own, dt, units[0].dtype)
    )

    def one_sample(b: int) -> None:
        kernels.replay(
            0, n_steps, steps, sources, values, first[b], first[b + 1], units, connections, own_steps, own_units,
            own_values, own_first[b], own_first[b + 1], among, max(rows, own_rows), found[b],
            np.empty((n_steps, size), dtype),
        )  # fmt: skip

    in_threads(one_sample, range(len(events)))
    return found[:, 1:].transpose(0, 2, 3, 1)


def _spike_arrays(events: Events, dt: float, dtype: Any) -> tuple[np.ndarray, np.ndarray, Any, np.ndarray]:
    """Steps, units, values and offsets."""
    values = None if events.values is None else _array(events.values).astype(dtype)
    return _array(events.steps(dt)), _array(events.units), values, _array(events.offsets)
