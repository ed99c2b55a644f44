"""What one LIF unit of `exact` does between and at events, as plain values: its kernels differ in who comes next.

Only spikes leave a layer, so a time constant acts on the loss through V just before each spike: the forward pass
carries the derivatives of V and I with respect to the time constants along, and the adjoint of V at the spike is all
the backward pass has to multiply them with. Nothing grows with the number of arrivals.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from lambent.engines.exact.solution import earliest_crossing, propagator, response_derivatives, stationary
from lambent.machine.compiling import grown, inline, jit
from lambent.neurons.payload import slope_of, value_of


class Unit(NamedTuple):
    """Parameters of a unit; `height` is the largest r(s)."""

    tau_mem: float
    tau_syn: float
    threshold: float
    bias: float
    height: float


class State(NamedTuple):
    """Voltage from the bias and current, and dV/dtau_mem, dV/dtau_syn, dI/dtau_syn at fixed times of events."""

    v: float
    i: float
    v_m: float
    v_s: float
    i_s: float


class Decays(NamedTuple):
    """What a time s does: exp(-s / tau_mem), exp(-s / tau_syn), r(s) and its derivatives for the two time constants."""

    s: float
    mem: float
    syn: float
    r: float
    r_m: float
    r_s: float


class Peak(NamedTuple):
    """When V was highest, and V from the bias, dV/dtau_mem and dV/dtau_syn then.

    Where V never rose above rest, the time is infinite in the end and the derivatives are those of the mean V.
    """

    time: float
    v: float
    v_m: float
    v_s: float


class Spikes(NamedTuple):
    """Spikes of a layer, one entry or row each.

    Attributes:
        time, unit: (n,).
        slope: (n, 2) dV/dt before and after the reset.
        change: (n, 3) derivatives of V just before the spike with respect to tau_mem, tau_syn and bias; (n, 4) with
            a payload, the last that of I with respect to tau_syn.
    """

    time: np.ndarray
    unit: np.ndarray
    slope: np.ndarray
    change: np.ndarray


class BySource(NamedTuple):
    """All connections of a layer: those of the inputs, then those of its own units, by source.

    Attributes:
        inputs: number of sources that are inputs.
        start: (sources + 1,) source s owns start[s]:start[s + 1].
        target, weight, delay: one entry per connection; delays rise within a source.
        shared: every source reaches every unit at once, unit k by its connection k.
    """

    inputs: int
    start: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    delay: np.ndarray
    shared: bool


@inline
def unit_at(units, k):
    """Row k of `units` (size, 5)."""
    return Unit(units[k, 0], units[k, 1], units[k, 2], units[k, 3], units[k, 4])


@inline
def decays(s, unit, derivatives):
    """What a time s does to a unit; `derivatives` says whether r_m and r_s are wanted."""
    mem, syn, r = propagator(s, unit.tau_mem, unit.tau_syn)
    r_m = r_s = 0.0
    if derivatives:
        r_m, r_s = response_derivatives(s, unit.tau_mem, unit.tau_syn)
    return Decays(s, mem, syn, r, r_m, r_s)


@inline
def after(x, d, unit, derivatives):
    """The state a time `d.s` after it was x."""
    v, i = x.v * d.mem + x.i * d.r, x.i * d.syn
    if not derivatives:
        return State(v, i, 0.0, 0.0, 0.0)
    v_m = x.v_m * d.mem + x.v * d.mem * d.s / (unit.tau_mem * unit.tau_mem) + x.i * d.r_m
    v_s = x.v_s * d.mem + x.i_s * d.r + x.i * d.r_s
    return State(v, i, v_m, v_s, (x.i_s + x.i * d.s / (unit.tau_syn * unit.tau_syn)) * d.syn)


@inline
def turns(x, y):
    """Whether V went through a maximum on the way from state x to state y."""
    return x.i > x.v and y.i < y.v


@inline
def highest(peak, x, y, t, d, unit, derivatives):
    """The peak after V went, in the time `d.s` up to t, from x to y."""
    if turns(x, y) and earliest_crossing(x.v, x.i, unit.tau_mem, peak.v, unit.height) < d.s:
        s = stationary(x.v, x.i, unit.tau_mem, unit.tau_syn)
        top = after(x, decays(s, unit, derivatives), unit, derivatives)
        if top.v > peak.v:
            peak = Peak(t - d.s + s, top.v, top.v_m, top.v_s)
    return Peak(t, y.v, y.v_m, y.v_s) if y.v > peak.v else peak


@jit
def new_spikes(payload):
    """Room for some spikes, which carry a `Payload` or None."""
    return Spikes(np.empty(64), np.empty(64, np.int32), np.empty((64, 2)), np.empty((64, 3 if payload is None else 4)))


@jit
def with_room(spikes, n):
    """`spikes` with room for entry n."""
    if n < spikes.time.shape[0]:
        return spikes
    return Spikes(grown(spikes.time), grown(spikes.unit), grown(spikes.slope), grown(spikes.change))


@inline
def write_spike(spikes, n, t, k, x, reset, unit, payload):
    """Spike n is that of unit k at t, when its state is x and its last spike was at `reset`; returns x after it."""
    drive = x.i + unit.bias
    spikes.time[n], spikes.unit[n] = t, k
    spikes.slope[n, 0], spikes.slope[n, 1] = (drive - unit.threshold) / unit.tau_mem, drive / unit.tau_mem
    spikes.change[n, 0], spikes.change[n, 1] = x.v_m, x.v_s
    spikes.change[n, 2] = -math.expm1((reset - t) / unit.tau_mem)
    if payload is not None:
        spikes.change[n, 3] = x.i_s
    return State(-unit.bias, x.i, 0.0, 0.0, x.i_s)


@inline
def mean_change(x, arrived, unit, duration):
    """Derivatives of the mean V of a silent unit for its time constants, its last state being x.

    Integrals of the differential equations; `arrived` is the sum of the weights that arrived.
    """
    v_m = -(x.v + unit.bias) - unit.tau_mem * x.v_m
    v_s = arrived - x.i - unit.tau_syn * x.i_s - unit.tau_mem * x.v_s
    return v_m / duration, v_s / duration


@inline
def before(a_v, a_i, d):
    """The adjoint, dL/dV and dL/dI, a time `d.s` earlier."""
    return a_v * d.mem, a_i * d.syn + a_v * d.r


@inline
def driven(drive, d, unit):
    """What the adjoint a time `d.s` earlier has in addition, if meanwhile V adds `drive` V to L in a ms."""
    return drive * unit.tau_mem * (1.0 - d.mem), drive * (unit.tau_syn * (1.0 - d.syn) - unit.tau_mem * d.r)


@inline
def through_spike(a_v, a_i, pull, of_value, spikes, n, unit, min_slope, grad_count, payload, d_units):
    """dL/dV and dL/dI before spike n, where they are `a_v` and `a_i` after it, dL/dt of the spike `pull`.

    `of_value` is dL/d value of a spike with a `payload`, which I sets; both are None of one without.
    """
    k = spikes.unit[n]
    if payload is not None:
        lift = of_value * slope_of(payload, spikes.slope[n, 0] * unit.tau_mem)  # dL/dI through the value
        a_i += lift
        pull -= lift * (spikes.slope[n, 1] * unit.tau_mem - unit.bias) / unit.tau_syn  # I falls while the spike waits
        d_units[1, k] += lift * spikes.change[n, 3]
        d_units[2, k] += lift
        d_units[3, k] -= lift
    slope = max(spikes.slope[n, 0], min_slope * unit.threshold / unit.tau_mem)
    a_v = (a_v * spikes.slope[n, 1] - pull) / slope + grad_count / unit.threshold
    for p in range(3):
        d_units[p, k] += a_v * spikes.change[n, p]
    d_units[3, k] -= a_v
    return a_v, a_i


@inline
def own_value(spikes, n, unit, payload):
    """The value of spike n."""
    return value_of(payload, spikes.slope[n, 0] * unit.tau_mem)


@inline
def of_silent(k, time, change, unit, grad_count, duration, d_units):
    """Of a silent unit: until when V matters, dL/dV then, and dL/dV in a ms before.

    Only its highest V counts, or where it never rose above rest (`time` is infinite) the mean.
    """
    push = grad_count / unit.threshold
    if push == 0.0:
        return -math.inf, 0.0, 0.0
    low = time == math.inf
    late = math.expm1(-(duration if low else time) / unit.tau_mem)
    d_units[0, k] += push * change[0]
    d_units[1, k] += push * change[1]
    d_units[2, k] += push * (1.0 + late * unit.tau_mem / duration) if low else -push * late
    d_units[3, k] -= push
    if low:
        return duration, 0.0, push / duration
    return np.nextafter(time, -math.inf), push, 0.0  # what arrives at the peak comes after it
