"""`Spinnaker2Network`: layers of LIF units in the numbers that the chip computes with, and their file.

A unit of the chip counts V in thresholds and has one decay each, so that a weight of the float model is here
w k / ((1 - beta) threshold), with k of `lambent.neurons.response.grid_constants`:

    I[i] = alpha I[i-1] + sum of weights over spikes of step i-1        alpha = exp(-dt / tau_syn)
    V[i] = beta V[i-1] + (1 - beta) I[i]                                beta = exp(-dt / tau_mem)
    a spike where V > 1, then V := 0

This is the discretisation of Bena et al. (arXiv 2412.15021), and lambent's grid (DESIGN 4.2) with other weights.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch

from lambent.events import Events
from lambent.hardware.spinnaker2.packets import LAYERS, UNITS
from lambent.machine.files import most_packed, open_file, replacing
from lambent.machine.showing import Short
from lambent.neurons.response import grid_constants

REDUCTIONS = ("mean", "exp_mean", "last")
"""How a readout's voltages become scores on the chip: what is linear in them."""


class Units(NamedTuple):
    """The constants of units, float32 (units,) each, as the programs hold them.

    Attributes:
        alpha, fade: of the current, exp(-dt / tau_syn), and 1 - alpha.
        beta, gain: of the voltage, exp(-dt / tau_mem), and 1 - beta.
        kappa: (1 - beta) / k, a current of the chip in thresholds.
        rate_syn, rate_mem: 1 / tau_syn, and kappa / tau_mem [1/ms].
        tau_mem: [ms].
        least: smallest dV/dt of a spike that the adjoint assumes [1/ms].
        tau_syn: [s], for `bena2024`.
    """

    alpha: np.ndarray
    fade: np.ndarray
    beta: np.ndarray
    gain: np.ndarray
    kappa: np.ndarray
    rate_syn: np.ndarray
    rate_mem: np.ndarray
    tau_mem: np.ndarray
    least: np.ndarray
    tau_syn: np.ndarray


@dataclass(frozen=True, eq=False)
class Layer(Short):
    """LIF units, or a readout that never spikes, and what connects to them.

    Attributes:
        name: of the layer.
        n_in: number of inputs.
        matrix: (n_in, n_out) [from, to], for recurrent layers (n_in + n_out, n_out) with the units themselves below;
            float32, or int8 for inference.
        tau_mem, tau_syn: (n_out,) float64 time constants [ms].
        threshold: (n_out,) float64, of the float model; 1 for a readout.
        least: smallest dV/dt of a spike that the adjoint assumes, in thresholds per tau_mem.
        spiking: False for a readout.
        scale: what an integer weight is worth; 1 for float weights.

    Raises:
        ValueError: arrays do not fit each other, hold what is no number, or there are more units than keys can tell.
    """

    name: str
    n_in: int
    matrix: np.ndarray
    tau_mem: np.ndarray
    tau_syn: np.ndarray
    threshold: np.ndarray
    least: float = 0.1
    spiking: bool = True
    scale: float = 1.0

    def __post_init__(self) -> None:
        shape = self.matrix.shape
        if len(shape) != 2 or shape[0] not in (self.n_in, self.n_in + shape[1]) or not shape[0] or not shape[1]:
            raise ValueError(f"{self.name}: weights of shape {shape} are not those of {self.n_in} inputs")
        if self.matrix.dtype not in (np.float32, np.int8):
            raise ValueError(f"{self.name}: weights must be float32 or int8, got {self.matrix.dtype}")
        if self.recurrent and not self.spiking:
            raise ValueError(f"{self.name}: a readout cannot be recurrent")
        if max(self.n_in, self.n_out) > UNITS:
            raise ValueError(f"{self.name}: {max(self.n_in, self.n_out):,} units, but keys tell {UNITS:,} apart")
        for name in ("tau_mem", "tau_syn", "threshold"):
            value = getattr(self, name)
            if value.shape != (self.n_out,) or not (np.isfinite(value) & (value > 0)).all():
                raise ValueError(f"{self.name}: {name} must be {self.n_out} positive numbers")
        if not np.isfinite(self.matrix).all():
            raise ValueError(f"{self.name}: the weights hold NaN or infinity")
        if not (0 < self.least < np.inf and 0 < self.scale < np.inf):
            raise ValueError(f"{self.name}: least and scale must be positive, got {self.least} and {self.scale}")

    @property
    def n_out(self) -> int:
        """Number of units."""
        return int(self.matrix.shape[1])

    @property
    def recurrent(self) -> bool:
        """Whether the units are connected among themselves."""
        return len(self.matrix) != self.n_in

    def units(self, dt: float) -> Units:
        """The constants that programs compute with."""
        tau_mem, tau_syn = torch.from_numpy(self.tau_mem), torch.from_numpy(self.tau_syn)
        mem, syn, k = (x.numpy() for x in grid_constants(tau_mem, tau_syn, dt))
        alpha, beta = syn.astype(np.float32), mem.astype(np.float32)
        gain = np.float32(1) - beta
        kappa = gain / k
        return Units(
            alpha=alpha,
            fade=np.float32(1) - alpha,
            beta=beta,
            gain=gain,
            kappa=kappa.astype(np.float32),
            rate_syn=(1 / self.tau_syn).astype(np.float32),
            rate_mem=(kappa / self.tau_mem).astype(np.float32),
            tau_mem=self.tau_mem.astype(np.float32),
            least=(self.least / self.tau_mem).astype(np.float32),
            tau_syn=(1e-3 * self.tau_syn).astype(np.float32),
        )

    def worth(self, dt: float) -> np.ndarray:
        """What a weight of 1 of the float model is here, float64 (n_out,): k / ((1 - beta) threshold)."""
        tau_mem, tau_syn = torch.from_numpy(self.tau_mem), torch.from_numpy(self.tau_syn)
        mem, _, k = (x.numpy() for x in grid_constants(tau_mem, tau_syn, dt))
        return k / ((1 - mem) * self.threshold)


@dataclass(frozen=True, eq=False)
class Readout(Short):
    """How the last layer becomes class scores.

    Attributes:
        labels: names of the classes, or empty.
        reduce: of a readout, one of `REDUCTIONS`; "first_spike" where units spike: the first one is the answer.
        scale: factor on the scores.
    """

    labels: tuple[str, ...] = ()
    reduce: str = "first_spike"
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.reduce not in (*REDUCTIONS, "first_spike"):
            raise ValueError(f"reduce must be one of {', '.join((*REDUCTIONS, 'first_spike'))}, got {self.reduce!r}")

    @property
    def reads(self) -> str:
        """What must be recorded."""
        return "spikes" if self.reduce == "first_spike" else "voltage"

    def factors(self, steps: int) -> np.ndarray:
        """What the voltage of each step counts, float32 (steps,): scores are their products, summed."""
        n = np.arange(steps)
        of = {"mean": np.ones(steps) / steps, "exp_mean": np.exp(-n / steps) / steps, "last": 1.0 * (n == steps - 1)}
        return (self.scale * of[self.reduce]).astype(np.float32)

    def scores(self, recording: Any) -> np.ndarray:
        """Class scores float64 (batch, classes): sums of voltages, or minus the steps of first spikes."""
        if self.reduce == "first_spike":
            spikes = recording.spikes[-1] != 0
            steps = spikes.shape[2]
            return -np.where(spikes.any(2), spikes.argmax(2), steps).astype(np.float64)
        voltage = recording.voltage[-1].astype(np.float64)
        return voltage @ self.factors(voltage.shape[2]).astype(np.float64)

    def voltages(self, recording: Any) -> np.ndarray | None:
        """Voltages (batch, steps, classes); None where units spike."""
        return None if self.reduce == "first_spike" else self.scale * recording.voltage[-1].transpose(0, 2, 1)


@dataclass(frozen=True, eq=False)
class Spinnaker2Network(Short):
    """A network as it lies on the chip.

    Attributes:
        layers: from the input on; a readout is the last.
        dt: a tick [ms].
        readout: how it answers.

    Raises:
        ValueError: there are no layers, or these do not fit each other.
    """

    layers: tuple[Layer, ...]
    dt: float = 1.0
    readout: Readout = field(default_factory=Readout)

    def __post_init__(self) -> None:
        if not self.layers:
            raise ValueError("a network needs layers")
        if len(self.layers) >= LAYERS:
            raise ValueError(f"{len(self.layers)} layers, but keys tell {LAYERS - 1} apart")
        if not 0 < self.dt < float("inf"):
            raise ValueError(f"dt must be positive [ms], got {self.dt}")
        for before, layer in zip(self.layers, self.layers[1:], strict=False):
            if not before.spiking:
                raise ValueError(f"{before.name}: a readout must be the last layer")
            if layer.n_in != before.n_out:
                raise ValueError(f"{layer.name}: takes {layer.n_in} inputs, but gets {before.n_out}")
        if self.layers[-1].spiking != (self.readout.reduce == "first_spike"):
            raise ValueError(f"{self.layers[-1].name}: cannot be read out by {self.readout.reduce}")

    @property
    def n_in(self) -> int:
        """Number of input units."""
        return self.layers[0].n_in

    @cached_property
    def integers(self) -> bool:
        """Whether weights are integers: such a network can run, but not learn."""
        return any(layer.matrix.dtype == np.int8 for layer in self.layers)

    def with_matrices(self, matrices: Sequence[np.ndarray]) -> Spinnaker2Network:
        """The same network with other weights."""
        layers = (replace(x, matrix=matrix) for x, matrix in zip(self.layers, matrices, strict=True))
        return replace(self, layers=tuple(layers))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network as an .npz file, whole or not at all."""
        arrays: dict[str, Any] = {"dt": self.dt, "layers": len(self.layers)}
        arrays |= {f"readout_{name}": np.array(getattr(self.readout, name)) for name in ("labels", "reduce", "scale")}
        for i, layer in enumerate(self.layers):
            arrays |= {f"{i}_{name}": np.array(value) for name, value in vars(layer).items()}
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)


def check_network(network: Any) -> None:
    """Raise TypeError unless `network` is one of this chip."""
    if not isinstance(network, Spinnaker2Network):
        kind = type(network).__name__
        raise TypeError(f"network must be a Spinnaker2Network, as to_chip(model) makes it, got {kind}")


def check_events(network: Spinnaker2Network, events: Any) -> None:
    """Raise TypeError unless `events` is an `Events`, ValueError unless it has as many units as there are inputs."""
    if not isinstance(events, Events):
        raise TypeError(f"events must be lambent.Events, got {type(events).__name__}")
    if events.n_units != network.n_in:
        raise ValueError(f"the events have {events.n_units} units, the network {network.n_in} inputs")


def load_network(path: str | os.PathLike[str]) -> Spinnaker2Network:
    """Read what `Spinnaker2Network.save` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or another kind of file.
    """
    try:
        with open_file(path) as file, np.load(file) as z:
            if sum(part.file_size for part in z.zip.infolist()) > most_packed(file):
                raise ValueError("it claims to hold far more than its size")
            plain = {"name": str, "n_in": int, "least": float, "spiking": bool, "scale": float}
            layers = []
            for i in range(int(z["layers"])):
                names = ("matrix", "tau_mem", "tau_syn", "threshold")
                arrays = {name: z[f"{i}_{name}"] for name in names}
                layers.append(Layer(**arrays, **{name: kind(z[f"{i}_{name}"]) for name, kind in plain.items()}))
            labels = tuple(map(str, z["readout_labels"]))
            readout = Readout(labels, str(z["readout_reduce"]), float(z["readout_scale"]))
            return Spinnaker2Network(tuple(layers), float(z["dt"]), readout)
    except FileNotFoundError:
        raise
    except Exception as error:
        raise ValueError(f"{os.fspath(path)}: no network for SpiNNaker2, or damaged ({error})") from error
