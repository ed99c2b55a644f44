"""How Numba sees neurons and connections: functions that the type of their named tuple picks while it compiles.

What a neuron does with the numbers of one unit becomes a loop over arrays here, with one local variable for each number
of a state; loops over the numbers themselves, or neurons told apart while the kernel runs, would cost a third more.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from numba.extending import overload

from lambent.machine.compiling import PART, part


@cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    return part(function)


def _made(source: str, **names: Any) -> Callable[..., Any]:
    """The lambda that `source` says."""
    return part(eval(source, names))


@cache
def _unit(cls: Any) -> Callable[..., Any]:
    """(units, j) -> unit j: numbers for fields."""
    return _made(f"lambda units, j: cls({', '.join(f'units[{i}][j]' for i in range(len(cls._fields)))})", cls=cls)


@cache
def _column(n: int) -> Callable[..., Any]:
    """(x, j) -> column j of x (n, size), as a tuple of numbers."""
    return _made(f"lambda x, j: ({''.join(f'x[{k}, j], ' for k in range(n))})")


@cache
def _column_of(n: int) -> Callable[..., Any]:
    """(x, i, j) -> column j of x[i] (n, size), as a tuple of numbers."""
    return _made(f"lambda x, i, j: ({''.join(f'x[i, {k}, j], ' for k in range(n))})")


@cache
def _row(n: int) -> Callable[..., Any]:
    """(x, j) -> row j of x (entries, n), as a tuple of numbers."""
    return _made(f"lambda x, j: ({''.join(f'x[j, {k}], ' for k in range(n))})")


def _setter(n: int, arguments: str, place: str, operator: str = "=") -> Callable[..., Any]:
    body = "".join(f"\n    x[{place.format(k=k)}] {operator} values[{k}]" for k in range(n)) or "\n    pass"
    names: dict[str, Any] = {}
    exec(f"def put({arguments}, values):{body}", names)
    return part(names["put"])


@cache
def _set_column(n: int) -> Callable[..., Any]:
    """(x, j, values): column j of x (n, size) becomes the tuple `values`."""
    return _setter(n, "x, j", "{k}, j")


@cache
def _set_column_of(n: int) -> Callable[..., Any]:
    """(x, i, j, values): column j of x[i] (n, size) becomes the tuple `values`."""
    return _setter(n, "x, i, j", "i, {k}, j")


@cache
def _add_column(n: int) -> Callable[..., Any]:
    """(x, j, values): the tuple `values` is added to column j of x (n, size)."""
    return _setter(n, "x, j", "{k}, j", "+=")


@cache
def _set_row(n: int) -> Callable[..., Any]:
    """(x, j, values): row j of x (entries, n) becomes the tuple `values`."""
    return _setter(n, "x, j", "j, {k}")


# -- neurons: stubs that a kernel calls; `units` is a named tuple (see `lambent.neurons.neuron.Units`) -----------------


def n_states(units):
    """Numbers of a state."""


def n_marks(units):
    """Numbers that are kept of a spike."""


def step(units, state, window, row, above):
    """Take `state` (n_states, size) one step on, `window[row]` arriving; `above` (size,) says who spikes then."""


def move(units, state, window, row):
    """As `step`, of units that never spike."""


def watch(units, state, peak, peak_step, b, now):
    """Keep the highest level of each unit in sample b in `peak`, its step in `peak_step`."""


def spike(units, state, j, marks, s):
    """Reset unit j, which spikes; keep its marks as row s."""


def levels(units, state, out, b, n):
    """out[b, n] becomes the level of all units."""


def unspike(units, a, j, pull, push, marks, s, d_spike):
    """Take the adjoint `a` of unit j to before its spike, of which row s of `marks` was kept."""


def unstep(units, a, history, drift, n, here):
    """Take the adjoint `a` (n_states, size) one step back, where neither states nor gradients of the fields matter.

    Row n of `history` becomes dL/d arriving, row `here` of `drift` dL/dt of what arrives.
    """


def unstep_traced(units, a, history, drift, n, here, states, arrived, d_step):
    """As `unstep`, with the state before each step and what arrived in it; `d_step` gets the fields' gradients."""


def lift_unit(units, a, j, push):
    """Add to the adjoint `a` of unit j that its level's gradient is `push`."""


def lift_peak(units, a, j, push, marks, d_spike):
    """`lift_unit` where the level of a silent unit is highest, with the gradients of the fields; marks[0] is zeros."""


def lift_all(units, a, push, b, n):
    """`lift_unit` of all units by push[b, n]."""


def replay_step(units, states, arrived, window, row, n):
    """`states[n + 1]` becomes what follows from states[n] and `window[row]`, which `arrived[n]` keeps."""


def replay_spike(units, states, n, j):
    """Reset unit j in states[n]."""


def _class(units: Any) -> Any:
    return units.instance_class


@overload(n_states, jit_options=PART)
def _n_states(units):
    n = _class(units).n_states
    return lambda units: n


@overload(n_marks, jit_options=PART)
def _n_marks(units):
    n = _class(units).n_marks
    return lambda units: n


@overload(step, jit_options=PART)
def _step(units, state, window, row, above):
    cls = _class(units)
    unit, column, put = _unit(cls), _column(cls.n_states), _set_column(cls.n_states)
    advance, is_above = _compiled(cls.advance), _compiled(cls.above)

    def run(units, state, window, row, above):
        for j in range(state.shape[1]):
            p, before = unit(units, j), column(state, j)
            x = advance(before, window[row, j], p)
            put(state, j, x)
            above[j] = is_above(before, x, p)

    return run


@overload(move, jit_options=PART)
def _move(units, state, window, row):
    cls = _class(units)
    unit, column, put, advance = _unit(cls), _column(cls.n_states), _set_column(cls.n_states), _compiled(cls.advance)

    def run(units, state, window, row):
        for j in range(state.shape[1]):
            put(state, j, advance(column(state, j), window[row, j], unit(units, j)))

    return run


@overload(watch, jit_options=PART)
def _watch(units, state, peak, peak_step, b, now):
    cls = _class(units)
    unit, column, level = _unit(cls), _column(cls.n_states), _compiled(cls.level)

    def run(units, state, peak, peak_step, b, now):
        for j in range(state.shape[1]):
            x = level(column(state, j), unit(units, j))
            higher = x > peak[j]
            peak[j] = x if higher else peak[j]
            peak_step[b, j] = now if higher else peak_step[b, j]

    return run


@overload(spike, jit_options=PART)
def _spike(units, state, j, marks, s):
    cls = _class(units)
    unit, column, put, keep = _unit(cls), _column(cls.n_states), _set_column(cls.n_states), _set_row(cls.n_marks)
    marks_of, reset = _compiled(cls.marks), _compiled(cls.reset)

    def run(units, state, j, marks, s):
        p, x = unit(units, j), column(state, j)
        keep(marks, s, marks_of(x, p))
        put(state, j, reset(x, p))

    return run


@overload(levels, jit_options=PART)
def _levels(units, state, out, b, n):
    cls = _class(units)
    unit, column, level = _unit(cls), _column(cls.n_states), _compiled(cls.level)

    def run(units, state, out, b, n):
        for j in range(state.shape[1]):
            out[b, n, j] = level(column(state, j), unit(units, j))

    return run


@overload(unspike, jit_options=PART)
def _unspike(units, a, j, pull, push, marks, s, d_spike):
    cls = _class(units)
    unit, column, put = _unit(cls), _column(cls.n_states), _set_column(cls.n_states)
    kept, add = _row(cls.n_marks), _add_column(len(cls.spike_gradients))
    jump, gradient = _compiled(cls.jump), _compiled(cls.spike_gradient)

    def run(units, a, j, pull, push, marks, s, d_spike):
        p, m = unit(units, j), kept(marks, s)
        x = jump(column(a, j), pull, push, m, p)
        put(a, j, x)
        add(d_spike, j, gradient(x, m, p))

    return run


@overload(unstep, inline="always")  # as a function of its own it would not be vectorised: 13 ms instead of 7
def _unstep(units, a, history, drift, n, here):
    cls = _class(units)
    unit, column, put = _unit(cls), _column(cls.n_states), _set_column(cls.n_states)
    retreat, drift_of = _compiled(cls.retreat), _compiled(cls.drift)

    def run(units, a, history, drift, n, here):
        # a loop for each array that is written: LLVM vectorises those with few arrays to prove apart
        for j in range(a.shape[1]):
            x = column(a, j)
            history[n, j] = retreat(x, x, x[0], unit(units, j))[1]
        for j in range(a.shape[1]):
            drift[here, j] = drift_of(history[n, j], column(a, j), unit(units, j))
        for j in range(a.shape[1]):
            x = column(a, j)
            put(a, j, retreat(x, x, x[0], unit(units, j))[0])

    return run


@overload(unstep_traced, jit_options=PART)
def _unstep_traced(units, a, history, drift, n, here, states, arrived, d_step):
    cls = _class(units)
    unit, column, put = _unit(cls), _column(cls.n_states), _set_column(cls.n_states)
    state, add = _column_of(cls.n_states), _add_column(len(cls.step_gradients))
    retreat, drift_of, gradient = _compiled(cls.retreat), _compiled(cls.drift), _compiled(cls.gradient)

    def run(units, a, history, drift, n, here, states, arrived, d_step):
        for j in range(a.shape[1]):
            p, x, before = unit(units, j), column(a, j), state(states, n, j)
            earlier, arriving = retreat(x, before, arrived[n, j], p)
            history[n, j] = arriving
            drift[here, j] = drift_of(arriving, x, p)
            put(a, j, earlier)
            add(d_step, j, gradient(x, arriving, before, arrived[n, j], p))

    return run


@overload(lift_unit, jit_options=PART)
def _lift_unit(units, a, j, push):
    cls = _class(units)
    unit, add, lift = _unit(cls), _add_column(cls.n_states), _compiled(cls.lift)

    def run(units, a, j, push):
        add(a, j, lift(push, unit(units, j)))

    return run


@overload(lift_peak, jit_options=PART)
def _lift_peak(units, a, j, push, marks, d_spike):
    cls = _class(units)
    unit, add, lift = _unit(cls), _add_column(cls.n_states), _compiled(cls.lift)
    kept, add_spike, gradient = _row(cls.n_marks), _add_column(len(cls.spike_gradients)), _compiled(cls.spike_gradient)

    def run(units, a, j, push, marks, d_spike):
        p = unit(units, j)
        x = lift(push, p)
        add(a, j, x)
        add_spike(d_spike, j, gradient(x, kept(marks, 0), p))

    return run


@overload(lift_all, jit_options=PART)
def _lift_all(units, a, push, b, n):
    cls = _class(units)
    unit, add, lift = _unit(cls), _add_column(cls.n_states), _compiled(cls.lift)

    def run(units, a, push, b, n):
        for j in range(a.shape[1]):
            add(a, j, lift(push[b, n, j], unit(units, j)))

    return run


@overload(replay_step, jit_options=PART)
def _replay_step(units, states, arrived, window, row, n):
    cls = _class(units)
    unit, advance = _unit(cls), _compiled(cls.advance)
    state, put = _column_of(cls.n_states), _set_column_of(cls.n_states)

    def run(units, states, arrived, window, row, n):
        for j in range(arrived.shape[1]):
            arrived[n, j] = window[row, j]
            put(states, n + 1, j, advance(state(states, n, j), window[row, j], unit(units, j)))

    return run


@overload(replay_spike, jit_options=PART)
def _replay_spike(units, states, n, j):
    cls = _class(units)
    if not cls.n_marks:  # never spikes
        return lambda units, states, n, j: None
    unit, reset = _unit(cls), _compiled(cls.reset)
    state, put = _column_of(cls.n_states), _set_column_of(cls.n_states)

    def run(units, states, n, j):
        put(states, n, j, reset(state(states, n, j), unit(units, j)))

    return run


# -- connections: `arrays` is a named tuple (see `lambent.connections.connections.Arrays`) -----------------------------


def delayed(arrays):
    """Whether a spike may arrive later than in the next step."""


def deliver(window, row, arrays, units, first, last):
    """See `Arrays.deliver`."""


def weigh(drift, row, arrays, unit):
    """See `Arrays.weigh`."""


def collect(gradients, arrays, history, drift, steps, units, first, last):
    """See `Arrays.collect`."""


@overload(delayed, jit_options=PART)
def _delayed(arrays):
    value = _class(arrays).delayed
    return lambda arrays: value


@overload(deliver, jit_options=PART)
def _deliver(window, row, arrays, units, first, last):
    function = _class(arrays).deliver
    return lambda window, row, arrays, units, first, last: function(window, row, arrays, units, first, last)


@overload(weigh, jit_options=PART)
def _weigh(drift, row, arrays, unit):
    function = _class(arrays).weigh
    return lambda drift, row, arrays, unit: function(drift, row, arrays, unit)


@overload(collect, jit_options=PART)
def _collect(gradients, arrays, history, drift, steps, units, first, last):
    function = _class(arrays).collect
    return lambda gradients, arrays, history, drift, steps, units, first, last: function(
        gradients, arrays, history, drift, steps, units, first, last
    )
