"""A LIF unit between two events, in closed form (DESIGN 4.1): propagation, its derivatives, threshold crossings.

V is measured from the bias, which it approaches if nothing arrives. After a time s without events,

    I(s) = I exp(-s / tau_s)        V(s) = V exp(-s / tau_m) + I r(s)
    r(s) = (exp(-s / tau_m) - exp(-s / tau_s)) tau_s / (tau_m - tau_s)

V has at most one extremum in s > 0: a sum of two exponentials is stationary only where their slopes balance. So V
rises on one known interval at most, in which it passes threshold once or never. All is written in
x = s (1 / tau_s - 1 / tau_m) so that tau_m = tau_s is nothing special.
"""

from __future__ import annotations

import math

from lambent.machine.compiling import jit


@jit
def propagator(s, tau_m, tau_s):
    """exp(-s / tau_m), exp(-s / tau_s) and r(s)."""
    rate = 1.0 / tau_s - 1.0 / tau_m
    decay_m = math.exp(-s / tau_m)
    if rate == 0.0:
        return decay_m, decay_m, decay_m * s / tau_m
    if rate * s > -30.0:
        fall = math.expm1(-rate * s)
        return decay_m, decay_m * (1.0 + fall), -decay_m * fall / (tau_m * rate)
    decay_s = math.exp(-s / tau_s)  # tau_s >> tau_m: decay_m may have underflowed, its product with fall may not
    return decay_m, decay_s, (decay_m - decay_s) / (tau_m * rate)


@jit
def response_derivatives(s, tau_m, tau_s):
    """dr / dtau_m and dr / dtau_s at s."""
    # r = s / tau_m exp(-s / tau_m) phi(x) with phi(x) = (1 - exp(-x)) / x; decay_m times phi and times its slope
    x = s * (1.0 / tau_s - 1.0 / tau_m)
    decay_m, decay_s, _ = propagator(s, tau_m, tau_s)
    if abs(x) < 0.5:
        phi, slope, term = 1.0, 0.0, 1.0  # term: (-x)^n / (n + 1)!
        for n in range(1, 16):
            slope -= n * term / (n + 1)
            term *= -x / (n + 1)
            phi += term
        phi, slope = decay_m * phi, decay_m * slope
    else:
        phi = (decay_m - decay_s) / x
        slope = (decay_s * (1.0 + x) - decay_m) / (x * x)
    front = s / tau_m
    return front * ((front - 1.0) * phi + front * slope) / tau_m, -front * slope * s / (tau_s * tau_s)


@jit
def stationary(v, i, tau_m, tau_s):
    """The s > 0 at which dV/ds = 0, or infinity if there is none."""
    rate = 1.0 / tau_s - 1.0 / tau_m
    z = tau_s * (i - v)
    below = i * tau_s / tau_m + rate * tau_s * v
    if below == 0.0:
        return math.inf
    z /= below
    if z <= 0.0 or rate * z <= -1.0:
        return math.inf
    return z if rate == 0.0 else math.log1p(rate * z) / rate


@jit
def voltage(s, v, i, tau_m, tau_s):
    """V(s)."""
    decay_m, _, r = propagator(s, tau_m, tau_s)
    return v * decay_m + i * r


@jit
def earliest_crossing(v, i, tau_m, threshold, height):
    """A time before which V(s) can't reach threshold, infinity for never, without solving; `height` is the largest r.

    V(s) <= max(v, 0) + i r(s), and while V(s) >= v its slope is at most (i - v) / tau_m (i as 0 if negative).
    """
    i = max(i, 0.0)
    if max(v, 0.0) + i * height < threshold:
        return math.inf
    return max((threshold - v) * tau_m / (i - v), 0.0) if i > v else math.inf


@jit
def crossing(v, i, tau_m, tau_s, threshold, longest):
    """The first s in [0, longest] at which V(s) reaches threshold from below, or infinity.

    Closed form for tau_m = 2 tau_s. Otherwise Halley's method (Newton's with the second derivative, which costs nothing
    more here), kept inside the interval on which V rises and halving it where a step would leave it. For tau_m = tau_s,
    too: Lambert's W would itself be evaluated so.
    """
    if v >= threshold:  # by rounding, if an event came just when V was about to cross
        return 0.0
    if threshold >= 0.0 and v <= 0.0 and i <= 0.0:  # V approaches 0 at most, which rounding would not show
        return math.inf
    low, high = 0.0, longest
    turn = stationary(v, i, tau_m, tau_s)
    if turn < longest:
        if i > v:
            high = turn
        else:
            low = turn
    elif i < v or (i == v and i >= 0.0):
        return math.inf
    if voltage(high, v, i, tau_m, tau_s) < threshold:
        return math.inf
    if tau_m == 2.0 * tau_s:
        # with y = exp(-s / tau_m):  i y^2 - a y + threshold = 0, and V rises with falling y
        a = v + i
        root = math.sqrt(max(a * a - 4.0 * i * threshold, 0.0))
        y = 2.0 * threshold / (a - root) if a < 0.0 else (a + root) / (2.0 * i)
        if 0.0 < y <= 1.0:
            s = -tau_m * math.log(y)
            if low <= s <= high:
                return s
    s = low
    for _ in range(200):
        decay_m, decay_s, r = propagator(s, tau_m, tau_s)
        now, current = v * decay_m + i * r, i * decay_s
        miss = now - threshold
        if miss < 0.0:
            low = s
        else:
            high = s
        slope = (current - now) / tau_m
        bend = -(current / tau_s + slope) / tau_m
        # where V bends this much (at its minimum, say) the method would not converge, or stop where it must not
        step = math.inf
        if slope > 0.0 and abs(miss * bend) <= slope * slope:
            step = -miss * slope / (slope * slope - 0.5 * miss * bend)
        if low <= s + step <= high:
            s += step
            # the error that remains is of third order in the step
            twist = (current / (tau_s * tau_s) - bend) / tau_m
            if (bend * bend + abs(slope * twist)) * abs(step) ** 3 <= 1e-15 * slope * slope:
                return s
        else:
            s = 0.5 * (low + high)
        if high - low <= 1e-14 * (1.0 + high):
            return s
    return s
