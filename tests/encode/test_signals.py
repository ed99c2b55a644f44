"""Encoders of signals: round trips with their bounds, agreement with slow plain versions, gradients, bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import firwin

from lambent import encode

KERNEL = torch.from_numpy(firwin(20, 0.08))
walks = st.lists(st.floats(-3, 3), min_size=1, max_size=40).map(
    lambda x: torch.tensor(x, dtype=torch.float64)[None, None]
)


@pytest.fixture(params=[torch.float32, torch.float64], ids=str)
def signals(request):
    """Sums of slow sines, (4, 3, 300)."""
    generator = torch.Generator().manual_seed(4)
    frequency, phase = torch.rand(2, 4, 3, 5, 1, generator=generator, dtype=request.param)
    t = torch.arange(300, dtype=request.param)
    return torch.sin(0.1 * frequency * t + 6.28 * phase).mean(2)


@settings(deadline=None)
@given(walks, st.sampled_from([0.1, 0.37, 1.0]), st.sampled_from([0.5, 1.0, 2.0]))
def test_delta_stays_within_a_threshold(signal, threshold, dt):
    events = encode.delta(signal, dt, threshold)
    back = encode.decode_delta(events, dt, threshold, signal[..., 0])
    assert back.shape == signal.shape
    assert (back - signal).abs().max() <= threshold * (1 + 1e-6)


def test_delta_round_trip(signals):
    events = encode.delta(signals, 0.1, 0.05)
    back = encode.decode_delta(events, 0.1, 0.05, signals[..., 0])
    assert (back - signals).abs().max() <= 0.05 * 1.001


def test_delta_finds_the_crossings():
    events = encode.delta(torch.tensor([[[0.0, 1.0, 1.0, -0.5]], [[2.0, 2.0, 2.0, 2.0]]]), 2.0, 0.4)
    torch.testing.assert_close(
        events.times, torch.tensor([0.8, 1.6, 4 + 2 * 0.6 / 1.5, 4 + 2 * 1.0 / 1.5, 4 + 2 * 1.4 / 1.5])
    )
    assert events.units.tolist() == [0, 0, 1, 1, 1]
    assert events.offsets.tolist() == [0, 5, 5]
    assert events.duration == 8


def test_delta_times_carry_gradients():
    signal = torch.randn(2, 2, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda s: encode.delta(s, 1.0, 0.7).times, signal)


def test_step_forward_follows_slow_signals(signals):
    threshold = 1.01 * signals.diff(dim=-1).abs().max().item()
    events = encode.step_forward(signals, 1.0, threshold)
    back = encode.decode_step_forward(events, 1.0, threshold, signals[..., 0])
    assert (back - signals).abs().max() <= threshold * 1.001


def test_step_forward_and_moving_window_against_loops(signals):
    theta, window, x = 0.1, 4, signals.double()
    for events, baseline in [
        (encode.step_forward(x, 0.5, theta), None),
        (encode.moving_window(x, 0.5, theta, window), window),
    ]:
        dense = events.to_dense(0.5)
        for b, c in np.ndindex(4, 3):
            signal, base = x[b, c].numpy(), float(x[b, c, 0])
            for n in range(1, 300):
                if baseline:
                    base = signal[max(n - baseline, 0) : n].mean()
                up, down = signal[n] > base + theta, signal[n] < base - theta
                assert dense[b, n, c] == up, (b, c, n)
                assert dense[b, n, 3 + c] == down, (b, c, n)
                base += theta * (int(up) - int(down))


def test_bsa_round_trip(signals):
    signal = 0.5 + 0.4 * signals
    events = encode.bsa(signal, 1.0, KERNEL)
    back = encode.decode_bsa(events, 1.0, KERNEL)
    middle = slice(40, -20)  # before, the filter has not filled; after, it has not been seen whole
    assert (back - signal)[..., middle].abs().max() < 0.1
    power = signal[..., middle].var(-1).mean()
    assert (back - signal)[..., middle].var(-1).mean() < 0.05 * power


def test_bsa_recovers_a_sparse_train_exactly():
    train = torch.zeros(1, 1, 120, dtype=torch.float64)
    train[0, 0, [10, 40, 75]] = 1
    kernel = torch.tensor([1.0, 0.7, 0.3], dtype=torch.float64)
    signal = encode.decode_bsa(encode.bsa(train, 1.0, torch.ones(1, dtype=torch.float64)), 1.0, kernel)
    assert signal[0, 0, 40:43].tolist() == kernel.tolist()
    assert encode.bsa(signal, 1.0, kernel).times.tolist() == [10, 40, 75]
    assert len(encode.bsa(torch.zeros(1, 1, 30), 1.0, torch.tensor([0.0, 1.0])).times) == 0


SIGNAL_ENCODERS = {
    "delta": lambda s: encode.delta(s, 1.0, 0.1),
    "step_forward": lambda s: encode.step_forward(s, 1.0, 0.1),
    "moving_window": lambda s: encode.moving_window(s, 1.0, 0.1),
    "bsa": lambda s: encode.bsa(s, 1.0, KERNEL),
}


@pytest.mark.parametrize("name", SIGNAL_ENCODERS)
def test_bad_signals(name):
    encoder = SIGNAL_ENCODERS[name]
    good = torch.rand(2, 3, 10)
    for bad in (math.nan, math.inf):
        wrong = good.clone()
        wrong[1, 2, 3] = bad
        with pytest.raises(ValueError, match="sample 1, channel 2, step 3"):
            encoder(wrong)
    with pytest.raises(ValueError, match="batch, channels, steps"):
        encoder(good[0])
    with pytest.raises(ValueError, match="no steps"):
        encoder(good[..., :0])
    with pytest.raises(TypeError, match="floating point"):
        encoder(good.to(torch.int32))
    assert encoder(good[..., :1]).duration == 1


S = torch.rand(1, 1, 10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: encode.delta(S, 1.0, 0.0), "threshold"),
        (lambda: encode.step_forward(S, 0.0, 0.1), "dt"),
        (lambda: encode.moving_window(S, 1.0, 0.1, 0), "window"),
        (lambda: encode.bsa(-1 - S, 1.0, KERNEL), "negative"),
        (lambda: encode.bsa(S, 1.0, KERNEL, 1.0), "threshold"),
        (lambda: encode.bsa(S, 1.0, torch.zeros(3)), "kernel"),
        (lambda: encode.decode_delta(encode.bsa(S, 1.0, KERNEL), 1.0, 0.1), "multiple of 2"),
    ],
)
def test_bad_numbers(call, message):
    with pytest.raises(ValueError, match=message):
        call()
