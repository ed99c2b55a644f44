"""The opponents: recurrent and convolutional networks in plain PyTorch, trained by surrogate-gradient BPTT.

Dense spikes, the recurrence of lambent's grid step by step, autograd through time with the fast-sigmoid surrogate
(Zenke & Ganguli 2018) - what snnTorch, Norse and most papers do. `chunk` > 0 compiles blocks of that many steps with
`torch.compile`, which is the fastest form of it known to us on a CPU.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lambent.neurons.response import grid_constants


class _Surrogate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad / (1 + 10 * x.abs()) ** 2


class BPTT(nn.Module):
    """LIF (recurrent) and LI readout with exp_mean on dense spikes (batch, steps, inputs)."""

    def __init__(
        self,
        n_in: int,
        hidden: int,
        n_out: int,
        tau_mem: float = 20.0,
        tau_syn: float = 5.0,
        dt: float = 1.0,
        chunk: int = 0,
    ):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_in, hidden) * n_in**-0.5)
        self.recurrent_weight = nn.Parameter(torch.randn(hidden, hidden) * 0.25 * hidden**-0.5)
        self.readout = nn.Parameter(torch.randn(hidden, n_out) * hidden**-0.5)
        constants = grid_constants(torch.tensor(tau_mem), torch.tensor(tau_syn), dt)
        self.alpha_mem, self.alpha_syn, self.gain = (float(c) for c in constants)
        self.chunk = chunk
        self.block = torch.compile(self._block, dynamic=False) if chunk else self._block

    def _reset(self, v: Tensor, s: Tensor) -> Tensor:
        """Voltages after spikes."""
        return v * (1 - s)

    def _block(self, drive: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Some steps: drive (batch, steps, hidden) -> readout voltages (batch, steps, out) and spikes' sum."""
        i, v, s, io, vo, total = state
        out = []
        for n in range(drive.shape[1]):
            i = self.alpha_syn * i + drive[:, n] + s @ self.recurrent_weight
            io = self.alpha_syn * io + s @ self.readout
            v = self.alpha_mem * v + self.gain * i
            vo = self.alpha_mem * vo + self.gain * io
            s = _Surrogate.apply(v - 1)
            v = self._reset(v, s)
            total = total + s
            out.append(vo)
        return torch.stack(out, 1), (i, v, s, io, vo, total)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Class scores (batch, out) and spike counts (batch, hidden)."""
        batch, steps, _ = x.shape
        drive = torch.cat([x.new_zeros(batch, 1, x.shape[2]), x[:, :-1]], 1) @ self.weight
        h, o = self.weight.shape[1], self.readout.shape[1]
        zero_h, zero_o = x.new_zeros(batch, h), x.new_zeros(batch, o)
        state = (zero_h, zero_h, zero_h, zero_o, zero_o, zero_h)
        size = self.chunk or steps
        parts = []
        for start in range(0, steps, size):
            out, state = self.block(drive[:, start : start + size], state)
            parts.append(out)
        v = torch.cat(parts, 1)
        fading = torch.exp(-torch.arange(steps, device=x.device) / steps)
        return (v * fading[:, None]).mean(1), state[-1]


class ConvBPTT(nn.Module):
    """A convolution and a dense layer of LIF units, and an LI readout with exp_mean, on dense spikes.

    Layer by layer: all steps of a layer's input go through torch's convolution or product at once, and the steps of its
    units, which nothing from outside enters, are one block, compiled where `compiled` says so.
    """

    def __init__(self, filters: int, kernel: int, hidden: int, n_out: int, size: int = 28, compiled: bool = False):
        super().__init__()
        self.conv = nn.Conv2d(1, filters, kernel, bias=False)
        self.hidden = nn.Linear(filters * (size - kernel + 1) ** 2, hidden, bias=False)
        self.readout = nn.Linear(hidden, n_out, bias=False)
        constants = grid_constants(torch.tensor(20.0), torch.tensor(5.0), 1.0)
        self.alpha_mem, self.alpha_syn, self.gain = (float(c) for c in constants)
        self.units = torch.compile(self._units, dynamic=False) if compiled else self._units
        self.size = size

    def _units(self, drive: Tensor, spiking: bool) -> Tensor:
        """Spikes, or where there are none voltages, (steps, batch, units) of what arrives a step later."""
        i = v = torch.zeros_like(drive[0])
        out = [i]
        for arriving in drive[:-1]:
            i = self.alpha_syn * i + arriving
            v = self.alpha_mem * v + self.gain * i
            out.append(_Surrogate.apply(v - 1) if spiking else v)
            if spiking:
                v = v * (1 - out[-1])
        return torch.stack(out)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores (batch, out) of spikes (batch, steps, inputs)."""
        batch, steps, _ = x.shape
        images = x.transpose(0, 1).reshape(steps * batch, 1, self.size, self.size)
        first = self.units(self.conv(images).view(steps, batch, -1), True)
        second = self.units(self.hidden(first), True)
        fading = torch.exp(-torch.arange(steps, device=x.device) / steps)
        return (self.units(self.readout(second), False) * fading[:, None, None]).mean(0)


class DelayedBPTT(nn.Module):
    """The usual network of `lambent train` on dense spikes: a convolution and recurrent LIF with delays, LI readout.

    Args:
        model: as `build_model` makes it; weights, time constants and delays are taken over, the last two fixed.
        compiled: a step of the units is one kernel in training, by `torch.compile`.
    """

    def __init__(self, model: nn.Sequential, compiled: bool = False):
        super().__init__()
        conv, *hidden, readout = model
        self.kernel = nn.Parameter(conv.weight.detach().squeeze(1).clone())  # (filters, channels)
        self.weights = nn.ParameterList(layer.weight.detach().clone() for layer in hidden)
        self.recurrent_weights = nn.ParameterList(layer.recurrent_weight.detach().clone() for layer in hidden)
        self.readout = nn.Parameter(readout.weight.detach().clone())
        # steps from a spike to its arrival
        self.hidden_delays = [(layer.delay.detach() / layer.dt).round() + 1 for layer in hidden]
        self.longest = [int(delays.max()) for delays in self.hidden_delays]
        self.factors = [torch.empty(0) for _ in hidden]
        self.scale, self.stride = readout.scale, conv.connections.geometry.stride[-1]
        self.delays = (conv.delay.detach().squeeze(1) / conv.dt).round().long().tolist()
        self.constants = [tuple(c.detach().float() for c in grid_constants(x.tau_mem, x.tau_syn, x.dt)) for x in model]
        self.step = torch.compile(_step, dynamic=False) if compiled else _step

    def _arrivals(self, x: Tensor) -> Tensor:
        """What reaches the filters of spikes (batch, steps, inputs): (steps, batch, filters x places)."""
        steps, longest = x.shape[1], max(map(max, self.delays)) + 1
        late = nn.functional.pad(x.transpose(1, 2), (longest, 0)).unfold(1, self.kernel.shape[1], self.stride)
        late = late.permute(3, 0, 1, 2).contiguous()  # (channels, batch, places, steps)
        out = []
        for weights, delays in zip(self.kernel, self.delays, strict=True):
            taps = [late[k, ..., longest - 1 - d : longest - 1 - d + steps] for k, d in enumerate(delays)]
            out.append(torch.tensordot(weights, torch.stack(taps), 1))
        return torch.stack(out, 1).flatten(1, 2).permute(2, 0, 1)

    def _delayed(self, spikes: Tensor, layer: int) -> Tensor:
        """What reaches a hidden layer of spikes (steps, batch, units): each delay is a factor for each frequency."""
        steps, delays = len(spikes), self.hidden_delays[layer]
        n = steps + self.longest[layer]  # nothing comes round
        if len(self.factors[layer]) != n // 2 + 1:
            frequency = torch.arange(n // 2 + 1, device=delays.device).view(-1, 1, 1) / n
            self.factors[layer] = torch.polar(delays.new_ones(()), -2 * torch.pi * frequency * delays)
        there = torch.bmm(torch.fft.rfft(spikes, n, 0), self.weights[layer] * self.factors[layer])
        return torch.fft.irfft(there, n, 0)[:steps]

    def _units(self, drive: Tensor, constants: tuple[Tensor, ...], among: Tensor | None = None) -> Tensor:
        """Spikes (steps, batch, units) of units that `drive` reaches, and through `among` one another."""
        step = self.step if self.training else _step
        i = v = s = torch.zeros_like(drive[0])
        out = []
        for arriving in drive:
            i, v, s = step(i, v, arriving if among is None else torch.addmm(arriving, s, among), *constants)
            out.append(s)
        return torch.stack(out)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Class scores (batch, out) of spikes (batch, steps, inputs), and all layers' spike counts (batch, units)."""
        spikes = [self._units(self._arrivals(x), self.constants[0])]
        for layer, among in enumerate(self.recurrent_weights):
            spikes.append(self._units(self._delayed(spikes[-1], layer), self.constants[1 + layer], among))
        alpha_mem, alpha_syn, gain = self.constants[-1]
        i = v = total = torch.zeros_like(spikes[-1][0] @ self.readout)
        for arriving in _later(spikes[-1]) @ self.readout:
            i = alpha_syn * i + arriving
            v = alpha_mem * v + gain * i
            total = total + v
        return self.scale * total / len(spikes[-1]), [layer.sum(0) for layer in spikes]


def _step(
    i: Tensor, v: Tensor, arriving: Tensor, alpha_mem: Tensor, alpha_syn: Tensor, gain: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Currents, voltages and spikes of LIF units after a step."""
    i = alpha_syn * i + arriving
    v = alpha_mem * v + gain * i
    s = _Surrogate.apply(v - 1)
    return i, v * (1 - s), s


def _later(spikes: Tensor) -> Tensor:
    """Spikes (steps, ...) in the step in which they arrive."""
    return torch.cat([torch.zeros_like(spikes[:1]), spikes[:-1]])
