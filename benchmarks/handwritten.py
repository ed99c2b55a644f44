"""The strongest opponent that we could write: BPTT by hand, without autograd, on dense spikes, float32 or bfloat16.

The recurrent network of `bptt.BPTT`, whose gradient does not flow through the reset (as is usual). What can be one
large matrix product is one: what reaches the units from outside, and the gradients of weights. The readout is linear,
so that what a spike of each step counts in the end is worked out once. The loops over steps keep states in place.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lambent.neurons.response import grid_constants


class HandWritten:
    """A network, its gradients, and one step of either.

    Args:
        weight, recurrent, readout: as of `bptt.BPTT`.
        steps: of a sample.
        dtype: of everything but the loss.
    """

    def __init__(self, weight: Tensor, recurrent: Tensor, readout: Tensor, steps: int, dtype: torch.dtype):
        self.weight, self.recurrent, self.readout = (x.detach().to(dtype) for x in (weight, recurrent, readout))
        constants = grid_constants(torch.tensor(20.0), torch.tensor(5.0), 1.0)
        self.alpha_mem, self.alpha_syn, self.gain = (float(c) for c in constants)
        self.counts = self._counts(steps).to(dtype)

    def _counts(self, steps: int) -> Tensor:
        """What a spike of each step adds to the mean of the readout's voltage times exp(-n / steps)."""
        i, v, response = 1.0, 0.0, []  # arrives in the next step
        for _ in range(steps):
            v = self.alpha_mem * v + self.gain * i
            i *= self.alpha_syn
            response.append(v)
        later = torch.tensor([0.0, *response[: steps - 1]], dtype=torch.float64)
        fading = torch.exp(-torch.arange(steps, dtype=torch.float64) / steps)
        return torch.stack([(later[: steps - n] * fading[n:]).sum() for n in range(steps)]).float() / steps

    def forward(self, x: Tensor, keep: bool = False) -> tuple[Tensor, Tensor, Tensor | None]:
        """Scores (batch, out), spikes and with `keep` voltages (steps, batch, hidden) of spikes (steps, batch, in)."""
        steps, batch, hidden = *x.shape[:2], self.recurrent.shape[0]
        drive = x[:-1].flatten(0, 1) @ self.weight
        drive = drive.view(steps - 1, batch, hidden)
        spikes = x.new_zeros(steps, batch, hidden)
        voltages = torch.zeros_like(spikes) if keep else None
        i, v = x.new_zeros(2, batch, hidden)
        for n in range(1, steps):
            i.mul_(self.alpha_syn).add_(drive[n - 1]).addmm_(spikes[n - 1], self.recurrent)
            v.mul_(self.alpha_mem).add_(i, alpha=self.gain)
            if voltages is not None:
                voltages[n] = v
            torch.ge(v, 1, out=spikes[n])
            v.mul_(1 - spikes[n])
        return torch.einsum("n,nbh->bh", self.counts, spikes) @ self.readout, spikes, voltages

    def gradients(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of the three weights, for the cross-entropy of the scores."""
        scores, spikes, voltages = self.forward(x, keep=True)
        wanted = scores.float().softmax(1)
        wanted[torch.arange(len(labels)), labels] -= 1
        wanted = (wanted / len(labels)).to(x.dtype)
        of_readout = torch.einsum("n,nbh->bh", self.counts, spikes).T @ wanted
        outside = wanted @ self.readout.T
        surrogate = voltages.sub_(1).abs_().mul_(10).add_(1).pow_(-2)
        stays = self.alpha_mem * (1 - spikes)
        of_currents = spikes.new_zeros(len(spikes) + 1, *outside.shape)
        of_current, of_voltage = torch.zeros(2, *outside.shape, dtype=x.dtype)
        back = self.recurrent.T.contiguous()
        for n in range(len(x) - 1, 0, -1):
            of_spike = torch.addmm(outside * self.counts[n], of_currents[n + 1], back)
            of_voltage.mul_(stays[n]).addcmul_(of_spike, surrogate[n])
            of_current.mul_(self.alpha_syn).add_(of_voltage, alpha=self.gain)
            of_currents[n] = of_current
        arriving = of_currents[1:-1].flatten(0, 1)
        return x[:-1].flatten(0, 1).T @ arriving, spikes[:-1].flatten(0, 1).T @ arriving, of_readout
