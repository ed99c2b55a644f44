"""Numba kernels: the fast path, one sample after another, and what the programs of elements share with it.

Every number is what the programs of `programs/` compute, bit for bit: float32, sums in the order of keys, no operation
fused with another. The equations are in `network.py` and `rules.py`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lambent.hardware.spinnaker2.network import Units
from lambent.machine.compiling import inline, jit

ONE, TINY = np.float32(1), np.float32(1e-10)


class Wiring(NamedTuple):
    """How layers lie in flat arrays, those of all units one after another.

    Attributes:
        size: int64 (layers + 1,) units, the inputs first.
        first: int64 (layers + 1,) the first unit of each layer, and how many there are.
        start: int64 (layers + 1,) the first weight of each layer, and how many there are.
        loops: bool (layers,) whether a layer is recurrent.
        cut: int64, the first unit of each slice of a layer, counted in the layer; a slice lies on an element.
        cuts: int64 (layers + 1,) where those of each layer begin in `cut`, with the layer's size as the last.
        scale: float32 (layers,) what integer weights are worth.
        spiking: whether the last layer is no readout.
    """

    size: np.ndarray
    first: np.ndarray
    start: np.ndarray
    loops: np.ndarray
    cut: np.ndarray
    cuts: np.ndarray
    scale: np.ndarray
    spiking: bool


class Trace(NamedTuple):
    """What a sample did; the first axis of each array is the batch.

    Attributes:
        fired: int32 (batch, units * steps), the units of each layer that spiked, in the order of steps, from
            ``first[layer] * steps`` on, counted in the layer.
        upto: int32 (batch, layers, steps + 1), how many had spiked before a step.
        slope: float32 like `fired`, of each spike: I - V or dV/dt, as the rule has it.
        error, worth: float32 like `fired`, what moving each spike, and one more like it, would do to the loss.
        counts: int32 (batch, units).
        highest, peak: float32 and int32 (batch, units), the highest voltage, and the step of it.
        scores: float32 (batch, outputs), the readout's.
        push: float32 (batch, units), what one more spike of a unit would be worth.
    """

    fired: np.ndarray
    upto: np.ndarray
    slope: np.ndarray
    error: np.ndarray
    worth: np.ndarray
    counts: np.ndarray
    highest: np.ndarray
    peak: np.ndarray
    scores: np.ndarray
    push: np.ndarray


class Spikes(NamedTuple):
    """Input spikes of a batch: those of step i of sample b are ``unit[upto[b, i]:upto[b, i + 1]]``, in order."""

    unit: np.ndarray
    upto: np.ndarray


@inline
def _add_row(arrived, weights, at, n):
    for j in range(n):
        arrived[j] += weights[at + j]


@inline
def _with_products(total, weights, at, values, first, wiring, layer):
    """`total` and, slice by slice in their order, the sum of products over each."""
    for p in range(wiring.cuts[layer], wiring.cuts[layer + 1] - 1):
        part = np.float32(0)
        for j in range(wiring.cut[p], wiring.cut[p + 1]):
            part += weights[at + j] * values[first + j]
        total += part
    return total


@jit
def forward(b, spikes, weights, wiring, units, lambent, factors, trace, voltages):
    """Run sample `b` into `trace`; voltages float32 (steps, units), if it has rows, are those after each step."""
    steps, layers = trace.upto.shape[2] - 1, len(wiring.loops)
    n_units = wiring.first[layers]
    current, voltage = np.zeros(n_units, np.float32), np.zeros(n_units, np.float32)
    arrived = np.empty(wiring.size.max(), np.float32)
    fired, upto, slope = trace.fired[b], trace.upto[b], trace.slope[b]
    counts, highest, peak, scores = trace.counts[b], trace.highest[b], trace.peak[b], trace.scores[b]
    counts[:], peak[:], scores[:], upto[:, :2] = 0, 0, 0, 0
    highest[:] = 0
    for i in range(1, steps):
        for layer in range(layers):
            n, n_in, first = wiring.size[layer + 1], wiring.size[layer], wiring.first[layer]
            start = wiring.start[layer]
            arrived[:n] = 0
            if layer == 0:
                for at in range(spikes.upto[b, i - 1], spikes.upto[b, i]):
                    _add_row(arrived, weights, start + n * spikes.unit[at], n)
            else:
                before = wiring.first[layer - 1] * steps
                for at in range(before + upto[layer - 1, i - 1], before + upto[layer - 1, i]):
                    _add_row(arrived, weights, start + n * fired[at], n)
            own = first * steps
            if wiring.loops[layer]:
                for at in range(own + upto[layer, i - 1], own + upto[layer, i]):
                    _add_row(arrived, weights, start + n * (n_in + fired[at]), n)
            scale, reads = wiring.scale[layer], layer == layers - 1 and not wiring.spiking
            for j in range(n):
                u = first + j
                current[u] = units.alpha[u] * current[u] + scale * arrived[j]
                voltage[u] = units.beta[u] * voltage[u] + units.gain[u] * current[u]
            done = upto[layer, i]
            if reads:
                for j in range(n):
                    scores[j] += factors[i] * voltage[first + j]
            else:
                for j in range(n):
                    u = first + j
                    if voltage[u] > highest[u]:
                        highest[u], peak[u] = voltage[u], i
                    if voltage[u] > ONE:
                        fired[own + done] = j
                        if lambent:
                            rise = (units.kappa[u] * current[u] - voltage[u]) / units.tau_mem[u]
                            slope[own + done] = max(rise, units.least[u])
                        else:
                            slope[own + done] = current[u] - voltage[u]
                        done += 1
                        counts[u] += 1
                        voltage[u] = 0
            upto[layer, i + 1] = done
        if len(voltages):
            for u in range(n_units):
                voltages[i, u] = voltage[u]


@jit
def raster(b, wiring, trace, spikes):
    """Write 1 into uint8 `spikes` (steps, units), if it has rows, where a unit spiked."""
    steps = trace.upto.shape[2] - 1
    if not len(spikes):
        return
    for layer in range(len(wiring.loops)):
        own = wiring.first[layer] * steps
        for i in range(steps):
            for at in range(own + trace.upto[b, layer, i], own + trace.upto[b, layer, i + 1]):
                spikes[i, wiring.first[layer] + trace.fired[b, at]] = 1


@jit
def first_spikes(b, wiring, trace, first):
    """The step of each output's first spike into int32 `first`; the number of steps where there was none."""
    steps, last = trace.upto.shape[2] - 1, len(wiring.loops) - 1
    own = wiring.first[last] * steps
    first[:] = steps
    for i in range(1, steps):
        for at in range(own + trace.upto[b, last, i], own + trace.upto[b, last, i + 1]):
            if first[trace.fired[b, at]] == steps:
                first[trace.fired[b, at]] = i


@jit
def spread_errors(b, wiring, trace, first, error):
    """Put the loss's error of each output where its first spike is in the trace."""
    last = len(wiring.loops) - 1
    own = wiring.first[last] * (trace.upto.shape[2] - 1)
    for c in range(len(first)):
        if first[c] < trace.upto.shape[2] - 1:
            for at in range(own + trace.upto[b, last, first[c]], own + trace.upto[b, last, first[c] + 1]):
                if trace.fired[b, at] == c:
                    trace.error[b, at] = error[c]


@jit
def first_spike_loss(first, label, steps, dt, silent, tau, alpha, tau_alpha, batch, lambent, error, push):
    """Loss of one sample, of a batch of so many; of each output what moving its first spike, and having one, is worth.

    Args:
        first: int32 (outputs,) steps, `steps` for none.
        dt, silent: length of a step, and the time that counts for an output without a spike [ms].
        error, push: float32 (outputs,), filled: dL/dt [1/ms] and dL/d count.
    """
    n = len(first)
    times, likely = np.empty(n, np.float32), np.empty(n, np.float32)
    for c in range(n):
        times[c] = dt * np.float32(first[c]) if first[c] < steps else silent
    earliest = times.min()
    total = np.float32(0)
    for c in range(n):
        likely[c] = np.exp((earliest - times[c]) / tau)
        total += likely[c]
    late = np.exp(times[label] / tau_alpha)
    for c in range(n):
        g = (np.float32(c == label) - likely[c] / total) / tau
        if c == label:
            g += alpha * late / tau_alpha
        g /= np.float32(batch)
        error[c] = g if first[c] < steps - (0 if lambent else 1) else 0
        push[c] = -silent * g if lambent and first[c] == steps else 0
    loss = (times[label] - earliest) / tau + np.log(total) + alpha * (late - ONE)
    return loss / np.float32(batch)


@jit
def readout_loss(scores, label, smoothing, batch, error):
    """Cross-entropy of one sample's scores, of a batch of so many; float32 `error` becomes its derivative."""
    n = len(scores)
    largest, total, mean = scores.max(), np.float32(0), np.float32(0)
    for c in range(n):
        error[c] = np.exp(scores[c] - largest)
        total += error[c]
        mean += (scores[c] - largest) / np.float32(n)
    base = smoothing / np.float32(n)
    for c in range(n):
        wanted = base + (ONE - smoothing if c == label else np.float32(0))
        error[c] = (error[c] / total - wanted) / np.float32(batch)
    loss = np.log(total) - (ONE - smoothing) * (scores[label] - largest) - smoothing * mean
    return loss / np.float32(batch)


@jit
def backward(b, spikes, weights, wiring, units, lambent, factors, wanted, count_gradient, trace, gradient):
    """The gradient of sample `b`, added to float32 `gradient`, which is like `weights`.

    Args:
        factors: float32 (steps,), what the readout's voltages count.
        wanted: float32 (outputs,), derivative of the loss with respect to the readout's scores.
        trace: of `forward`; `error` of the last layer's spikes holds that of the loss.
    """
    steps, layers = trace.upto.shape[2] - 1, len(wiring.loops)
    n_units = wiring.first[layers]
    a_current, a_voltage = np.zeros(n_units, np.float32), np.zeros(n_units, np.float32)
    give, send, value = np.empty(n_units, np.float32), np.empty(n_units, np.float32), np.empty(n_units, np.float32)
    fired, upto, slope, error, worth = trace.fired[b], trace.upto[b], trace.slope[b], trace.error[b], trace.worth[b]
    counts, highest, peak, push = trace.counts[b], trace.highest[b], trace.peak[b], trace.push[b]
    silent = np.empty(n_units, np.int64)
    n_silent = 0
    if lambent:
        for u in range(n_units if wiring.spiking else wiring.first[layers - 1]):
            if counts[u] == 0 and push[u] != 0:
                silent[n_silent] = u
                n_silent += 1
    for i in range(steps - 2, -1, -1):
        for at in range(n_silent):
            u = silent[at]
            if highest[u] <= 0:
                a_voltage[u] += push[u] / np.float32(steps)
            elif peak[u] == i + 1:
                a_voltage[u] += push[u]
        for layer in range(layers):
            n, n_in, first = wiring.size[layer + 1], wiring.size[layer], wiring.first[layer]
            own, start = first * steps, wiring.start[layer]
            begin, end = own + upto[layer, i + 1], own + upto[layer, i + 2]
            reads = layer == layers - 1 and not wiring.spiking
            if lambent:
                for at in range(begin, end):
                    u = first + fired[at]
                    ratio = ONE + ONE / (units.tau_mem[u] * slope[at])
                    a_voltage[u] = a_voltage[u] * ratio - error[at] / slope[at] + (push[u] + worth[at])
                if reads:
                    for j in range(n):
                        a_voltage[first + j] += factors[i + 1] * wanted[j]
                for u in range(first, first + n):
                    arriving = units.gain[u] * a_voltage[u] + a_current[u]
                    give[u] = arriving
                    send[u] = arriving * units.rate_syn[u] - units.rate_mem[u] * a_voltage[u]
                    value[u] = count_gradient * arriving
                    a_current[u] = units.alpha[u] * arriving
                    a_voltage[u] = units.beta[u] * a_voltage[u]
            else:
                for at in range(begin, end):
                    error[at] = (a_voltage[first + fired[at]] + error[at]) / (slope[at] + TINY)
                for u in range(first, first + n):
                    send[u] = a_voltage[u] - a_current[u]
                    a_current[u] = units.alpha[u] * a_current[u] + units.fade[u] * a_voltage[u]
                    a_voltage[u] = units.beta[u] * a_voltage[u]
                    give[u] = -(units.tau_syn[u] * a_current[u])
                for at in range(begin, end):
                    a_voltage[first + fired[at]] += error[at]
            if layer == 0:
                for at in range(spikes.upto[b, i], spikes.upto[b, i + 1]):
                    _add_row(gradient[start + n * spikes.unit[at] :], give, first, n)
            else:
                before = wiring.first[layer - 1] * steps
                for at in range(before + upto[layer - 1, i], before + upto[layer - 1, i + 1]):
                    row = start + n * fired[at]
                    _add_row(gradient[row:], give, first, n)
                    error[at] = _with_products(error[at], weights, row, send, first, wiring, layer)
                    if reads and count_gradient != 0:
                        worth[at] = _with_products(worth[at], weights, row, value, first, wiring, layer)
            if wiring.loops[layer]:
                for at in range(own + upto[layer, i], own + upto[layer, i + 1]):
                    row = start + n * (n_in + fired[at])
                    _add_row(gradient[row:], give, first, n)
                    error[at] = _with_products(error[at], weights, row, send, first, wiring, layer)


@jit
def add(total, parts):
    """Add to float32 `total` the rows of `parts`, in their order."""
    for b in range(len(parts)):
        for j in range(len(total)):
            total[j] += parts[b, j]


@jit
def adam(weights, gradient, first, second, rate, decay, corrected, corrected_second):
    """One step of Adam with weight decay added to the gradient, in place; betas 0.9 and 0.999, epsilon 1e-8.

    Args:
        weights, gradient, first, second: float32 of one shape, flat.
        rate, decay: learning rate and weight decay.
        corrected, corrected_second: 1 - beta^step of both moments.
    """
    keep, keep_second, epsilon = np.float32(0.9), np.float32(0.999), np.float32(1e-8)
    new, new_second = np.float32(0.1), np.float32(0.001)
    for j in range(len(weights)):
        g = gradient[j] + decay * weights[j]
        first[j] = keep * first[j] + new * g
        second[j] = keep_second * second[j] + new_second * (g * g)
        weights[j] -= rate * (first[j] / corrected) / (np.sqrt(second[j] / corrected_second) + epsilon)


def flat_units(per_layer: list[Units]) -> Units:
    """The constants of all layers' units, one after another."""
    return Units(*(np.concatenate(arrays) for arrays in zip(*per_layer, strict=True)))
