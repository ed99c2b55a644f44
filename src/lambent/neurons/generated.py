"""The functions of `Units` as source, from a neuron's equations (`lambent.neurons.system`).

A step is that of the exponential Euler method (Certaine 1960; Cox & Matthews 2002, ETD1). With M the linear part of
dx/dt = M x + N(x) at rest, z the state with what arrived added,

    x := exp(M dt) z + [integral of exp(M s) over s from 0 to dt] N(z)

which is the solution itself where N is constant. A state that arrivals enter and that decays by itself, as the current
of a synapse, is kept as it is at the start of a step, and what it drives as it is at the end: so it is in `LIF`, too.
"""

from __future__ import annotations

import hashlib
import linecache
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import sympy

from lambent.neurons.system import FUNCTIONS, THRESHOLD, System

_HEAD = """\
from typing import NamedTuple

from lambent.neurons.arithmetic import {functions}, maximum

"""


@dataclass(frozen=True)
class Generated:
    """What a system became.

    Attributes:
        units: the class of units.
        constants: parameters by name -> rates of the linear part (n, n), what is constant in the rest (n,), threshold,
            and how far above it a reset leaves a unit; numbers where they depend on no parameter.
        varying: places of states whose rest depends on the states.
        fixed: fields that are numbers.
    """

    units: Any
    constants: Callable[..., tuple[Any, Any, Any, Any]]
    varying: tuple[int, ...]
    fixed: dict[str, float]


@cache
def generate(system: System) -> Generated:
    """The class of units and what its fields are worked out from."""
    maker = _Maker(system)
    body = maker.functions()
    text = _HEAD.format(functions=", ".join(FUNCTIONS)) + maker.constants()
    name = f"Units{hashlib.blake2b((text + body).encode(), digest_size=8).hexdigest()}"
    fields = "".join(f"    {field}: object\n" for field in maker.fields)
    text += f"\n\nclass {name}(NamedTuple):\n{fields}\n{body}"
    module = _module(f"lambent_equations_{name}", text)
    return Generated(getattr(module, name), module.constants, maker.varying, maker.numbers)


def _module(name: str, text: str) -> ModuleType:
    """A module of this text, which tracebacks and Triton find as if it lay in a file."""
    if name not in sys.modules:
        module = ModuleType(name)
        file = f"<{name}>"
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        exec(compile(text, file, "exec"), vars(module))
        sys.modules[name] = module  # by which caches of compiled kernels find the class
    return sys.modules[name]


class _Maker:
    """Writes the functions; expressions are of states, parameters and symbols for fields and arguments."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.n = len(system.states)
        self.numbers: dict[str, float] = {}
        self.named: dict[str, Any] = {}  # symbols for fields
        x = set(system.x)
        self.varying = tuple(k for k, rest in enumerate(system.rest) if rest.free_symbols & x)
        self.pushed = tuple(k for k in range(self.n) if k not in self.varying and system.rest[k] != 0)
        self.entry = system.entry
        self.others = [k for k in range(self.n) if not (k == self.entry and system.leads_itself)]
        self.reach = self._reach()
        self.in_rest = self._names(system.rest[k] for k in self.varying)
        self.at_spikes = self._names((*system.slopes, *system.after))
        used = self._names((*system.rates, *system.slopes))
        beside = [name for name in used if name not in (*self.in_rest, *self.at_spikes)]
        self.step_fields = (
            *(f"e_{k}_{j}" for k in range(self.n) for j in range(self.n) if self.reach[k][j]),
            *(f"g_{k}_{m}" for k in range(self.n) for m in self.varying if self.reach[k][m]),
            *(f"push_{k}" for k in range(self.n) if any(self.reach[k][m] for m in self.pushed)),
            *(f"n_{name}" for name in self.in_rest),
        )
        self.spike_fields = ("threshold", *(f"s_{name}" for name in self.at_spikes))
        self.own_fields = (*self.step_fields, *self.spike_fields, *(f"f_{name}" for name in beside), "least")
        values = [("n", self.in_rest), ("s", self.at_spikes), ("f", beside)]
        self.places = {sympy.Symbol(name): f"p.{kind}_{name}" for kind, names in values[::-1] for name in names}
        self.places[THRESHOLD] = "p.threshold"
        self.a = [sympy.Dummy(f"a{k}") for k in range(self.n)]
        self.adjoint = {a: f"a[{k}]" for k, a in enumerate(self.a)}
        self._at_a_spike()

    @property
    def fields(self) -> tuple[str, ...]:
        """Of the named tuple, once all functions are written."""
        return (*self.own_fields, *self.numbers)

    def _names(self, expressions: Iterable[Any]) -> tuple[str, ...]:
        """Parameters in expressions."""
        found = {str(s) for e in expressions for s in e.free_symbols if s not in self.system.x}
        return tuple(sorted(found))

    def _reach(self) -> list[list[bool]]:
        """Whether state k follows from state j in the linear part, at once or by others."""
        n = self.n
        found = [[k == j or self.system.linear[k, j] != 0 for j in range(n)] for k in range(n)]
        for m in range(n):
            found = [[found[k][j] or (found[k][m] and found[m][j]) for j in range(n)] for k in range(n)]
        return found

    def field(self, name: str) -> Any:
        """The symbol for a field, 0 where there is none."""
        if name not in self.own_fields:
            return sympy.Integer(0)
        if name not in self.named:
            self.named[name] = sympy.Dummy(name)
            self.places[self.named[name]] = f"p.{name}"
        return self.named[name]

    # -- steps -------------------------------------------------------------------------------------------------------

    def _start(self, state: str, arriving: str) -> tuple[str, dict[Any, str]]:
        """A line that adds what arrives, and where expressions then find the states."""
        k = self.entry
        kept = f"p.e_{k}_{k} * {state}[{k}]" if self.system.leads_itself else f"{state}[{k}]"
        found = {v: f"{state}[{j}]" for j, v in enumerate(self.system.x)}
        return f"        z = {kept} + {arriving}\n", found | {self.system.x[k]: "z"}

    def _stepped(self, k: int) -> Any:
        """State k after a step, from those after what arrives was added."""
        x, field = self.system.x, self.field
        linear = sum((field(f"e_{k}_{j}") * x[j] for j in range(self.n)), sympy.Integer(0))
        return linear + sum(field(f"g_{k}_{m}") * self.system.rest[m] for m in self.varying) + field(f"push_{k}")

    def _advance(self) -> str:
        line, states = self._start("x", "arriving")
        found = self._lines([self._stepped(k) for k in self.others], states)
        after = dict(zip(self.others, found.results, strict=True))
        results = [after.get(k, "z") for k in range(self.n)]
        return f"    def advance(x, arriving, p):\n{line}{found.lines}        return {_tuple(results)}\n"

    def _back(self, j: int) -> Any:
        """dL/d state j after what arrives was added."""
        v = self.system.x[j]
        own = sympy.Integer(0) if j in self.others else self.a[j]
        return own + sum(self.a[k] * sympy.diff(self._stepped(k), v) for k in self.others)

    def _retreat(self) -> str:
        line, states = self._start("before", "arrived")
        found = self._lines([self._back(j) for j in range(self.n)], states | self.adjoint, zero="0.0 * a[0]")
        k = self.entry
        earlier = list(found.results)
        earlier[k] = f"p.e_{k}_{k} * arriving" if self.system.leads_itself else "arriving"
        return (
            f"    def retreat(a, before, arrived, p):\n{line if self.varying else ''}{found.lines}"
            f"        arriving = {found.results[k]}\n        return {_tuple(earlier)}, arriving\n"
        )

    def _gradient(self) -> str:
        line, states = self._start("before", "arrived")
        arriving, before = sympy.Dummy("arriving"), sympy.Dummy("before")
        places = states | self.adjoint | {arriving: "arriving", before: f"before[{self.entry}]"}
        found = []
        for name in self.step_fields:
            if name == f"e_{self.entry}_{self.entry}" and self.system.leads_itself:
                found.append(arriving * before)
            elif name.startswith("n_"):
                p = sympy.Symbol(name[2:])
                found.append(sum(self.a[k] * sympy.diff(self._stepped(k), p) for k in self.others))
            else:
                field = self.field(name)
                found.append(sum(self.a[k] * sympy.diff(self._stepped(k), field) for k in self.others))
        return self._function("gradient", "a, arriving, before, arrived, p", found, places, line)

    def _drift(self) -> str:
        arriving = sympy.Dummy("arriving")
        own = arriving if self.system.leads_itself else self.a[self.entry]
        moved = own * self.system.driven[self.entry]
        moved += sum(self.a[k] * f for k, f in enumerate(self.system.driven) if k != self.entry)
        found = self._lines([-moved], self.adjoint | {arriving: "arriving"}, zero="0.0 * arriving")
        return f"    def drift(arriving, a, p):\n{found.lines}        return {found.results[0]}\n"

    # -- spikes ------------------------------------------------------------------------------------------------------

    def _at_a_spike(self) -> None:
        """What happens at a spike, from its slope and as few states as will do."""
        system, x = self.system, self.system.x
        self.slope = sympy.Dummy("slope")
        rising = sum(c * f for c, f in zip(system.slopes, system.rates, strict=True))
        known = dict(system.where_spiking)
        at_threshold = rising.subs(known)
        drive = sympy.simplify(sympy.diff(at_threshold, x[system.entry]))
        if drive != 0:  # then the slope tells what drives the unit
            driven = (self.slope - at_threshold.subs(x[system.entry], 0)) / drive
            known = {v: e.subs(x[system.entry], driven) for v, e in known.items()} | {x[system.entry]: driven}
        after = dict(zip(x, system.after, strict=True))
        jacobian = sympy.Matrix(system.after).jacobian(x)
        carried = jacobian * sympy.Matrix(system.rates)
        moved = [c - f.subs(after, simultaneous=True) for c, f in zip(carried, system.rates, strict=True)]

        def short(e: Any) -> Any:
            return sympy.simplify(e.subs(known))

        self.rising = rising
        self.moved = [short(e) for e in moved]
        self.jacobian = jacobian.applyfunc(short)
        level = sum(c * v for c, v in zip(system.slopes, x, strict=True))
        by_name = [sympy.Symbol(name) for name in self.at_spikes]
        self.level_by = [short(sympy.diff(level, q)) for q in by_name]
        self.after_by = [[short(sympy.diff(e, q)) for e in system.after] for q in by_name]
        every = [*self.moved, *self.jacobian, *self.level_by, *(e for row in self.after_by for e in row)]
        needed = {v for e in every for v in e.free_symbols} & set(x)
        self.kept = [k for k, v in enumerate(x) if v in needed]
        self.marked = {x[k]: f"marks[{i + 1}]" for i, k in enumerate(self.kept)} | {self.slope: "marks[0]"}

    def _marks(self) -> str:
        found = self._lines([self.rising], {v: f"x[{k}]" for k, v in enumerate(self.system.x)})
        results = [f"maximum({found.results[0]}, p.least)", *(f"x[{k}]" for k in self.kept)]
        return f"    def marks(x, p):\n{found.lines}        return {_tuple(results)}\n"

    def _jump(self) -> str:
        pull, push = sympy.Dummy("pull"), sympy.Dummy("push")
        late = sum((a * d for a, d in zip(self.a, self.moved, strict=True)), pull)
        up = push - late / self.slope
        carried = self.jacobian.T * sympy.Matrix(self.a)
        found = [c + s * up for c, s in zip(carried, self.system.slopes, strict=True)]
        places = self.adjoint | self.marked | {pull: "pull", push: "push"}
        return self._function("jump", "a, pull, push, marks, p", found, places, zero="0.0 * a[0]")

    def _spike_gradient(self) -> str:
        after = [sympy.Dummy(f"after{k}") for k in range(self.n)]
        lead = self.system.lead
        carried = sum(b * self.jacobian[j, lead] for j, b in enumerate(after))
        up = (self.a[lead] - carried) / self.system.slopes[lead]
        found = [-up]
        for high, by in zip(self.level_by, self.after_by, strict=True):
            found.append(high * up + sum(b * e for b, e in zip(after, by, strict=True)))
        places = self.adjoint | self.marked | {b: f"after[{k}]" for k, b in enumerate(after)}
        return self._function("spike_gradient", "a, after, marks, p", found, places, zero="0.0 * a[0]")

    # -- text --------------------------------------------------------------------------------------------------------

    def functions(self) -> str:
        """The body of the class, but for its fields."""
        system, states = self.system, {v: f"x[{k}]" for k, v in enumerate(self.system.x)}
        push = sympy.Dummy("push")
        level = sum(c * v for c, v in zip(system.slopes, system.x, strict=True))
        read = self._lines([level], states)
        level_text = f"    def level(x, p):\n{read.lines}        return {read.results[0]}\n"
        above = f"    def above(before, x, p):\n{read.lines}        return {read.results[0]} >= p.threshold\n"
        written = [
            self._advance(), level_text, above, self._marks(),
            self._function("reset", "x, p", system.after, states, zero="0.0 * x[0]"), self._jump(),
            self._function("lift", "push, p", [c * push for c in system.slopes], {push: "push"}, zero="0.0 * push"),
            self._retreat(), self._drift(), self._gradient(), self._spike_gradient(),
        ]  # fmt: skip
        head = (
            f"    n_states = {self.n}\n    n_marks = {1 + len(self.kept)}\n    traced = {bool(self.varying)}\n"
            f"    step_gradients = {self.step_fields!r}\n    spike_gradients = {self.spike_fields!r}\n"
        )
        return head + "".join(f"\n    @staticmethod\n{text}" for text in written)

    def constants(self) -> str:
        """The function `Generated.constants`."""
        system = self.system
        rates = [system.linear[k, j] for k in range(self.n) for j in range(self.n)]
        rest = [system.rest[k] if k in self.pushed else sympy.Integer(0) for k in range(self.n)]
        places = {sympy.Symbol(name): name for name in system.parameters}
        numbers = (*rates, *rest, system.threshold, system.excess_after)
        text = [_written(e, places, lambda e: repr(float(e))) for e in numbers]
        rows = _tuple([_tuple(text[k * self.n : (k + 1) * self.n]) for k in range(self.n)])
        pushes = _tuple(text[self.n**2 : -2])
        results = f"{rows}, {pushes}, {text[-2]}, {text[-1]}"
        return f"\ndef constants({', '.join(system.parameters)}):\n    return {results}\n"

    def _number(self, e: Any) -> str:
        """A field for a number: as it stands, compilers would take it for float64, and all that it touches."""
        known = {value: name for name, value in self.numbers.items()}
        return f"p.{known.get(float(e)) or self._new_number(float(e))}"

    def _new_number(self, value: float) -> str:
        name = f"k_{len(self.numbers)}"
        self.numbers[name] = value
        return name

    def _lines(self, expressions: Sequence[Any], places: dict[Any, str], zero: str = "") -> _Lines:
        parts = (sympy.Dummy(f"t{i}") for i in range(10**6))
        common, short = sympy.cse(list(map(sympy.sympify, expressions)), symbols=parts, order="none")
        places = self.places | places | {part: f"t{i}" for i, (part, _) in enumerate(common)}
        lines = [f"        {places[part]} = {_written(e, places, self._number)}\n" for part, e in common]
        return _Lines("".join(lines), [zero if e == 0 else _written(e, places, self._number) for e in short])

    def _function(
        self, name: str, arguments: str, expressions: Sequence[Any], places: dict[Any, str], line: str = "",
        zero: str = "",
    ) -> str:  # fmt: skip
        found = self._lines(expressions, places, zero)
        return f"    def {name}({arguments}):\n{line}{found.lines}        return {_tuple(found.results)}\n"


@dataclass(frozen=True)
class _Lines:
    """Lines that work out what several expressions share, and these."""

    lines: str
    results: list[str]


def _tuple(parts: Sequence[str]) -> str:
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"


def _written(e: Any, places: dict[Any, str], number: Callable[[Any], str]) -> str:
    """An expression as Python's, of what `arithmetic` has."""

    def write(e: Any) -> str:
        if e in places:
            return places[e]
        if e.is_Number:
            return number(e)
        if e.is_Add:
            text = write(e.args[0])
            for term in e.args[1:]:
                sign, size = ("-", -term) if term.could_extract_minus_sign() else ("+", term)
                text += f" {sign} {write(size)}"
            return f"({text})"
        if e.is_Mul:
            return product(e)
        if e.is_Pow:
            return power(e.base, e.exp)
        return f"{e.func.__name__}({write(e.args[0])})"

    def product(e: Any) -> str:
        if e.could_extract_minus_sign() and (e.args[0].is_Number or e.args[0].could_extract_minus_sign()):
            return f"(-{write(-e)})"
        above = [x for x in e.args if not (x.is_Pow and x.exp.is_Number and x.exp < 0)]
        below = [1 / x for x in e.args if x.is_Pow and x.exp.is_Number and x.exp < 0]
        text = " * ".join(map(write, above)) or number(sympy.Integer(1))
        return f"({' / '.join([text, *map(write, below)])})"

    def power(base: Any, exponent: Any) -> str:
        if exponent == sympy.Rational(1, 2):
            return f"sqrt({write(base)})"
        if exponent.is_Number and exponent < 0:
            return f"({number(sympy.Integer(1))} / {write(base**-exponent)})"
        if exponent.is_Integer:
            return f"({' * '.join([write(base)] * int(exponent))})"
        return f"exp({write(exponent)} * log({write(base)}))"

    return write(e)
