"""`Channel`: what comes through has the statistics asked for, and gradients pass."""

from __future__ import annotations

import pytest
import torch

import lambent as lb

N = 20_000


def spikes(bits=None, n=N):
    g = torch.Generator().manual_seed(0)
    values = None if bits is None else 1 + torch.randint(2**bits, (n,), generator=g).float() / (2**bits - 1)
    times = (torch.rand(n, generator=g) * 900).sort().values
    return lb.Events(times, torch.randint(50, (n,), generator=g), torch.tensor([0, n]), 50, 1000.0, values)


def test_it_does_nothing_unless_asked():
    x = spikes(3)
    assert lb.Channel()(x) is x
    assert lb.Channel(0.5, 0.5, 3, 0.5).eval()(x) is x
    assert len(lb.Channel(0.5, in_evaluation=True).eval()(x).times) < 0.6 * N


def test_erasures():
    torch.manual_seed(0)
    x, channel = spikes(3), lb.Channel(erasure=0.3)
    out = channel(x)
    assert abs(len(out.times) / N - 0.7) < 0.02
    assert set(out.values.tolist()) == set(x.values.tolist())
    torch.manual_seed(0)
    assert torch.equal(channel(x).times, out.times)
    assert len(lb.Channel(erasure=1.0)(x).times) == 0


@pytest.mark.parametrize("bits", [1, 3, 16])
def test_bit_flips(bits):
    torch.manual_seed(0)
    x, levels = spikes(bits), 2**bits - 1
    out = lb.Channel(bit_flip=0.1, bits=bits)(x)
    before, after = ((levels * (e.values.double() - 1)).round().long() for e in (x, out))
    flipped = before ^ after
    for k in range(bits):
        assert abs(((flipped >> k) & 1).double().mean() - 0.1) < 0.02
    assert torch.equal(out.times, x.times)
    same = lb.Channel(bit_flip=1.0, bits=bits)(x)
    assert torch.allclose(same.values, 3 - x.values)  # all bits: 1 + (levels - n) / levels


def test_noise_and_gradients():
    torch.manual_seed(0)
    for x in (spikes(2), spikes()):
        own = torch.ones(N) if x.values is None else x.values
        difference = lb.Channel(noise=0.2)(x).values - own
        assert abs(difference.mean()) < 0.01
        assert abs(difference.std() - 0.2) < 0.01
    values = spikes(2).values.clone().requires_grad_()
    out = lb.Channel(erasure=0.5, bit_flip=0.2, bits=2, noise=0.1)(spikes().with_values(values))
    out.values.sum().backward()
    assert values.grad.unique().tolist() == [0.0, 1.0]
    assert values.grad.sum() == len(out.times)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"erasure": 1.5}, ValueError, "erasure must be a probability"),
        ({"bit_flip": -0.1, "bits": 2}, ValueError, "bit_flip must be a probability"),
        ({"bit_flip": 0.1}, ValueError, "bit_flip needs bits"),
        ({"bits": 0}, ValueError, "bits must lie in 1 to 16"),
        ({"erasure": "0.1"}, TypeError, "erasure must be a number, got '0.1'"),
        ({"bits": 2.0}, TypeError, "bits must be a whole number"),
        ({"noise": float("nan")}, ValueError, "noise must be finite"),
    ],
)
def test_wrong_arguments(options, error, message):
    with pytest.raises(error, match=message):
        lb.Channel(**options)


def test_spikes_that_carry_nothing_or_other_values():
    channel = lb.Channel(bit_flip=0.1, bits=2)
    with pytest.raises(ValueError, match="the spikes carry none"):
        channel(spikes())
    with pytest.raises(ValueError, match="are no payloads of 2 bits"):
        channel(spikes(3))
    with pytest.raises(TypeError, match=r"Channel takes lambent\.Events, got Tensor"):
        channel(torch.ones(3))
    assert repr(channel) == "Channel(bit_flip=0.1, bits=2)"
