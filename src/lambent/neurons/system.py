"""A neuron's equations as text, read and checked: symbols of SymPy, and what follows from them.

Texts are read as Python's syntax trees, of which arithmetic and a few functions are taken: nothing is executed.
"""

from __future__ import annotations

import ast
import math
import re
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import sympy

FUNCTIONS: dict[str, Any] = {name: getattr(sympy, name) for name in ("exp", "log", "sqrt", "sin", "cos", "tanh")}
"""What equations may call, all of them smooth; `lambent.neurons.arithmetic` has the same."""

THRESHOLD = sympy.Dummy("threshold")
"""What the level reaches where a unit spikes."""

_OPERATORS: dict[type, Any] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: lambda a, b: a**b,
}
_DERIVATIVE = re.compile(r"d\s*(\w+)\s*/\s*dt\s*=(.*)", re.DOTALL)
_ASSIGNMENT = re.compile(r"(\w+)\s*([-+*/]?)=(.*)", re.DOTALL)
_CONDITION = re.compile(r"([^<>=]+)([<>])=?([^<>=]+)")


@dataclass(frozen=True)
class System:
    """What the texts say, in symbols; see `lambent.neurons.Equations`.

    Attributes:
        states, parameters: names.
        entry: place of the state that what arrives is added to.
        rates: dx/dt of each state.
        excess: what is 0 where a unit spikes, and rises there.
        after: each state after a spike.
    """

    states: tuple[str, ...]
    parameters: tuple[str, ...]
    entry: int
    rates: tuple[Any, ...]
    excess: Any
    after: tuple[Any, ...]

    @cached_property
    def x(self) -> tuple[Any, ...]:
        """The states as symbols."""
        return tuple(map(sympy.Symbol, self.states))

    def at_rest(self, expression: Any) -> Any:
        """An expression where all states are 0."""
        return expression.subs(dict.fromkeys(self.x, 0))

    @cached_property
    def threshold(self) -> Any:
        """What the level must reach for a spike; of parameters alone."""
        return sympy.simplify(-self.at_rest(self.excess))

    @cached_property
    def slopes(self) -> tuple[Any, ...]:
        """d level / d state, of parameters alone: the level is their sum with the states."""
        return tuple(sympy.simplify(sympy.diff(self.excess, v)) for v in self.x)

    @cached_property
    def lead(self) -> int:
        """Place of a state that moves the level."""
        return next(k for k, slope in enumerate(self.slopes) if slope != 0)

    @cached_property
    def where_spiking(self) -> dict[Any, Any]:
        """The state of place `lead` from the others, as it is where a unit spikes."""
        others = sum((c * v for k, (c, v) in enumerate(zip(self.slopes, self.x, strict=True)) if k != self.lead), 0)
        return {self.x[self.lead]: (THRESHOLD - others) / self.slopes[self.lead]}

    @cached_property
    def excess_after(self) -> Any:
        """How far above the threshold a unit is right after a spike, its other states at 0; of parameters alone."""
        after = self.excess.subs(dict(zip(self.x, self.after, strict=True)), simultaneous=True)
        spiking = {v: e.subs(THRESHOLD, self.threshold) for v, e in self.where_spiking.items()}
        return sympy.simplify(self.at_rest(after.subs(spiking)))

    @cached_property
    def linear(self) -> Any:
        """The matrix M of dx/dt = M x + rest, as it is where all states are 0; of parameters alone."""
        return sympy.Matrix(self.rates).jacobian(self.x).applyfunc(self.at_rest).applyfunc(sympy.simplify)

    @cached_property
    def rest(self) -> tuple[Any, ...]:
        """What `linear` leaves of dx/dt."""
        product = self.linear * sympy.Matrix(self.x)
        return tuple(sympy.simplify(f - m) for f, m in zip(self.rates, product, strict=True))

    @cached_property
    def driven(self) -> tuple[Any, ...]:
        """d(dx/dt) / d the state that what arrives is added to; of parameters alone."""
        return tuple(sympy.simplify(sympy.diff(f, self.x[self.entry])) for f in self.rates)

    @property
    def leads_itself(self) -> bool:
        """Whether the state that what arrives is added to decays by itself, as the current of a synapse does."""
        k = self.entry
        return self.rest[k] == 0 and all(self.linear[k, j] == 0 for j in range(len(self.x)) if j != k)


@cache
def read(equations: str, spike: str, reset: str, entry: str) -> System:
    """The system of these texts.

    Raises:
        ValueError: a text that cannot be read, or a neuron that makes no sense; names the text.
    """
    rates: dict[str, Any] = {}
    for line in _lines(equations):
        found = _DERIVATIVE.fullmatch(line)
        if not found:
            raise ValueError(f'equations: {line!r} must read "dNAME/dt = ..."')
        if found[1] in rates:
            raise ValueError(f"equations: d{found[1]}/dt comes twice")
        if found[1] in FUNCTIONS or not found[1].isidentifier():
            raise ValueError(f"equations: {found[1]!r} is no name for a state")
        rates[found[1]] = _expression(f"equations: {line!r}", found[2])
    if not rates:
        raise ValueError('equations: there are none; they read "dNAME/dt = ...", one a line')
    states = tuple(rates)
    excess = _excess(spike)
    after = _after(reset, states)
    names = {str(s) for e in (*rates.values(), excess, *after) for s in e.free_symbols} - set(states)
    if entry not in rates:
        raise ValueError(f"input: {entry!r} is none of the states {', '.join(states)}")
    system = System(states, tuple(sorted(names)), states.index(entry), tuple(rates.values()), excess, after)
    _check(system, spike, reset)
    return system


def _lines(text: str) -> list[str]:
    found = [line.partition("#")[0].strip() for line in re.split(r"[\n;]", text)]
    return [line for line in found if line]


def _expression(where: str, text: str) -> Any:
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{where}: {text.strip()!r} is no expression") from error
    return _symbols(where, tree)


def _symbols(where: str, node: ast.AST) -> Any:
    match node:
        case ast.BinOp(left, op, right) if type(op) in _OPERATORS:
            found = _OPERATORS[type(op)](_symbols(where, left), _symbols(where, right))
            if found.has(sympy.zoo, sympy.nan, sympy.oo):
                raise ValueError(f"{where}: {ast.unparse(node)} is not finite")
            return found
        case ast.UnaryOp(ast.USub(), operand):
            return -_symbols(where, operand)
        case ast.Constant(int() as value) if type(value) is int:
            return sympy.Integer(value)
        case ast.Constant(float() as value) if math.isfinite(value):
            return sympy.Rational(str(value))
        case ast.Name(name) if name not in FUNCTIONS:
            return sympy.Symbol(name)
        case ast.Call(ast.Name(name), [argument], []) if name in FUNCTIONS:
            return FUNCTIONS[name](_symbols(where, argument))
    known, hint = ", ".join(FUNCTIONS), "; a power is **" if "^" in ast.unparse(node) else ""
    raise ValueError(f"{where}: {ast.unparse(node)!r} is none of + - * / **, numbers, names and {known}{hint}")


def _excess(spike: str) -> Any:
    found = _CONDITION.fullmatch(spike.strip())
    if not found:
        raise ValueError(f'spike: {spike!r} must read "... > ..."')
    left, right = (_expression(f"spike: {spike!r}", side) for side in (found[1], found[3]))
    return left - right if found[2] == ">" else right - left


def _after(reset: str, states: tuple[str, ...]) -> tuple[Any, ...]:
    found: dict[str, Any] = {}
    for line in _lines(reset):
        parts = _ASSIGNMENT.fullmatch(line)
        if not parts:
            raise ValueError(f'reset: {line!r} must read "NAME = ..." or "NAME += ..."')
        name, operator, text = parts.groups()
        if name not in states:
            raise ValueError(f"reset: {line!r}: {name} is none of the states {', '.join(states)}")
        if name in found:
            raise ValueError(f"reset: {name} is set twice")
        value = _expression(f"reset: {line!r}", text)
        before = sympy.Symbol(name)
        operators = {"": value, "+": before + value, "-": before - value, "*": before * value, "/": before / value}
        found[name] = operators[operator]
    return tuple(found.get(name, sympy.Symbol(name)) for name in states)


def _check(system: System, spike: str, reset: str) -> None:
    x, entry = set(system.x), system.states[system.entry]
    for name, rate in zip(system.states, system.rates, strict=True):
        at_rest = [system.at_rest(rate), *(system.at_rest(sympy.diff(rate, v)) for v in system.x)]
        if any(e.has(sympy.zoo, sympy.nan, sympy.oo, -sympy.oo) for e in at_rest):
            raise ValueError(f"equations: d{name}/dt is not smooth where all states are 0, where they begin")
    if not system.excess.free_symbols & x:
        raise ValueError(f"spike: {spike!r} has none of the states {', '.join(system.states)} in it")
    if any(slope.free_symbols & x for slope in system.slopes):
        raise ValueError(f"spike: {spike!r} must be linear in the states")
    moved = _reached(system)
    high = {k for k, slope in enumerate(system.slopes) if slope != 0}
    if not high & moved:
        raise ValueError(f"spike: {spike!r} never comes about: what arrives at {entry} moves nothing in it")
    if system.entry in high:
        raise ValueError(
            f"spike: {spike!r} holds {entry}, which jumps as something arrives; a spike time has a gradient where what "
            "is compared rises smoothly: let the input enter another state, which drives it"
        )
    for name, column in zip(system.states, system.driven, strict=True):
        if column.free_symbols & x:
            raise ValueError(
                f"equations: how strongly {entry}, the input, acts on d{name}/dt depends on the states (conductances "
                "do); that is not supported: let it be multiplied by parameters only"
            )
    if system.excess_after == 0:
        raise ValueError(f"reset: {reset!r} leaves a unit at its threshold, where it would spike once more")
    if system.excess_after.is_number and system.excess_after > 0:
        raise ValueError(f"reset: {reset!r} leaves a unit above its threshold")


def _reached(system: System) -> set[int]:
    """Places of the states that what arrives moves, sooner or later."""
    found, left = {system.entry}, [system.entry]
    while left:
        moving = system.x[left.pop()]
        new = {k for k, rate in enumerate(system.rates) if rate.has(moving)} - found
        found |= new
        left += new
    return found
