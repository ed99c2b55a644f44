"""The membrane: the closed form, where frequencies are heard, and the tables of transforms."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
from scipy.integrate import quad

from lambent.audio.membrane import RATE, REACH, _responses, block_length, places, transfer, transfer_table


def published(f: float, x: float) -> complex:
    """Sieroka et al. 2006 with the wave number integrated numerically, all values written out again."""
    from scipy.special import hankel1, j0, j1, y0, y1

    w, alpha, stiffness, height = 2 * np.pi * f, 3.0, 1e9, 0.1
    damping = 0.15 * np.sqrt(stiffness * 0.05)

    def xi(u):
        return stiffness * np.exp(-alpha * u) - 3500 - 0.05 * w**2 - 1j * w * damping * np.exp(-alpha * u / 2)

    def g(u):
        return w * np.sqrt(1 / (height * xi(u)))

    integral = quad(lambda u: g(u).real, 0, x, limit=500)[0] + 1j * quad(lambda u: g(u).imag, 0, x, limit=500)[0]

    def pressure(u, phase):
        return np.sqrt(phase / g(u)) * hankel1(0, phase)

    at_base = 2 * g(0) / alpha
    k = 4 * np.pi * f / alpha * np.sqrt(2 / (height * stiffness))
    z = np.sqrt(2 * stiffness / height) * (1j * j0(k) + y0(k)) / (j1(k) - 1j * y1(k))
    return 2 * w / xi(x) * pressure(x, at_base + integral) / pressure(0, at_base) * z


@pytest.mark.parametrize("f", [40.0, 300.0, 2500.0, 7900.0])
@pytest.mark.parametrize("x", [0.0, 0.8, 1.9, 2.9])
def test_transfer_is_the_published_one(f, x):
    expected = published(f, x)
    assert transfer(np.array([f]), np.array([x]))[0, 0] == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_high_frequencies_are_heard_at_the_base():
    """Every frequency has its place, and the place moves to the apex as the frequency falls."""
    f = np.geomspace(7000, 120, 25)
    response = np.abs(transfer(f, places(700)))
    assert np.isfinite(response).all()
    best = response.argmax(0)
    assert (np.diff(best) > 0).all()
    # the passive resonance: stiffness over mass
    expected = np.sqrt((1e9 * np.exp(-3 * places(700)[best]) - 3500) / 0.05) / (2 * np.pi)
    assert np.abs(np.log2(expected / f)).max() < 0.5


@pytest.mark.parametrize("length", [4096, 6144])
def test_table_interpolates_the_transfer_function(length):
    """A response is short, so a spectrum of 3,200 samples says what a longer one would."""
    table = transfer_table(24, length)
    exact = transfer(scipy.fft.rfftfreq(length, 1 / RATE)[1:], places(24))
    error = np.linalg.norm(table[:, 1:] - exact, axis=1) / np.linalg.norm(exact, axis=1)
    assert error[8:-2].max() < 2e-3
    assert error[-2:].max() < 0.02  # at the apex the response is longest
    assert error[:8].max() < 0.05  # at the base the response to the frequencies left out above 8 kHz is cut off sharply
    assert not _responses(24).flags.writeable
    assert not table.flags.writeable


def test_block_lengths_are_few_and_suffice():
    lengths = {n: block_length(n) for n in range(1, 40000, 17)}
    for n, length in lengths.items():
        assert length >= min(n + 2 * REACH, 1 << 14)
        assert length % 2 == 0
        assert length > 2 * REACH
        assert length <= 1.25 * max(n + 2 * REACH, 1)
    assert len(set(lengths.values())) < 12
