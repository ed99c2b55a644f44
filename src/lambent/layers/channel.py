"""`Channel`: a noisy link between the layers of a network, such as a radio's."""

from __future__ import annotations

from numbers import Real

import torch
from torch import Tensor, nn

from lambent.events import Events
from lambent.machine.waiting import Check, expect
from lambent.neurons.payload import MOST_BITS


class Channel(nn.Module):
    """Lose spikes, flip bits of what they carry and add noise to it, in training; in evaluation only where asked.

    For a network that is split over a link (Skatchkovsky, Jang & Simeone 2020, End-to-End Learning of
    Neuromorphic Wireless Systems for Low-Power Edge Artificial Intelligence): the layers before it
    send spikes with `payload_bits`, those behind it receive what comes through, and gradients pass, so that the network
    learns to live with it. Numbers are drawn from torch's generator of the device (`torch.manual_seed`).

    Args:
        erasure: probability that a spike is lost; the times, values and counts of those that are left keep their
            gradients.
        bit_flip: probability with which each bit of a payload arrives flipped; gradients pass as if none were.
        bits: the `payload_bits` of the spikes, which `bit_flip` needs.
        noise: standard deviation of what is added to every value; spikes without values have 1.
        in_evaluation: do all this in evaluation, too.

    Raises:
        TypeError: `bits` is no whole number, or another argument no number.
        ValueError: a probability outside 0 to 1, a negative `noise`, `bits` outside 1 to 16, or `bit_flip` without
            `bits`. On a call: `bit_flip`, and the spikes carry no payload of so many bits.

    Example:
        >>> near, far = lb.LIF(5, 20, payload_bits=2), lb.LIReadout(20, 3)
        >>> model = torch.nn.Sequential(near, lb.Channel(erasure=0.1, bit_flip=0.01, bits=2), far)
        >>> events, _ = lb.data.yin_yang(4, seed=0).batch(range(4))
        >>> model(events).shape
        torch.Size([4, 3])
    """

    def __init__(
        self,
        erasure: float = 0.0,
        bit_flip: float = 0.0,
        bits: int | None = None,
        noise: float = 0.0,
        in_evaluation: bool = False,
    ) -> None:
        super().__init__()
        for name, number in (("erasure", erasure), ("bit_flip", bit_flip), ("noise", noise)):
            if not isinstance(number, Real):
                raise TypeError(f"{name} must be a number, got {number!r}")
        for name, p in (("erasure", erasure), ("bit_flip", bit_flip)):
            if not 0 <= p <= 1:
                raise ValueError(f"{name} must be a probability in [0, 1], got {p}")
        if not 0 <= noise < float("inf"):
            raise ValueError(f"noise must be finite and not negative, got {noise}")
        if bits is not None and (not isinstance(bits, int) or isinstance(bits, bool)):
            raise TypeError(f"bits must be a whole number or None, got {bits!r}")
        if bits is not None and not 1 <= bits <= MOST_BITS:
            raise ValueError(f"bits must lie in 1 to {MOST_BITS}, got {bits}")
        if bit_flip and bits is None:
            raise ValueError("bit_flip needs bits, the payload_bits of the layer before")
        self.erasure, self.bit_flip, self.bits, self.noise = erasure, bit_flip, bits, noise
        self.in_evaluation = in_evaluation

    def forward(self, events: Events) -> Events:
        """What comes through."""
        if not isinstance(events, Events):
            raise TypeError(f"Channel takes lambent.Events, got {type(events).__name__}")
        if not (self.training or self.in_evaluation):
            return events
        dt = events.dt
        if self.erasure:
            events = events.keep(torch.rand(len(events.times), device=events.device) >= self.erasure)
        values = events.values
        if self.bit_flip:
            values = self._flipped(values)
        if self.noise:
            values = torch.ones_like(events.times) if values is None else values
            values = values + self.noise * torch.randn_like(values)
        if values is not events.values:
            events = events.with_values(values)
        events.dt = dt
        return events

    def _flipped(self, values: Tensor | None) -> Tensor:
        if values is None:
            raise ValueError(f"bit_flip={self.bit_flip} flips bits of payloads, the spikes carry none (payload_bits)")
        levels = 2 ** int(self.bits or 0) - 1
        share = (values.detach().double() - 1) * levels
        code = share.round()

        def complain() -> None:
            raise ValueError(f"the values of the spikes are no payloads of {self.bits} bits, 1 + n / {levels}")

        good = ((share - code).abs() <= 0.02) & (code >= 0) & (code <= levels)  # a float32 is off by 0.004 at most
        expect(*Check(good.all(), complain))
        flips = torch.rand(len(values), int(self.bits or 0), device=values.device) < self.bit_flip
        mask = (flips.long() << torch.arange(flips.shape[1], device=values.device)).sum(1)
        arrived = 1 + (code.long() ^ mask).to(values.dtype) / levels
        return values + (arrived - values).detach()

    def extra_repr(self) -> str:
        """What it does, for printing."""
        usual = {"erasure": 0.0, "bit_flip": 0.0, "bits": None, "noise": 0.0, "in_evaluation": False}
        return ", ".join(f"{n}={getattr(self, n)}" for n, x in usual.items() if getattr(self, n) != x)
