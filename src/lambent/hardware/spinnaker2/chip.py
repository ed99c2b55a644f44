"""SpiNNaker2 as a `Chip`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from lambent.events import Events
from lambent.hardware.bits import layer_bits
from lambent.hardware.chip import Described, LearningChip, Published, Settings
from lambent.hardware.spinnaker2.convert import check_model, to_torch
from lambent.hardware.spinnaker2.cost import Cost, estimate_cost, mean_cost
from lambent.hardware.spinnaker2.export import check_export, nir_for_py_spinnaker2
from lambent.hardware.spinnaker2.network import Spinnaker2Network, load_network
from lambent.hardware.spinnaker2.place import Placement, place
from lambent.hardware.spinnaker2.rounding import Conversion, Report, convert, save
from lambent.hardware.spinnaker2.rules import CrossEntropy, Rule
from lambent.hardware.spinnaker2.running import Recording, run_network
from lambent.hardware.spinnaker2.training import Learner
from lambent.layers import Spiking

_NIR = "py-spinnaker2"


class Spinnaker2:
    """See `lambent.hardware.chip.LearningChip` for what each method does."""

    name = "spinnaker2"
    title = "SpiNNaker2"
    max_delay = 0
    formats: tuple[str, ...] = ("npz", _NIR)

    def check(self, settings: Settings) -> None:
        """Bits; the chip learns in float32, so that there is no training for them."""
        if (bits := settings.weight_bits()) is not None:
            layer_bits(bits, len(settings.descriptions()) + 1)

    def advice(self, settings: Settings) -> str:
        """What the programs of the chip have no words for."""
        for said in settings.descriptions():
            if missing := _missing(said):
                return f"SpiNNaker2: no export of layer {said.text!r}: {missing}"
            if said.neuron == "lif" and (reset := said.values.get("reset", settings.reset)) != "zero":
                return f"SpiNNaker2 resets to 0: no export with reset {reset}; for that train with --reset zero"
        return "SpiNNaker2: will run with weights of 8 bits, without delays"

    def readers(self, network: Spinnaker2Network) -> dict[str, list[str]]:
        """Of py-spinnaker2's `lif`, through NIR."""
        wrong = [
            f"{x.name}: weights off by {100 * x.rms_error:.1f} % as integers of -15 to 15"
            for x in check_export(network).layers
            if x.rms_error > 0
        ]
        wrong += [f"{x.name}: {note}" for x in check_export(network).layers for note in x.notes]
        return {"py-spinnaker2 (--format py-spinnaker2)": wrong}

    def convert(
        self,
        model: nn.Module,
        bits: int | Sequence[int] | None = None,
        calibration: Events | None = None,
        labels: Sequence[str] = (),
    ) -> Conversion:
        """See `lambent.hardware.spinnaker2.rounding.convert`; states are float32 and need no calibration."""
        return convert(model, bits, labels)

    def quantised(self, model: nn.Module, network: Spinnaker2Network) -> nn.Sequential:
        """From the network's integers and scales."""
        check_model(model)
        assert isinstance(model, nn.Sequential)
        return to_torch(network, model)

    def save(self, conversion: Conversion, path: Path, **options: bool) -> Report:
        """As a compressed .npz."""
        if options:
            raise ValueError(f"{next(iter(options))} is no option of SpiNNaker2's files")
        return save(conversion, path)

    def export(
        self, network: Spinnaker2Network, format: str, path: Path, sample: Events | None = None
    ) -> tuple[Sequence[str], str]:
        """As a NIR graph that py-spinnaker2 reads."""
        if format != _NIR:
            raise ValueError(f"format must be {_NIR}, got {format!r}")
        path.mkdir(parents=True, exist_ok=True)
        nir_for_py_spinnaker2(network, path / "network.nir")
        how = "read it with spinnaker2.s2_nir, dt in seconds, ResetMethod.ZERO and scale_weights=False"
        return ("network.nir",), f"{how}\n{check_export(network)}"

    def verified(self, format: str, path: Path) -> str:
        """Nothing: there is no chip here."""
        return "not compared with py-spinnaker2"

    def load(self, path: Path) -> Spinnaker2Network:
        """From an .npz."""
        return load_network(path)

    def describe(self, network: Spinnaker2Network) -> dict[str, Any]:
        """Layers, readout, and what py-spinnaker2 would lose."""
        return {
            "network": repr(network),
            "layers": [
                {"name": x.name, "units": "lif" if x.spiking else "readout", "in": x.n_in, "out": x.n_out,
                 "recurrent": x.recurrent, "weights": str(x.matrix.dtype)}
                for x in network.layers
            ],
            "reduce": network.readout.reduce,
            "py_spinnaker2": str(check_export(network)),
            "classes": list(network.readout.labels),
        }  # fmt: skip

    def run(
        self, network: Spinnaker2Network, events: Events, record: Sequence[str] = ("spikes", "voltage")
    ) -> Recording:
        """As the programs of the chip, bit for bit."""
        return run_network(network, events, record)

    def place(
        self, network: Spinnaker2Network, recording: Recording | None = None, *, partition: bool = False
    ) -> Placement:
        """One group, for inference; units lie in order, so that there is nothing to partition."""
        steps = recording.inputs.shape[1] if recording is not None else 1
        return place(network, max(1, steps))

    def cost(self, network: Spinnaker2Network, recording: Recording, placement: Placement) -> Cost:
        """See `estimate_cost`."""
        return estimate_cost(network, recording, placement)

    def mean_cost(self, costs: Sequence[tuple[int, Cost]]) -> Cost:
        """See `lambent.hardware.spinnaker2.cost.mean_cost`."""
        return mean_cost(costs)

    def read_cost(self, values: dict[str, Any]) -> Cost:
        """See `Cost.from_dict`."""
        return Cost.from_dict(values)

    def published(self) -> list[Published]:
        """None of whole networks, as far as we know."""
        return []

    def learner(self, model: nn.Sequential, settings: Any, duration: float) -> Learner:
        """With lambent's adjoint, the cross-entropy of the readout, and the settings' bounds on rates."""
        layers = sum(isinstance(module, Spiking) for module in model)
        rates = ((settings.rate_lower, settings.rate_upper),) * layers
        loss = CrossEntropy(settings.label_smoothing, settings.count_gradient)
        return Learner(model, Rule("lambent", loss, rates, settings.rate_strength), duration, settings.batch_size)


def _missing(said: Described) -> str:
    """What a described layer has that the chip's programs have not; empty if nothing."""
    if said.neuron != "lif":
        return f"the programs of the chip are for lif units, not {said.neuron}"
    if said.payload_bits:
        return "only spikes without values are converted; leave payload_bits out"
    return ""


CHIP: LearningChip = Spinnaker2()
