"""What every grid engine shares: its operations, registered with torch, between layers and kernels.

An engine brings functions on plain tensors, whose signatures are the schemas below; where `room` is not empty,
those of LIF layers take as much room as it says, and hand out arrays with padding. `define_lif` and
`define_voltages` make them differentiable operations `lambent::lif_<engine>` and `lambent::li_<engine>` (with fakes,
so that `torch.compile` traces past them, and kept in float32 under autocast) and return what the engine offers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lambent.events import Events
from lambent.events import n_steps as count_steps
from lambent.neurons.lif import LIFNeuron, Synapses, grid_constants

_EVENTS = "Tensor times, Tensor steps, Tensor units, Tensor offsets, Tensor weight"
_SYNAPSES = f"{_EVENTS}, Tensor? delay, Tensor? recurrent, Tensor? recurrent_delay"
_DECAYS = "Tensor alpha_mem, Tensor alpha_syn, Tensor gain"

# times, counts, units, offsets, and for the adjoint steps, slopes, peak steps (of units that stayed silent, else -1)
LIF_FORWARD = (
    f"({_SYNAPSES}, {_DECAYS}, Tensor threshold, Tensor tau_mem, Tensor tau_syn, Tensor min_slope, "
    "int n_steps, float dt, bool subtract, int[] room) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)"
)
# gradients of times, weight, delay, recurrent, recurrent_delay, (3) decays, threshold;
# those of absent matrices, and of times and delays that want none, come empty
LIF_BACKWARD = (
    f"(Tensor grad_times, Tensor grad_counts, {_SYNAPSES}, {_DECAYS}, Tensor threshold, Tensor tau_mem, "
    "Tensor tau_syn, Tensor own_units, Tensor own_offsets, Tensor own_steps, Tensor slopes, Tensor peak_step, "
    "int n_steps, float dt, bool subtract, int[] room, "
    "bool wants_times, bool wants_delay, bool wants_recurrent_delay, bool wants_tau) "
    "-> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)"
)
# voltages (batch, n_steps, size) of leaky integrators
LI_FORWARD = f"({_EVENTS}, {_DECAYS}, Tensor tau_mem, Tensor tau_syn, int n_steps) -> Tensor"
# gradients of times, weight and (3) decays
LI_BACKWARD = (
    f"(Tensor grad, {_EVENTS}, {_DECAYS}, Tensor tau_mem, Tensor tau_syn, Tensor voltages, "
    "bool wants_times, bool wants_tau) -> (Tensor, Tensor, Tensor)"
)

_Kernel = Callable[..., Any]
_Lif = Callable[..., Events]
_Voltages = Callable[[Events, Tensor, Tensor, Tensor, float], Tensor]


def define_lif(engine: str, forward: _Kernel, backward: _Kernel) -> _Lif:
    """The function `lif` (see `lambent.engines`) of the engine that these two make."""
    op = _operation(f"lif_{engine}", forward, LIF_FORWARD, _fake_lif)
    adjoint = _operation(f"lif_{engine}_backward", backward, LIF_BACKWARD, _fake_lif_backward)

    def gradients(ctx: Any, grad_times: Tensor, grad_counts: Tensor, *_: Any) -> tuple[Any, ...]:
        needs = ctx.needs_input_grad
        d_times, d_weight, d_delay, d_recurrent, d_recurrent_delay, d_decay, d_threshold = adjoint(
            grad_times, grad_counts, *ctx.saved_tensors, ctx.n_steps, ctx.dt, ctx.subtract, ctx.room,
            needs[0], needs[5], needs[7], any(needs[8:11]),
        )  # fmt: skip
        every = [d_times, None, None, None, d_weight, d_delay, d_recurrent, d_recurrent_delay, *d_decay, d_threshold]
        every = [g if wanted else None for g, wanted in zip(every, needs, strict=False)]
        return (*every, None, None, None, None, None, None, None)

    op.register_autograd(gradients, setup_context=_save_lif)

    def lif(
        events: Events, neuron: LIFNeuron, inputs: Synapses, recurrent: Synapses | None, dt: float,
        room: Sequence[int] = (),
    ) -> Events:  # fmt: skip
        """Spikes of a layer of LIF units; see `lambent.engines`."""
        events = events.padded()
        own = recurrent or Synapses(None, None)  # type: ignore[arg-type]
        slope = neuron.min_slope * neuron.threshold.detach() / neuron.tau_mem.detach()
        times, counts, units, offsets, *_ = op(
            events.times, events.steps(dt), events.units, events.offsets, *inputs, *own,
            *grid_constants(neuron.tau_mem, neuron.tau_syn, dt), neuron.threshold,
            neuron.tau_mem.detach(), neuron.tau_syn.detach(), slope,
            count_steps(events.duration, dt), dt, neuron.reset == "subtract", room,
        )  # fmt: skip
        size, duration = inputs.weight.shape[1], events.duration
        return Events(times, units, offsets, size, duration, counts=counts, check=False, padded=bool(room))

    return lif


def define_voltages(engine: str, forward: _Kernel, backward: _Kernel) -> _Voltages:
    """The function `voltages` (see `lambent.engines`) of the engine that these two make."""
    op = _operation(f"li_{engine}", forward, LI_FORWARD, _fake_li)
    adjoint = _operation(f"li_{engine}_backward", backward, LI_BACKWARD, _fake_li_backward)

    def gradients(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        needs = ctx.needs_input_grad
        d_times, d_weight, d_decay = adjoint(grad, *ctx.saved_tensors, needs[0], any(needs[5:8]))
        every = [d_times, None, None, None, d_weight, *d_decay]
        return (*(g if wanted else None for g, wanted in zip(every, needs, strict=False)), None, None, None)

    op.register_autograd(gradients, setup_context=_save_li)

    def voltages(events: Events, weight: Tensor, tau_mem: Tensor, tau_syn: Tensor, dt: float) -> Tensor:
        """Voltages (batch, steps, out) of leaky integrators; see `lambent.engines`."""
        events = events.padded()
        return op(
            events.times, events.steps(dt), events.units, events.offsets, weight,
            *grid_constants(tau_mem, tau_syn, dt), tau_mem.detach(), tau_syn.detach(),
            count_steps(events.duration, dt),
        )  # fmt: skip

    return voltages


def _operation(name: str, function: _Kernel, schema: str, fake: _Kernel) -> Any:
    op = torch.library.custom_op(f"lambent::{name}", function, mutates_args=(), schema=schema)
    op.register_fake(fake)
    for device in ("cpu", "cuda"):
        op.register_autocast(device, torch.float32)
    return op


def _save_lif(ctx: Any, inputs: Sequence[Any], output: Sequence[Tensor]) -> None:
    *tensors, _min_slope, ctx.n_steps, ctx.dt, ctx.subtract, ctx.room = inputs
    ctx.save_for_backward(*tensors, *output[2:])


def _save_li(ctx: Any, inputs: Sequence[Any], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:-1], output)


def _fake_lif(times: Tensor, _steps: Tensor, units: Tensor, offsets: Tensor, weight: Tensor, *_: Any) -> Any:
    batch, size = offsets.shape[0] - 1, weight.shape[1]
    spikes = torch.library.get_ctx().new_dynamic_size()
    return (
        times.new_empty(spikes), weight.new_empty((batch, size)), units.new_empty(spikes),
        torch.empty_like(offsets), units.new_empty(spikes), weight.new_empty(spikes),
        units.new_empty((batch, size)),
    )  # fmt: skip


def _fake_lif_backward(
    _grad_times: Tensor, _grad_counts: Tensor, times: Tensor, _steps: Tensor, _units: Tensor, _offsets: Tensor,
    weight: Tensor, _delay: Tensor | None, recurrent: Tensor | None, *rest: Any,
) -> Any:  # fmt: skip
    wants_times, wants_delay, wants_recurrent_delay, _wants_tau = rest[-4:]
    absent = weight.new_empty((0, 0))
    return (
        torch.empty_like(times) if wants_times else times.new_empty(0), torch.empty_like(weight),
        torch.empty_like(weight) if wants_delay else absent,
        absent.clone() if recurrent is None else torch.empty_like(recurrent),
        torch.empty_like(recurrent) if wants_recurrent_delay else absent.clone(),  # type: ignore[arg-type]
        weight.new_empty((3, weight.shape[1])), weight.new_empty(weight.shape[1]),
    )  # fmt: skip


def _fake_li(_times: Tensor, _steps: Tensor, _units: Tensor, offsets: Tensor, weight: Tensor, *rest: Any) -> Tensor:
    return weight.new_empty((offsets.shape[0] - 1, rest[-1], weight.shape[1]))


def _fake_li_backward(
    _grad: Tensor, times: Tensor, _steps: Tensor, _units: Tensor, _offsets: Tensor, weight: Tensor, *rest: Any
) -> Any:
    wants_times, _wants_tau = rest[-2:]
    return (
        torch.empty_like(times) if wants_times else times.new_empty(0),
        torch.empty_like(weight),
        weight.new_empty((3, weight.shape[1])),
    )
