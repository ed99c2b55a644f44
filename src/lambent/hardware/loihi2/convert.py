"""From a trained torch model to a Loihi 2 network: units of voltage, decays, thresholds, weights, delays.

The model computes I[n] = as I[n-1] + sum w, V[n] = am V[n-1] + k I[n] + (1 - am) bias and spikes at V >= threshold.
The chip computes the same with u = S k I, v = S V, weights 64 W = S k w and biases 64 B = S (1 - am) bias, where the
scale S may differ from unit to unit, but for units that share their weights (`lambent.hardware.loihi2.wiring`). It
stands for the least rounding error of W that leaves room for v in 24 bits. Resonators have k = 1 and v = S Re.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from torch import Tensor, nn

from lambent.connections.connections import delay_steps
from lambent.connections.matrix import array
from lambent.events import Events
from lambent.hardware.bits import layer_bits
from lambent.hardware.loihi2.fixed import FixedWeights
from lambent.hardware.loihi2.kernels import LIMIT
from lambent.hardware.loihi2.layers.base import MAX_DELAY
from lambent.hardware.loihi2.layers.conv import ConvLayer
from lambent.hardware.loihi2.layers.dense import Loihi2Layer
from lambent.hardware.loihi2.network import Loihi2Network
from lambent.hardware.loihi2.neurons import CUBA, THRESHOLD_LIMIT
from lambent.hardware.loihi2.quantised import values_of, with_values
from lambent.hardware.loihi2.readout import Readout
from lambent.hardware.loihi2.rounding import Integers, choose_integers
from lambent.hardware.loihi2.units import KINDS, ChipUnits, bias_worth, units_on_chip, weight_worth
from lambent.hardware.loihi2.wiring import ONE, Kernels, Matrices, columns_of, wiring_of
from lambent.layers import LIReadout, Spiking
from lambent.layers.chain import check_chain
from lambent.machine.showing import Short

_ASSUMED_RATE = 0.05  # spikes per ms of every input, all pushing the same way, where no activity is known
_HEADROOM = 1.5  # room for voltages beyond the highest one seen
_CALIBRATION_CHUNK = 8  # samples whose voltages are held at once


@dataclass(frozen=True, eq=False)
class ConvertedLayer(Short):
    """One layer of the network, and what its conversion did.

    Attributes:
        layer: the chip's layer.
        wiring: how the connections lie there; its `inputs` and `recurrent` are those that the weights below are of.
        integers: what its weights were rounded to, a scale for each column of the wiring.
        scale: (n_out,) float64, units of the chip's voltage per unit of the model's.
        times: (n_out,) float64 each, the time constants of the rounded decays [ms], by name.
        weight, recurrent_weight: float64, what the integer weights are worth in a model with these time constants;
            for dense connections (in, out) and (out, out) [from, to].
        bias: (n_out,) float64, what the integer biases are worth in such a model; None without any.
        rms_error: root mean square error of the weights' effect, relative to its root mean square.
        clipped: share of weights that were too large.
        tau_error: by how much rounding its decay changed a time constant most, relative to it; signed.
    """

    layer: Loihi2Layer | ConvLayer
    wiring: Matrices | Kernels
    integers: Integers
    scale: np.ndarray
    times: dict[str, np.ndarray]
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
        values = [values_of(x.wiring, x.layer, x.weight, x.recurrent_weight, x.times, x.bias) for x in self.layers]
        return with_values(self.modules, values)


@dataclass(frozen=True, eq=False)
class _Activity:
    """What is known of a layer's activity.

    Attributes:
        importance: (fan-in,) or (fan-in, columns), relative weight of the errors of a synapse.
        voltage: (columns,) highest absolute voltage or scaled current to make room for, in the model's units.
    """

    importance: np.ndarray
    voltage: np.ndarray


def convert(
    model: nn.Module,
    weight_bits: int | Sequence[int] | None = None,
    calibration: Events | None = None,
    labels: Sequence[str] = (),
) -> Conversion:
    """Convert a `torch.nn.Sequential` of layers of LIF units or resonators, with or without a final `LIReadout`.

    Decays are rounded to 1/4096; weights are then scaled so that the mean response to a spike stays the same.
    The readout becomes units whose threshold is never reached. Convolutions and pools become the chip's, where the
    units of each channel are equal and have one delay; all other connections become dense ones, with zeros.

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
        layers = [part.rounded(own) for part, own in zip(_parts(modules, known), known, strict=True)]
        return _assemble(modules, layers, labels)
    parts = _parts(modules)
    for part in parts:
        part.units.check(part.name, part.dt)
    activity = [part.assumed_activity() for part in parts]
    bits = bits or (8,) * len(parts)
    if calibration is not None:
        activity = _measure(modules, parts, activity, calibration)
    return _assemble(modules, [p.converted(b, a) for p, b, a in zip(parts, bits, activity, strict=True)], labels)


def convert_layer(module: Spiking | LIReadout, integers: Integers) -> ConvertedLayer:
    """One layer of a model that `check_model` has seen, rounded to integers that are known."""
    return _Part("layer/1", module, integers=integers).rounded(integers)


def largest_weights(module: Spiking | LIReadout, integers: Integers) -> np.ndarray:
    """The weights, of each unit (n_out,), that the largest integer stands for when rounding."""
    largest = integers.spread(module.out_features)
    return largest.largest / largest.resolution / units_on_chip(module.neuron, float(module.dt or 0.0)).gain


def check_model(model: nn.Module) -> list[Spiking | LIReadout]:
    """The float layers of `model`, if the chip can run them; raises as `convert`."""
    if isinstance(model, nn.Sequential):
        model = nn.Sequential(*(module.layer if isinstance(module, FixedWeights) else module for module in model))
    found, dt = check_chain(model, KINDS, "the chip has LIF units and resonators")
    layers = cast("list[Spiking | LIReadout]", found)
    for i, module in enumerate(layers):
        where = f"layer {i} ({type(module).__name__})"
        if isinstance(module, Spiking):
            if getattr(module.neuron, "reset", "zero") != "zero":
                raise ValueError(f'{where}: the chip resets to 0; train with reset="zero"')
            for name in ("delay", "recurrent_delay"):
                delay = _steps(getattr(module, name), dt)
                if not delay.size:
                    continue
                if (delay < 0).any() or (delay > MAX_DELAY).any():
                    raise ValueError(
                        f"{where}: {name} must be 0 to {MAX_DELAY} steps of {dt} ms, "
                        f"got {delay.min()} to {delay.max()}; train with max_delay={MAX_DELAY * dt:g}"
                    )
            resonates = not hasattr(module.neuron, "tau_syn")
            if resonates and module.recurrent is not None:
                raise ValueError(f"{where}: the chip's resonators are not connected among themselves; drop recurrent")
    return layers


def _steps(delay: Tensor | None, dt: float) -> np.ndarray:
    """Delays [ms] as whole steps."""
    return np.zeros((), np.int64) if delay is None else array(delay_steps(delay, dt)).astype(np.int64)


class _Part:
    """A layer of the model with everything that does not depend on scales."""

    def __init__(
        self,
        name: str,
        module: Spiking | LIReadout,
        shape: tuple[int, ...] | None = None,
        integers: Integers | None = None,
    ) -> None:
        self.name, self.dt, self.n_out = name, float(module.dt or 0.0), module.out_features
        columns = ONE if integers is None else columns_of(module, len(integers.scale))
        try:
            self.wiring = wiring_of(module, shape, columns)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        each = self.n_out // self.wiring.n_columns
        neuron = module.neuron
        values = {key: getattr(neuron, key) for key in neuron.parameters}
        first = {key: None if x is None else x[::each] for key, x in values.items()}  # of each column
        self.units: ChipUnits = units_on_chip(neuron.with_values(**first), self.dt)
        self.drive = self.wiring.matrix() * self.units.gain

    def assumed_activity(self) -> _Activity:
        """Every source fires at the assumed rate, and the worst comes together."""
        rate, bias = _ASSUMED_RATE * self.dt, self.units.bias
        voltage = rate * np.abs(self.drive).sum(0) * self.units.response
        importance = self.wiring.importance(np.ones(self.wiring.inputs.n_in), np.ones(self.n_out))
        return _Activity(importance, voltage if bias is None else voltage + np.abs(bias))

    def measured_activity(self, rates: np.ndarray, own: np.ndarray, peaks: np.ndarray, scale: np.ndarray) -> _Activity:
        """What was seen: spikes of the inputs and of the units themselves, and the units' highest voltages."""
        both = rates if self.wiring.recurrent is None else np.concatenate([rates, own])
        extra = 0.05 * (both.mean() if both.any() else 1.0)
        return _Activity(self.wiring.importance(rates + extra, own + extra), _HEADROOM * self.highest(peaks / scale))

    def highest(self, per_unit: np.ndarray) -> np.ndarray:
        """The largest value of each column."""
        return per_unit.reshape(self.wiring.n_columns, -1).max(1)

    def converted(self, bits: int, activity: _Activity) -> ConvertedLayer:
        """The chip's layer, its scale chosen for `activity`."""
        threshold = self.units.threshold
        least_room = 1e-9 if threshold is None else 2 * threshold
        limit = (LIMIT - 1) / 64 / np.maximum(activity.voltage, least_room)
        return self.rounded(choose_integers(self.drive, activity.importance, bits, limit, threshold))

    def rounded(self, integers: Integers) -> ConvertedLayer:
        """The chip's layer with weights rounded to `integers`."""
        units, wiring, own = self.units, self.wiring, integers.spread(self.wiring.n_columns)
        weight = own.rounded(self.drive)
        effect = weight / own.scale
        error = np.sum((effect - self.drive) ** 2) / max(np.sum(self.drive**2), np.finfo(np.float64).tiny)
        worth, recurrent = wiring.worth(weight_worth(effect, units.times, self.dt))
        never = np.full(wiring.n_columns, THRESHOLD_LIMIT)
        bias, real_bias = np.zeros(wiring.n_columns, np.int64), None
        if units.bias is not None and isinstance(units.neuron, CUBA):  # V rests at the bias, with rounded decays too
            bias = np.rint(own.scale * units.neuron.v_decay / 4096 * units.bias).astype(np.int64)
            real_bias = self._per_unit(bias_worth(bias, own.scale, units.neuron))
        neuron = units.with_thresholds(never if units.threshold is None else own.mantissas(units.threshold))
        return ConvertedLayer(
            layer=wiring.layer(self.name, weight, neuron, bias),
            wiring=wiring,
            integers=integers,
            scale=self._per_unit(64 * own.scale),
            times={name: self._per_unit(tau) for name, tau in units.times.items()},
            weight=worth,
            recurrent_weight=recurrent,
            bias=real_bias,
            rms_error=float(np.sqrt(error)),
            clipped=float(own.clipped(self.drive).sum() / max(1, wiring.n_weights)),
            tau_error=float(max(np.concatenate([*units.errors.values()]), key=abs)),
        )

    def _per_unit(self, per_column: np.ndarray) -> np.ndarray:
        return np.repeat(per_column, self.n_out // len(per_column))


def _parts(modules: Sequence[Spiking | LIReadout], known: Sequence[Integers | None] = ()) -> list[_Part]:
    """All layers, each behind the units of the one before as they lie on the chip."""
    found: list[_Part] = []
    for i, (module, integers) in enumerate(zip(modules, known or [None] * len(modules), strict=True)):
        shape = found[-1].wiring.shape if found else None
        found.append(_Part(f"layer/{i + 1}", module, shape, integers))
    return found


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
            replace(a, voltage=np.where(part.highest(c), part.highest(4 * LIMIT / layer.scale), a.voltage))
            for part, a, c, layer in zip(parts, activity, clipped, layers, strict=True)
        ]
    return [part.measured_activity(rates[i], rates[i + 1], peaks[i], layers[i].scale) for i, part in enumerate(parts)]


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
