"""What a chip is to the rest of the house, and the list of chips.

A chip is a folder beside this file that ends in a `chip.py` with a `CHIP`, and a line in `CHIPS`. Settings, run
folders, quantisation, reports and commands know only what stands here, and a chip's name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:  # settings and commands know chips' names before anything slow is imported
    import numpy as np
    from torch import Tensor, nn

    from lambent.events import Events

CHIPS = {"loihi2": "lambent.hardware.loihi2.chip", "spinnaker2": "lambent.hardware.spinnaker2.chip"}
"""Where each chip is; imported when asked for."""
DEFAULT = "loihi2"


class Described(Protocol):
    """What settings say of a hidden layer."""

    @property
    def text(self) -> str:
        """The line that says it."""
        ...

    @property
    def connections(self) -> str:
        """Their kind: "dense", "sparse", "conv" or "pool"."""
        ...

    @property
    def neuron(self) -> str:
        """What the units are: "lif", "resonator" or another word."""
        ...

    @property
    def recurrent(self) -> bool:
        """Whether the units are connected among themselves."""
        ...

    @property
    def options(self) -> Mapping[str, Any]:
        """Of the connections; `delay`, if there, is the longest delay to begin with [ms], in place of the settings'."""
        ...

    @property
    def values(self) -> Mapping[str, Any]:
        """Of the units; `reset`, if there, is in place of the settings'."""
        ...

    @property
    def payload_bits(self) -> int:
        """What each spike carries; 0 for nothing."""
        ...


class Settings(Protocol):
    """What a chip is asked about before a network is trained for it."""

    def descriptions(self) -> Sequence[Described]:
        """The hidden layers, before a readout."""
        ...

    @property
    def layer(self) -> Sequence[str]:
        """The lines of those that were described one by one."""
        ...

    @property
    def reset(self) -> str:
        """What a spike does to the voltage: "zero" or "subtract"."""
        ...

    @property
    def delay(self) -> float:
        """Longest delay of the inputs to begin with [ms]; 0 for none."""
        ...

    def weight_bits(self) -> int | Sequence[int] | None:
        """Bits to train for, one number or one for each layer; None to train in float only."""
        ...


class Recording(Protocol):
    """What a network did: for each layer i an array (batch, n_i, steps); empty for what was not recorded."""

    @property
    def spikes(self) -> tuple[np.ndarray, ...]:
        """Not 0 where a unit spiked."""
        ...

    @property
    def voltage(self) -> tuple[np.ndarray, ...]:
        """In the chip's units; column t is the state after time step t + 1."""
        ...


class Readout(Protocol):
    """How what the last layer does becomes class scores."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, or empty."""
        ...

    @property
    def reads(self) -> str:
        """What must be recorded for it, "spikes" or "voltage"."""
        ...

    def scores(self, recording: Any) -> np.ndarray:
        """Class scores float64 (batch, classes)."""
        ...

    def voltages(self, recording: Any) -> np.ndarray | None:
        """Voltages (batch, steps, classes) in the float model's units; None if it reads none."""
        ...


class Layer(Protocol):
    """A layer of a network on a chip."""

    @property
    def name(self) -> str:
        """As the chip's files call it."""
        ...

    @property
    def n_out(self) -> int:
        """Number of units."""
        ...


class Network(Protocol):
    """A network in a chip's integers."""

    @property
    def n_in(self) -> int:
        """Number of input units."""
        ...

    @property
    def layers(self) -> Sequence[Layer]:
        """From the input on."""
        ...

    @property
    def readout(self) -> Readout | None:
        """How it answers, if it does."""
        ...


class Conversion(Protocol):
    """What became of a model."""

    @property
    def network(self) -> Any:
        """The chip's network."""
        ...

    @property
    def weight_bits(self) -> list[int]:
        """Of each layer, sign included."""
        ...

    def quantised(self) -> nn.Sequential:
        """A copy of the float model with the values that the network has."""
        ...


class Export(Protocol):
    """What was written, as a dataclass of plain values; `str()` tells a reader."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def weight_bits(self) -> list[int]:
        """Of each layer, sign included."""
        ...


class Core(NamedTuple):
    """What a core holds.

    Attributes:
        row, column: of the router that it is at, from 0.
        units: how many of each layer, by its name.
        memory: share of its synaptic memory in use, in 0..1.
    """

    row: int
    column: int
    units: dict[str, int]
    memory: float


class Placement(Protocol):
    """Where a network lies on the chip; `str()` gives a table. `core_map() -> list[Core]`, if there, is for a map."""

    @property
    def n_cores(self) -> int:
        """Number of cores in use."""
        ...

    @property
    def memory(self) -> int:
        """Bytes of synaptic memory in use."""
        ...


class Cost(Protocol):
    """What a sample costs, modelled; `str()` tells a reader."""

    @property
    def energy(self) -> float:
        """In mJ."""
        ...

    @property
    def latency(self) -> float:
        """From the first step to the last [ms]."""
        ...

    def as_dict(self) -> dict[str, Any]:
        """All values, plain."""
        ...


class Published(NamedTuple):
    """What a sample was published to cost on some system.

    Attributes:
        name: of network and system.
        energy, latency: in mJ and ms; the energy may be None.
        batch: samples at once.
    """

    name: str
    energy: float | None
    latency: float
    batch: int = 1


class Chip(Protocol):
    """A neuromorphic chip. Networks, recordings, placements and costs are its own and given back to it as they are.

    Attributes:
        name: as in `CHIPS`.
        title: as a reader knows it.
        max_delay: longest delay of a synapse in steps.
        formats: in which networks can be written; the first is what `save` writes and `load` reads.
    """

    name: str
    title: str
    max_delay: int
    formats: tuple[str, ...]

    def check(self, settings: Settings) -> None:
        """Raise ValueError, naming the setting, if a network trained so could not run on the chip as it is meant to."""
        ...

    def advice(self, settings: Settings) -> str:
        """What will be able to run a network trained so, and what to change for what will not: a line, or none."""
        ...

    def readers(self, network: Any) -> dict[str, list[str]]:
        """Programs that could run `network`, and what each would get wrong, and why; nothing where it runs it."""
        ...

    def convert(
        self,
        model: nn.Module,
        bits: int | Sequence[int] | None = None,
        calibration: Events | None = None,
        labels: Sequence[str] = (),
    ) -> Conversion:
        """`model` with weights of so many bits, those it was trained for or the chip's most where left out.

        Args:
            calibration: typical input, from which to choose scales.
            labels: names of the classes.

        Raises:
            TypeError, ValueError: the chip cannot run the model; the message names the layer and what to change.
        """
        ...

    def quantised(self, model: nn.Module, network: Any) -> nn.Sequential:
        """A copy of the float `model` with the values of `network`, which it was converted to.

        Raises:
            ValueError: the network is of another model.
        """
        ...

    def save(self, conversion: Any, path: Path, **options: bool) -> Export:
        """Write the network of a conversion, whole or not at all; options are those of the chip's file format."""
        ...

    def export(self, network: Any, format: str, path: Path, sample: Events | None = None) -> tuple[Sequence[str], str]:
        """Write `network` as a folder in another of `formats`.

        Args:
            sample: a batch of one, for what the format keeps to check itself by.

        Returns:
            The names of the files in the folder, and what to do with it.

        Raises:
            ValueError: the format cannot hold it; the message names the layer and what to change.
        """
        ...

    def verified(self, format: str, path: Path) -> str:
        """What is known of whether that what `export` wrote at `path` computes what the model of the chip does."""
        ...

    def load(self, path: Path) -> Network:
        """Read a network.

        Raises:
            FileNotFoundError, ValueError: it is missing or damaged.
        """
        ...

    def describe(self, network: Any) -> dict[str, Any]:
        """What a network is, in plain values."""
        ...

    def run(self, network: Any, events: Events, record: Sequence[str] = ("spikes", "voltage")) -> Recording:
        """Run samples on the model of the chip."""
        ...

    def place(self, network: Any, recording: Any = None, *, partition: bool = False) -> Placement:
        """Place units on cores.

        Args:
            recording: what the network did on typical samples; adds what travels between cores.
            partition: so that fewer spikes travel.

        Raises:
            ValueError: the network does not fit.
        """
        ...

    def cost(self, network: Any, recording: Any, placement: Any) -> Cost:
        """Energy and latency of a sample, mean over those of a recording of spikes."""
        ...

    def mean_cost(self, costs: Sequence[tuple[int, Any]]) -> Cost:
        """The cost of a sample where so many samples each had the costs given."""
        ...

    def read_cost(self, values: dict[str, Any]) -> Cost:
        """The cost that `as_dict` gave `values` of.

        Raises:
            KeyError, TypeError: values are missing or wrong.
        """
        ...

    def published(self) -> list[Published]:
        """What others measured, to compare with."""
        ...


class ChipStream(Protocol):
    """A network on a chip that goes on from where it was."""

    def run(self, events: Events, record: Sequence[str] = ("spikes", "voltage")) -> Recording:
        """Run the next block of a stream, a batch of one."""
        ...


@runtime_checkable
class StreamingChip(Chip, Protocol):
    """A chip whose model runs streams without end."""

    def stream(self, network: Any) -> ChipStream:
        """`network` at rest. Blocks of any lengths give what the whole stream gives at once, bit for bit."""
        ...


@runtime_checkable
class TrainingChip(Chip, Protocol):
    """A chip whose arithmetic a model can be trained on."""

    def aware(
        self, model: nn.Sequential, bits: int | Sequence[int], calibration: Events | None = None
    ) -> nn.Sequential:
        """A trainable copy of `model` that computes as the chip; see `lambent.quantize.quantization_aware`."""
        ...

    def aware_of(self, model: nn.Sequential, state: Mapping[str, Any]) -> nn.Sequential | None:
        """`model` as the one from `aware` that `state`, a `state_dict`, was taken from; None if from a float one.

        Raises:
            RuntimeError: the state is of another network.
        """
        ...

    def trained_bits(self, model: nn.Module) -> tuple[int, ...]:
        """The bits of each layer of a model from `aware`; none for a float model."""
        ...


class Learner(Protocol):
    """A model that learns on a chip."""

    def step(self, events: Events, labels: Tensor, rate: float) -> tuple[dict[str, float], Any]:
        """Learn from a batch at a rate.

        Returns:
            Means over the batch: loss, accuracy, spikes_per_unit and silent; and whatever else the chip says.

        Raises:
            ValueError: the data are not for this network.
            Overrun: a buffer of the chip was full.
        """
        ...

    def write(self, model: nn.Module) -> None:
        """Put the weights into the model.

        Raises:
            FloatingPointError: they are no longer finite.
        """
        ...

    def state(self) -> dict[str, Any]:
        """What learning goes on from, as tensors and plain values."""
        ...

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`, bit for bit.

        Raises:
            KeyError, ValueError: it is of another network.
        """
        ...

    def cost(self, events: Events, labels: Tensor) -> Any:
        """What learning from such a batch costs, modelled: a dataclass of plain values, with `energy` and `latency`."""
        ...


class Overrun(RuntimeError):
    """A buffer of a chip was full: packets or events were lost, and what was computed since is worthless."""


@runtime_checkable
class LearningChip(Chip, Protocol):
    """A chip that learns by itself."""

    def learner(self, model: nn.Sequential, settings: Any, duration: float) -> Learner:
        """`model` on the chip, ready to learn.

        Args:
            settings: batch_size, label_smoothing, count_gradient, rate_lower, rate_upper and rate_strength of a run's.
            duration: of a sample [ms].

        Raises:
            TypeError, ValueError: the chip cannot learn this model, or it does not fit; says why.
        """
        ...


def find_chip(name: str) -> Chip:
    """The chip of that name.

    Raises:
        ValueError: there is none.
    """
    name = name.lower()
    if name not in CHIPS:
        raise ValueError(f"chip must be one of {', '.join(CHIPS)}, got {name!r}")
    return import_module(CHIPS[name]).CHIP
