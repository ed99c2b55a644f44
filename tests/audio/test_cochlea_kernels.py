"""Fibres and cells against a simulation that follows every fibre, and hair cells against the equations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.stats import binom, chisquare, ks_2samp

from lambent.audio.cochlea_kernels import (
    FIBRES,
    REFRACTORY,
    bushy_cells_at_rest,
    bushy_spikes,
    fibre_spikes,
    hair_cells_at_rest,
    release_transmitter,
)
from lambent.audio.membrane import RATE


def seeds(n, start=0):
    return np.random.SeedSequence(start).generate_state(n, np.uint64)


# -- fibres -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("probability", "ready"), [(0.004, 40), (0.05, 40), (0.3, 7), (0.6, 40), (0.02, 1)])
def test_fibres_are_binomial(probability, ready):
    cell = bushy_cells_at_rest(seeds(1))[0]
    wait, n = cell["wait"], 20_000
    drawn = np.empty(n, int)
    for i in range(n):
        drawn[i], wait = fibre_spikes(probability, ready, wait, cell)
    counts = np.bincount(drawn, minlength=ready + 1)
    expected = n * binom.pmf(np.arange(ready + 1), ready, probability)
    merged = expected < 10  # classes with few expected draws are taken together
    counts = np.append(counts[~merged], counts[merged].sum())
    expected = np.append(expected[~merged], expected[merged].sum())
    keep = expected > 1e-3
    assert counts[~keep].sum() == 0
    assert chisquare(counts[keep], expected[keep] * counts.sum() / expected[keep].sum()).pvalue > 1e-4


@given(st.floats(0, 0.999), st.integers(0, FIBRES), st.floats(1e-9, 40))
@settings(max_examples=200, deadline=None)
def test_no_more_fibres_fire_than_are_ready(probability, ready, wait):
    fired, left = fibre_spikes(probability, ready, wait, bushy_cells_at_rest(seeds(1))[0])
    assert 0 <= fired <= ready
    assert left >= 0


def per_fibre(probability, rng):
    """Spikes of a bushy cell whose fibres are followed one by one, as the model is published."""
    steps = len(probability)
    last = np.full(FIBRES, -REFRACTORY)
    keep_mem, keep_syn = np.exp(-1e3 / RATE), np.exp(-2e3 / RATE)
    voltage = current = 0.0
    resting, out = 0, []
    for j in range(steps):
        fires = (rng.random(FIBRES) < probability[j]) & (j - last >= REFRACTORY)
        last[fires] = j
        current = current * keep_syn + fires.sum()
        if voltage >= 1:
            out.append(j)
            voltage, resting = 0.0, REFRACTORY
        if resting:
            resting -= 1
        else:
            voltage = voltage * keep_mem + 13e3 / FIBRES / RATE * current
    return np.array(out)


@pytest.mark.parametrize("level", [0.008, 0.02])
def test_binomial_fibres_are_the_fibres_one_by_one(level):
    """Numbers and intervals of the spikes under a drive that swings, as a tone's does, are distributed alike."""
    steps, trials = 800, 120
    probability = (level * (1 + np.sin(np.arange(steps) * 2 * np.pi * 200 / RATE))).astype(np.float32)
    rng = np.random.default_rng(1)
    single = [per_fibre(probability, rng) for _ in range(trials)]
    step, channel = bushy_spikes(np.tile(probability, (trials, 1)), bushy_cells_at_rest(seeds(trials)), 0)
    pooled = [step[channel == i] for i in range(trials)]
    counts = [np.array([len(x) for x in spikes]) for spikes in (single, pooled)]
    error = np.sqrt(sum(c.var() for c in counts) / trials)
    assert abs(counts[0].mean() - counts[1].mean()) < 4 * error + 1e-9
    intervals = [np.concatenate([np.diff(x) for x in spikes]) for spikes in (single, pooled)]
    assert min(x.min() for x in intervals) > REFRACTORY
    assert ks_2samp(*intervals).pvalue > 1e-4


# -- hair cells ---------------------------------------------------------------------------------------


def test_silence_is_a_steady_state():
    cells = hair_cells_at_rest(3)
    before = cells.copy()
    block = np.zeros((3, 2000), np.float32)
    release_transmitter(block, cells)
    for name in before.dtype.names:
        np.testing.assert_allclose(cells[name], before[name], rtol=1e-9)
    np.testing.assert_allclose(block * RATE, 64.77, rtol=1e-4)  # [1/s], the spontaneous rate


def test_hair_cell_follows_the_equations():
    """Against the differential equations of Meddis 1986, to the error of a step."""

    def rates(t, state):
        q, c, w = state
        s = max(60 * np.sin(2 * np.pi * 20 * t) + 5.0, 0.0)
        eject = 2000.0 * s / (s + 300.0) * q
        return [5.05 * max(1 - q, 0) + 66.3 * w - eject, eject - (2500 + 6580) * c, 6580 * c - 66.3 * w]

    cells = hair_cells_at_rest(1)
    start = [cells[name][0] for name in ("pool", "cleft", "store")]
    t = np.arange(1600) / RATE
    block = (60 * np.sin(2 * np.pi * 20 * t)).astype(np.float32)[None]
    release_transmitter(block, cells)
    exact = solve_ivp(rates, (0, 0.1), start, t_eval=t + 1 / RATE, rtol=1e-8, atol=1e-12, max_step=1 / RATE).y[1]
    assert np.abs(block[0] * RATE / 50000 - exact).max() < 0.05 * exact.max()


# -- blocks -------------------------------------------------------------------------------------------


@given(st.integers(1, 999))
@settings(max_examples=20, deadline=None)
def test_blocks_join_without_a_seam(cut):
    drive = np.random.default_rng(0).normal(0, 60, (4, 1000)).astype(np.float32)

    def run(parts):
        hair, bushy, first, found = hair_cells_at_rest(4), bushy_cells_at_rest(seeds(4)), 0, []
        for part in parts:
            block = part.copy()
            release_transmitter(block, hair)
            found.append(np.stack(bushy_spikes(block, bushy, first)))
            first += part.shape[1]
        spikes = np.concatenate(found, axis=1)
        return spikes[:, np.lexsort(spikes)]

    np.testing.assert_array_equal(run([drive]), run([drive[:, :cut], drive[:, cut:]]))
