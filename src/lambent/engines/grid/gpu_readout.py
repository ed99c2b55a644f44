"""Triton kernels of `grid_gpu` for leaky integrators; one program per sample, all steps in one launch."""

from __future__ import annotations

import triton
from triton import language as tl

from lambent.engines.grid.gpu_backward import collect
from lambent.engines.grid.gpu_forward import deliver


@triton.jit(do_not_specialize=["n_steps"])
def li_forward(
    starts, units, weight, alpha_mem, alpha_syn, gain, voltages,
    n_steps, size: tl.constexpr, BLOCK: tl.constexpr, FETCH: tl.constexpr,
):  # fmt: skip
    """Voltages (batch, n_steps, size) of units that never spike."""
    b = tl.program_id(0).to(tl.int64)
    starts += b * n_steps
    voltages += b * n_steps * size
    columns = tl.max_contiguous(tl.arange(0, BLOCK), [1])
    inside = columns < size
    decay_mem = tl.load(alpha_mem + columns, mask=inside, other=0.0)
    decay_syn = tl.load(alpha_syn + columns, mask=inside, other=0.0)
    gains = tl.load(gain + columns, mask=inside, other=0.0)
    voltage = tl.zeros_like(gains)
    current = tl.zeros_like(gains)
    arriving = tl.zeros_like(gains)
    last = tl.load(starts)
    for n in range(n_steps):
        first = last
        last = tl.load(starts + n + 1)
        current = decay_syn * current + arriving
        voltage = decay_mem * voltage + gains * current
        tl.store(voltages + n * size + columns, voltage, mask=inside)
        arriving = deliver(
            None, 0, 1, units, first, last, weight, None, None, 0, 0, None, None,
            columns, inside, gains.dtype, size, BLOCK, FETCH,
        )  # fmt: skip


@triton.jit(do_not_specialize=["batch", "n_steps"])
def li_backward(
    starts, units, weight, alpha_mem, alpha_syn, gain, tau_mem, tau_syn, voltages, grad,
    d_times, d_weight, d_decay, batch, n_steps, sources: tl.constexpr, size: tl.constexpr,
    COPIES: tl.constexpr, BLOCK: tl.constexpr, FETCH: tl.constexpr,
):  # fmt: skip
    """Exact derivative of `li_forward`; the times get the continuous one. Arguments as `lif_backward`."""
    program = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    inside = columns < size
    decay_mem = tl.load(alpha_mem + columns, mask=inside, other=0.0)
    decay_syn = tl.load(alpha_syn + columns, mask=inside, other=0.0)
    gains = tl.load(gain + columns, mask=inside, other=1.0)
    rate_mem = 1 / tl.load(tau_mem + columns, mask=inside, other=1.0)
    rate_syn = 1 / tl.load(tau_syn + columns, mask=inside, other=1.0)
    if COPIES:
        d_weight += program * sources * size
    sum_mem = tl.zeros_like(gains)
    sum_syn = tl.zeros_like(gains)
    sum_gain = tl.zeros_like(gains)
    for sample in range(program, batch, tl.num_programs(0)):
        b = tl.cast(sample, tl.int64)
        row = b * n_steps * size + columns
        a_voltage = tl.zeros_like(gains)
        a_current = tl.zeros_like(gains)
        drift = tl.zeros_like(gains)
        first = tl.load(starts + (b + 1) * n_steps)
        if d_decay is not None:
            here = tl.load(voltages + row + (n_steps - 1) * size, mask=inside, other=0.0)
            before = tl.load(voltages + row + (n_steps - 2) * size, mask=inside & (n_steps > 1), other=0.0)
        for back in range(n_steps):
            n = n_steps - 1 - back
            last = first
            first = tl.load(starts + b * n_steps + n)
            for some in range(first, last, FETCH):
                slot = some + tl.arange(0, FETCH)
                live = slot < last
                unit = tl.load(units + slot, mask=live, other=0)
                push = collect(
                    unit, live, a_current, drift, None, None, 0, 1, weight, None, d_weight, None,
                    columns, inside, size, BLOCK, FETCH, d_times is not None, COPIES,
                )  # fmt: skip
                if d_times is not None:
                    tl.store(d_times + slot, push, mask=live)
            full = a_voltage + tl.load(grad + row + n * size, mask=inside, other=0.0)
            a_current = gains * full + decay_syn * a_current
            a_voltage = decay_mem * full
            drift = a_current * rate_syn - full * rate_mem
            if d_decay is not None:
                # the currents follow from the voltages: gain I[n] = V[n] - alpha_mem V[n - 1]
                earlier = tl.load(voltages + row + (n - 2) * size, mask=inside & (n > 1), other=0.0)
                sum_mem += full * before
                sum_gain += full * (here - decay_mem * before) / gains
                sum_syn += a_current * (before - decay_mem * earlier) / gains
                here, before = before, earlier
    if d_decay is not None:
        d_decay += program * 3 * size + columns
        tl.store(d_decay, sum_mem, mask=inside)
        tl.store(d_decay + size, sum_syn, mask=inside)
        tl.store(d_decay + 2 * size, sum_gain, mask=inside)
