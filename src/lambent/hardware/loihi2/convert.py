"""From a trained torch model to a Loihi 2 network: units of voltage, decays, thresholds, weights, delays.

The model computes I[n] = as I[n-1] + sum w, V[n] = am V[n-1] + k I[n] + (1 - am) bias and spikes at V >= threshold.
The chip computes the same with u = S k I, v = S V, weights 64 W = S k w and biases 64 B = S (1 - am) bias, where the
scale S may differ from unit to unit. It stands for the least rounding error of W that leaves room for v in 24 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor, nn

from lambent.connections.connections import delay_steps
from lambent.events import Events
from lambent.hardware.loihi2.fixed import FixedWeights
from lambent.hardware.loihi2.kernels import LIMIT
from lambent.hardware.loihi2.layers.base import MAX_DELAY
from lambent.hardware.loihi2.layers.dense import Loihi2Layer
from lambent.hardware.loihi2.network import Loihi2Network
from lambent.hardware.loihi2.neurons import THRESHOLD_LIMIT
from lambent.hardware.loihi2.quantised import Values, bias_worth, time_constant, with_values, worth
from lambent.hardware.loihi2.readout import Readout
from lambent.hardware.loihi2.rounding import Integers, choose_integers
from lambent.layers import LIReadout, Spiking
from lambent.layers.chain import check_chain
from lambent.machine.showing import Short
from lambent.machine.warn import warn_caller
from lambent.neurons.response import grid_constants

_ASSUMED_RATE = 0.05  # spikes per ms of every input, all pushing the same way, where no activity is known
_TAU_ERROR = 0.05  # of a time constant on the chip, from which it is warned of
_HEADROOM = 1.5  # room for voltages beyond the highest one seen
_CALIBRATION_CHUNK = 8  # samples whose voltages are held at once


@dataclass(frozen=True, eq=False)
class ConvertedLayer(Short):
    """One layer of the network, and what its conversion did.

    Attributes:
        layer: the chip's layer.
        integers: what its weights were rounded to.
        scale: (n_out,) float64, units of the chip's voltage per unit of the model's.
        tau_mem, tau_syn: (n_out,) float64, the time constants of the rounded decays [ms].
        weight, recurrent_weight: (in, out) and (out, out) [from, to] float64, what the integer weights are
            worth in a model with these time constants.
        bias: (out,) float64, what the integer biases are worth in such a model; None without any.
        rms_error: root mean square error of the weights' effect, relative to its root mean square.
        clipped: share of weights that were too large.
        tau_error: by how much rounding its decay changed a time constant most, relative to it; signed.
    """

    layer: Loihi2Layer
    integers: Integers
    scale: np.ndarray
    tau_mem: np.ndarray
    tau_syn: np.ndarray
    weight: np.ndarray
    recurrent_weight: np.ndarray | None
    bias: np.ndarray | None
    rms_error: float
    clipped: float
    tau_error: float


@dataclass(frozen=True, eq=False, repr=False)
class Conversion:
    """A network and, layer by layer, how it came about from the float layers `modules`."""

    network: Loihi2Network
    layers: tuple[ConvertedLayer, ...]
    modules: tuple[Spiking | LIReadout, ...]

    @property
    def weight_bits(self) -> list[int]:
        """Bits of a weight in each layer, sign included."""
        return [layer.integers.bits for layer in self.layers]

    def __repr__(self) -> str:
        return f"Conversion({self.network}, weights of {', '.join(map(str, self.weight_bits))} bits)"

    def quantised(self) -> nn.Sequential:
        """A copy of the float layers with the values that the chip has."""
        values = [
            Values(
                x.weight,
                x.recurrent_weight,
                x.tau_mem,
                x.tau_syn,
                x.layer.synapse_delays.T,
                x.layer.recurrent_delays.T,
                x.bias,
            )
            for x in self.layers
        ]
        return with_values(self.modules, values)


@dataclass(frozen=True, eq=False)
class _Activity:
    """What is known of a layer's activity.

    Attributes:
        importance: (sources,) relative weight of the errors of one source's synapses.
        voltage: (n_out,) highest absolute voltage or scaled current to make room for, in the model's units.
    """

    importance: np.ndarray
    voltage: np.ndarray


def convert(
    model: nn.Module,
    weight_bits: int | Sequence[int] | None = None,
    calibration: Events | None = None,
    labels: Sequence[str] = (),
) -> Conversion:
    """Convert a `torch.nn.Sequential` of `LIF` layers, with or without a final `LIReadout`.

    Decays are rounded to 1/4096; weights are then scaled so that the mean response to a spike stays the same.
    The readout becomes units whose threshold is never reached.

    Args:
        model: all layers on one grid of `dt`, with reset "zero".
        weight_bits: 2 to 8, sign included; one number, or one for each layer. Left out it is 8, and for a model
            that was trained aware of its quantisation what it was trained with: its integers are then kept.
        calibration: typical input. It tells how far voltages range and how often each unit fires, which the
            choice of scales takes into account. Without it every unit is assumed to fire at 50 Hz.
        labels: names of the classes for the readout.

    Raises:
        TypeError: the model is no Sequential or holds another kind of layer.
        ValueError: something the chip cannot do; the message names the layer and what to change.
    """
    modules = check_model(model)
    bits = None if weight_bits is None else layer_bits(weight_bits, len(modules))
    known = [module.integers for module in model if isinstance(module, FixedWeights)]  # type: ignore[attr-defined]
    if len(known) == len(modules) and bits in (None, tuple(own.bits for own in known)):
        layers = [_Part(i, module).rounded(own) for i, (module, own) in enumerate(zip(modules, known, strict=True))]
        return _assemble(modules, layers, labels)
    parts = [_Part(i, module) for i, module in enumerate(modules)]
    for part in parts:
        part.check_time_constants()
    activity = [part.assumed_activity() for part in parts]
    bits = bits or (8,) * len(parts)
    if calibration is not None:
        activity = _measure(modules, parts, activity, calibration)
    return _assemble(modules, [p.converted(b, a) for p, b, a in zip(parts, bits, activity, strict=True)], labels)


def layer_bits(weight_bits: int | Sequence[int], n_layers: int) -> tuple[int, ...]:
    """`weight_bits` as one number for each layer.

    Raises:
        ValueError: they are no whole numbers from 2 to 8, or not one for each layer.
    """
    bits = (weight_bits,) * n_layers if isinstance(weight_bits, int) else weight_bits
    if not isinstance(bits, Sequence) or not all(isinstance(b, int) and 2 <= b <= 8 for b in bits):
        raise ValueError(f"weight_bits must be whole numbers from 2 to 8, got {weight_bits}")
    if len(bits) != n_layers:
        raise ValueError(f"weight_bits must be one number or one for each of {n_layers} layers, got {weight_bits}")
    return tuple(bits)


def convert_layer(module: Spiking | LIReadout, integers: Integers) -> ConvertedLayer:
    """One layer of a model that `check_model` has seen, rounded to integers that are known."""
    return _Part(0, module).rounded(integers)


def largest_weights(module: Spiking | LIReadout, integers: Integers) -> np.ndarray:
    """The weights (n_out,) that the largest integer stands for when rounding."""
    return integers.largest / integers.resolution / _Part(0, module).gain


def check_model(model: nn.Module) -> list[Spiking | LIReadout]:
    """The float layers of `model`, if the chip can run them; raises as `convert`."""
    if isinstance(model, nn.Sequential):
        model = nn.Sequential(*(module.layer if isinstance(module, FixedWeights) else module for module in model))
    layers, dt = check_chain(model)
    for i, module in enumerate(layers):
        where = f"layer {i} ({type(module).__name__})"
        if isinstance(module, Spiking):
            if module.neuron.reset != "zero":  # type: ignore[attr-defined]
                raise ValueError(f'{where}: the chip resets to 0; train with reset="zero"')
            for name in ("delay", "recurrent_delay"):
                delay = _steps(getattr(module, name), dt)
                if (delay < 0).any() or (delay > MAX_DELAY).any():
                    raise ValueError(
                        f"{where}: {name} must be 0 to {MAX_DELAY} steps of {dt} ms, "
                        f"got {delay.min()} to {delay.max()}; train with max_delay={MAX_DELAY * dt:g}"
                    )
    return layers


def _steps(delay: Tensor | None, dt: float) -> np.ndarray:
    """Delays [ms] as whole steps."""
    return np.zeros((), np.int64) if delay is None else _array(delay_steps(delay, dt)).astype(np.int64)


def _array(x: Tensor) -> np.ndarray:
    return x.detach().cpu().double().numpy()


class _Part:
    """A layer of the model with everything that does not depend on scales."""

    def __init__(self, index: int, module: Spiking | LIReadout) -> None:
        self.name = f"layer/{index + 1}"
        self.dt = float(module.dt or 0.0)
        self.threshold = _array(module.threshold) if isinstance(module, Spiking) else None
        recurrent = module.recurrent_weight if isinstance(module, Spiking) else None
        self.delay, self.delay_rec = (
            _steps(getattr(module, name, None), self.dt).T for name in ("delay", "recurrent_delay")
        )
        self.n_in, self.n_out = module.weight.shape
        self.recurrent = recurrent is not None

        neuron: Any = module.neuron
        constants = grid_constants(neuron.tau_mem, neuron.tau_syn, self.dt)
        alpha_mem, alpha_syn, gain = (_array(x) for x in constants)
        self.v_decay = np.clip(np.rint((1 - alpha_mem) * 4096), 1, 4095).astype(np.int64)
        self.i_decay = np.clip(np.rint((1 - alpha_syn) * 4096), 1, 4095).astype(np.int64)
        keep_mem, keep_syn = 1 - self.v_decay / 4096, 1 - self.i_decay / 4096
        self.tau_mem, self.tau_syn = (time_constant(x, self.dt) for x in (self.v_decay, self.i_decay))
        wanted = {"tau_mem": _array(neuron.tau_mem), "tau_syn": _array(neuron.tau_syn)}
        self.tau_errors = {name: getattr(self, name) / tau - 1 for name, tau in wanted.items()}
        self.lost = {  # decays of 12 bits that are none
            name: tau[(decay < 0.5 / 4096) | (decay > 4095.5 / 4096)]
            for (name, tau), decay in zip(wanted.items(), (1 - alpha_mem, 1 - alpha_syn), strict=True)
        }
        # V summed over time per unit of k w: that of the model, and that of the rounded decays
        self.response = 1 / ((1 - keep_mem) * (1 - keep_syn))
        with np.errstate(divide="ignore"):  # of what `check_time_constants` refuses
            self.gain = gain / ((1 - alpha_mem) * (1 - alpha_syn)) / self.response
        weights = [module.weight] if recurrent is None else [module.weight, recurrent]
        self.drive = np.concatenate([_array(w) for w in weights]) * self.gain
        bias: Tensor | None = getattr(neuron, "bias", None)
        self.bias = None if bias is None else _array(bias)

    def check_time_constants(self) -> None:
        """Raise ValueError where the chip has no decay for a time constant, warn where that is far from it."""
        for name, lost in self.lost.items():
            if len(lost):
                low, high = (time_constant(np.array(d), self.dt) for d in (4095.5, 0.5))
                raise ValueError(
                    f"{self.name}: {name} of {lost[0]:g} ms cannot be had on the chip, whose decays, in 1/4096 of a "
                    f"step of {self.dt:g} ms, hold {low:.3g} to {high:.3g} ms; take other time constants or another dt"
                )
        for name, error in self.tau_errors.items():
            worst = error[np.abs(error).argmax()]
            if abs(worst) > _TAU_ERROR:
                warn_caller(
                    f"{self.name}: {name} is up to {worst:+.0%} off on the chip, whose decays are rounded to 1/4096 of "
                    f"a step of {self.dt:g} ms; with a longer dt, or shorter time constants, they come closer"
                )

    def assumed_activity(self) -> _Activity:
        """Every source fires at the assumed rate, and the worst comes together."""
        rate = _ASSUMED_RATE * self.dt
        voltage = rate * np.abs(self.drive).sum(0) * self.response
        return _Activity(np.ones(len(self.drive)), voltage if self.bias is None else voltage + np.abs(self.bias))

    def converted(self, bits: int, activity: _Activity) -> ConvertedLayer:
        """The chip's layer, its scale chosen for `activity`."""
        least_room = 1e-9 if self.threshold is None else 2 * self.threshold
        limit = (LIMIT - 1) / 64 / np.maximum(activity.voltage, least_room)
        return self.rounded(choose_integers(self.drive, activity.importance, bits, limit, self.threshold))

    def rounded(self, integers: Integers) -> ConvertedLayer:
        """The chip's layer with weights rounded to `integers`."""
        weight = integers.rounded(self.drive)
        effect = weight / integers.scale
        error = np.sum((effect - self.drive) ** 2) / max(np.sum(self.drive**2), np.finfo(np.float64).tiny)
        real = worth(effect, self.tau_mem, self.tau_syn, self.dt)
        never = np.full(self.n_out, THRESHOLD_LIMIT)
        bias = None
        if self.bias is not None:  # V comes to rest at the bias, with the rounded decay too
            bias = np.rint(integers.scale * self.v_decay / 4096 * self.bias).astype(np.int64)
        layer = Loihi2Layer(
            name=self.name,
            kind="dense_rec" if self.recurrent else "dense",
            weight=weight[: self.n_in].T,
            weight_rec=weight[self.n_in :].T if self.recurrent else None,
            delay=self.delay if self.delay.any() else 0,
            delay_rec=self.delay_rec if self.delay_rec.any() else 0,
            i_decay=self.i_decay,
            v_decay=self.v_decay,
            bias=0 if bias is None else bias,
            v_th_mant=never if self.threshold is None else integers.mantissas(self.threshold),
        )
        return ConvertedLayer(
            layer=layer,
            integers=integers,
            scale=64 * integers.scale,
            tau_mem=self.tau_mem,
            tau_syn=self.tau_syn,
            weight=real[: self.n_in],
            recurrent_weight=real[self.n_in :] if self.recurrent else None,
            bias=None if bias is None else bias_worth(bias, integers.scale, self.v_decay),
            rms_error=float(np.sqrt(error)),
            clipped=float(integers.clipped(self.drive).mean()),
            tau_error=float(max(np.concatenate([*self.tau_errors.values()]), key=abs)),
        )


def _assemble(
    modules: Sequence[Spiking | LIReadout], layers: Sequence[ConvertedLayer], labels: Sequence[str]
) -> Conversion:
    last = modules[-1]
    readout = (
        Readout(last.reduce, layers[-1].scale / last.scale, tuple(labels)) if isinstance(last, LIReadout) else None
    )
    if readout is None and labels:
        raise ValueError("labels need a model that ends in LIReadout")
    dt = float(last.dt or 0.0)
    network = Loihi2Network(modules[0].in_features, [x.layer for x in layers], dt=dt, readout=readout)
    return Conversion(network, tuple(layers), tuple(modules))


def _measure(
    modules: Sequence[Spiking | LIReadout], parts: Sequence[_Part], activity: Sequence[_Activity], events: Events
) -> list[_Activity]:
    """Run the chip on `events`, with ever more room until no voltage is clipped, and see what happens."""
    for _ in range(5):
        layers = [part.converted(8, a) for part, a in zip(parts, activity, strict=True)]
        peaks, rates = _observe(_assemble(modules, layers, ()).network, events)
        clipped = [peak >= LIMIT - 1 for peak in peaks]
        if not any(c.any() for c in clipped):
            break
        activity = [
            replace(a, voltage=np.where(c, 4 * LIMIT / layer.scale, a.voltage))
            for a, c, layer in zip(activity, clipped, layers, strict=True)
        ]
    measured = []
    for i, part in enumerate(parts):
        rate = np.concatenate([rates[i], rates[i + 1]]) if part.recurrent else rates[i]
        mean = rate.mean() if rate.any() else 1.0
        voltage = _HEADROOM * peaks[i] / layers[i].scale
        measured.append(_Activity(rate + 0.05 * mean, voltage))
    return measured


def _observe(network: Loihi2Network, events: Events) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Highest |voltage| or |current| of each layer's units; mean spikes per sample of inputs and units."""
    peaks = [np.zeros(layer.n_out) for layer in network.layers]
    counts = [np.zeros(network.n_in), *(np.zeros(layer.n_out) for layer in network.layers)]
    for first in range(0, len(events), _CALIBRATION_CHUNK):
        chunk = events[first : first + _CALIBRATION_CHUNK]
        run = network.run(chunk)
        counts[0] += np.bincount(chunk.units.cpu().numpy(), minlength=network.n_in)
        for i in range(len(peaks)):
            for state in (run.voltage[i], run.current[i]):
                peaks[i] = np.maximum(peaks[i], np.abs(state).max((0, 2), initial=0))
            counts[i + 1] += run.spikes[i].sum((0, 2))
    return peaks, [c / max(1, len(events)) for c in counts]
