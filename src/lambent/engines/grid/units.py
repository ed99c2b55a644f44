"""How Numba sees neurons and connections: functions that the type of their named tuple picks while it compiles.

What a neuron does with the numbers of one unit becomes a loop over arrays here, with one local variable for each number
of a state; loops over the numbers themselves, or neurons told apart while the kernel runs, would cost a third more.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba.core.types import none
from numba.extending import overload

from lambent.machine.compiling import PART, part
from lambent.neurons.payload import value_of


def _picker(**options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator for functions that get the types of arguments and return what to compile for them.

    It makes of each a function that kernels call with these arguments.
    """

    def decorate(make: Callable[..., Any]) -> Callable[..., Any]:
        def picked(*_: Any) -> None:
            raise TypeError(f"{make.__name__} is for compiled kernels")

        overload(picked, **options)(make)
        return picked

    return decorate


picked = _picker(jit_options=PART)
picked_inline = _picker(inline="always")  # put into the kernel before that is compiled


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


# -- neurons: `units` is a named tuple (see `lambent.neurons.neuron.Units`) ------------------------------------------


@picked
def n_states(units):
    """Numbers of a state."""
    n = units.instance_class.n_states
    return lambda units: n


@picked
def n_marks(units):
    """Numbers that are kept of a spike."""
    n = units.instance_class.n_marks
    return lambda units: n


@picked
def step(units, state, window, row, above):
    """Take `state` (n_states, size) one step on, `window[row]` arriving; `above` (size,) says who spikes then."""
    cls = units.instance_class
    unit, column, put = _unit(cls), _column(cls.n_states), _set_column(cls.n_states)
    advance, is_above = _compiled(cls.advance), _compiled(cls.above)

    def run(units, state, window, row, above):
        for j in range(state.shape[1]):
            p, before = unit(units, j), column(state, j)
            x = advance(before, window[row, j], p)
            put(state, j, x)
            above[j] = is_above(before, x, p)

    return run


@picked
def move(units, state, window, row):
    """As `step`, of units that never spike."""
    cls = units.instance_class
    unit, column, put, advance = _unit(cls), _column(cls.n_states), _set_column(cls.n_states), _compiled(cls.advance)

    def run(units, state, window, row):
        for j in range(state.shape[1]):
            put(state, j, advance(column(state, j), window[row, j], unit(units, j)))

    return run


@picked
def watch(units, state, peak, peak_step, b, now):
    """Keep the highest level of each unit in sample b in `peak`, its step in `peak_step`."""
    cls = units.instance_class
    unit, column, level = _unit(cls), _column(cls.n_states), _compiled(cls.level)

    def run(units, state, peak, peak_step, b, now):
        for j in range(state.shape[1]):
            x = level(column(state, j), unit(units, j))
            higher = x > peak[j]
            peak[j] = x if higher else peak[j]
            peak_step[b, j] = now if higher else peak_step[b, j]

    return run


@picked
def spike(units, state, j, marks, s):
    """Reset unit j, which spikes; keep its marks as row s."""
    cls = units.instance_class
    unit, column, put, keep = _unit(cls), _column(cls.n_states), _set_column(cls.n_states), _set_row(cls.n_marks)
    marks_of, reset = _compiled(cls.marks), _compiled(cls.reset)

    def run(units, state, j, marks, s):
        p, x = unit(units, j), column(state, j)
        keep(marks, s, marks_of(x, p))
        put(state, j, reset(x, p))

    return run


@picked
def n_payload(payload):
    """Numbers that are kept of a spike after its marks: none, or its overshoot and its value."""
    n = 0 if payload == none else 2
    return lambda payload: n


@picked
def payloads_of(payload, like):
    """Room for the values of the spikes of a step, at most as many as `like` (size,) has entries; None without any."""
    return (lambda payload, like: None) if payload == none else (lambda payload, like: np.empty_like(like))


@picked
def load(units, state, j, payload, marks, s, values, f):
    """Keep what the spike of unit j carries, in row s of `marks` and as values[f]; before its reset."""
    if payload == none:
        return lambda units, state, j, payload, marks, s, values, f: None
    cls = units.instance_class
    n, unit, column, level = cls.n_marks, _unit(cls), _column(cls.n_states), _compiled(cls.level)

    def run(units, state, j, payload, marks, s, values, f):
        p = unit(units, j)
        overshoot = level(column(state, j), p) - p.threshold
        marks[s, n] = overshoot
        marks[s, n + 1] = values[f] = value_of(payload, overshoot)

    return run


@picked
def levels(units, state, out, b, n):
    """out[b, n] becomes the level of all units."""
    cls = units.instance_class
    unit, column, level = _unit(cls), _column(cls.n_states), _compiled(cls.level)

    def run(units, state, out, b, n):
        for j in range(state.shape[1]):
            out[b, n, j] = level(column(state, j), unit(units, j))

    return run


@picked
def unspike(units, a, j, pull, push, marks, s, d_spike):
    """Take the adjoint `a` of unit j to before its spike, of which row s of `marks` was kept."""
    cls = units.instance_class
    unit, column, put = _unit(cls), _column(cls.n_states), _set_column(cls.n_states)
    kept, add = _row(cls.n_marks), _add_column(len(cls.spike_gradients))
    jump, gradient = _compiled(cls.jump), _compiled(cls.spike_gradient)

    def run(units, a, j, pull, push, marks, s, d_spike):
        p, m, after = unit(units, j), kept(marks, s), column(a, j)
        x = jump(after, pull, push, m, p)
        put(a, j, x)
        add(d_spike, j, gradient(x, after, m, p))

    return run


@picked_inline  # as a function of its own it would not be vectorised: 13 ms instead of 7
def unstep(units, a, history, drift, n, here, states, arrived, d_step):
    """Take the adjoint `a` (n_states, size) one step back.

    Row n of `history` becomes dL/d arriving, row `here` of `drift` dL/dt of what arrives. `d_step` gets the fields'
    gradients, from the state before each step and what arrived in it; None where neither these nor states matter.
    """
    cls = units.instance_class
    if d_step != none:
        return lambda units, a, history, drift, n, here, states, arrived, d_step: _unstep_traced(
            units, a, history, drift, n, here, states, arrived, d_step
        )
    unit, column, put = _unit(cls), _column(cls.n_states), _set_column(cls.n_states)
    retreat, drift_of = _compiled(cls.retreat), _compiled(cls.drift)

    def run(units, a, history, drift, n, here, states, arrived, d_step):
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


@picked
def _unstep_traced(units, a, history, drift, n, here, states, arrived, d_step):
    cls = units.instance_class
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


@picked
def lift_peak(units, a, j, push, marks, d_spike):
    """Add to the adjoint of silent unit j, whose level is highest, that its gradient is `push`.

    Row 0 of `marks` is zeros.
    """
    cls = units.instance_class
    unit, add, lift = _unit(cls), _add_column(cls.n_states), _compiled(cls.lift)
    kept, add_spike, gradient = _row(cls.n_marks), _add_column(len(cls.spike_gradients)), _compiled(cls.spike_gradient)
    nothing = (0.0,) * cls.n_states

    def run(units, a, j, push, marks, d_spike):
        p = unit(units, j)
        x = lift(push, p)
        add(a, j, x)
        add_spike(d_spike, j, gradient(x, nothing, kept(marks, 0), p))

    return run


@picked
def lift_all(units, a, push, b, n):
    """Add to the adjoint of all units that the gradients of their levels are push[b, n]."""
    cls = units.instance_class
    unit, add, lift = _unit(cls), _add_column(cls.n_states), _compiled(cls.lift)

    def run(units, a, push, b, n):
        for j in range(a.shape[1]):
            add(a, j, lift(push[b, n, j], unit(units, j)))

    return run


@picked
def replay_step(units, states, arrived, window, row, n):
    """`states[n + 1]` becomes what follows from states[n] and `window[row]`, which `arrived[n]` keeps."""
    cls = units.instance_class
    unit, advance = _unit(cls), _compiled(cls.advance)
    state, put = _column_of(cls.n_states), _set_column_of(cls.n_states)

    def run(units, states, arrived, window, row, n):
        for j in range(arrived.shape[1]):
            arrived[n, j] = window[row, j]
            put(states, n + 1, j, advance(state(states, n, j), window[row, j], unit(units, j)))

    return run


@picked
def replay_spike(units, states, n, j):
    """Reset unit j in states[n]."""
    cls = units.instance_class
    if not cls.n_marks:  # never spikes
        return lambda units, states, n, j: None
    unit, reset = _unit(cls), _compiled(cls.reset)
    state, put = _column_of(cls.n_states), _set_column_of(cls.n_states)

    def run(units, states, n, j):
        put(states, n, j, reset(state(states, n, j), unit(units, j)))

    return run


# -- connections: `arrays` is a named tuple (see `lambent.connections.connections.Arrays`) -----------------------------


@picked
def delayed(arrays):
    """Whether a spike may arrive later than in the next step."""
    value = arrays.instance_class.delayed
    return lambda arrays: value


@picked
def deliver(window, row, arrays, units, values, first, last):
    """See `Arrays.deliver`."""
    function = arrays.instance_class.deliver
    return lambda window, row, arrays, units, values, first, last: function(
        window, row, arrays, units, values, first, last
    )


@picked
def weigh(drift, row, arrays, unit):
    """See `Arrays.weigh`."""
    function = arrays.instance_class.weigh
    return lambda drift, row, arrays, unit: function(drift, row, arrays, unit)


@picked
def collect(gradients, d_times, arrays, history, drift, begin, steps, units, values, first, last):
    """See `Arrays.collect`."""
    function = arrays.instance_class.collect
    return lambda gradients, d_times, arrays, history, drift, begin, steps, units, values, first, last: function(
        gradients, d_times, arrays, history, drift, begin, steps, units, values, first, last
    )
