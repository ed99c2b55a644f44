"""Loihi 2 as a `Chip`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from lambent.events import Events
from lambent.hardware.bits import layer_bits
from lambent.hardware.chip import Described, Published, Settings, TrainingChip
from lambent.hardware.loihi2.aware import aware, aware_of, trained_bits
from lambent.hardware.loihi2.convert import Conversion, check_model, convert
from lambent.hardware.loihi2.cost import Cost, estimate_cost, mean_cost, published
from lambent.hardware.loihi2.export import NetxReport, write
from lambent.hardware.loihi2.lava import FILES, how_to_run, not_held_by_lava, save_lava, verified
from lambent.hardware.loihi2.layers.base import MAX_DELAY
from lambent.hardware.loihi2.network import Loihi2Network, Recording, Stream
from lambent.hardware.loihi2.netx import load_netx
from lambent.hardware.loihi2.netx.lava import misread_by_lava
from lambent.hardware.loihi2.placement.mapping import Mapping as Placement
from lambent.hardware.loihi2.placement.mapping import map_to_cores
from lambent.hardware.loihi2.quantised import with_values_of


class Loihi2:
    """See `lambent.hardware.chip.TrainingChip` for what each method does."""

    name = "loihi2"
    title = "Loihi 2"
    max_delay = MAX_DELAY
    formats: tuple[str, ...] = ("netx", "lava")

    def check(self, settings: Settings) -> None:
        """Bits of the chip's weights, its units and their reset."""
        bits, layers = settings.weight_bits(), settings.descriptions()
        if bits is None:
            return
        try:
            layer_bits(bits, len(layers) + 1)
        except ValueError as error:
            raise ValueError(f"qat_bits: {error}") from error
        for said in layers:
            if missing := _missing(said):
                raise ValueError(f"qat_bits: layer {said.text!r}: {missing}")
            if (reset := _reset(said, settings)) != "zero":
                raise ValueError(f"reset must be zero with qat_bits, as the chip resets, got {reset!r}")

    def advice(self, settings: Settings) -> str:
        """What the chip has not, then of Lava, through its reader of NetX files and as a program."""
        layers = settings.descriptions()
        for said in layers:
            if missing := _missing(said):
                return f"Loihi 2: no export of layer {said.text!r}: {missing}"
            if (reset := _reset(said, settings)) != "zero":
                return f"Loihi 2 resets to 0: no export with reset {reset}; for that train with --reset zero"
        delayed = [said for said in layers if said.options.get("delay", settings.delay)]
        refused = []
        if any(said.recurrent for said in delayed):
            refused.append("delays of recurrent layers (for that train with --delay 0 or with --no-recurrent)")
        if any(said.connections == "pool" for said in layers):
            refused.append("pools")
        if any(said.neuron == "resonator" for said in layers):
            refused.append("resonators at their frequencies")
        runs = "Loihi 2: will run in Lava, as a program (lambent export RUN --format lava)"
        runs += (
            f", but not through Lava's NetX reader, which has no {', no '.join(refused)}"
            if refused
            else (" and through its NetX reader")
        )
        for said in delayed:
            if said.connections == "conv" and said.text in settings.layer:
                runs += (
                    f"; layer {said.text!r} will be a dense one with zeros there, as the chip's convolution has no "
                    "delay for each weight: for kernels on the chip add delay 0"
                )
        return runs

    def readers(self, network: Loihi2Network) -> dict[str, list[str]]:
        """Of Lava, as a program and through its reader of NetX files."""
        return {"Lava (--format lava)": not_held_by_lava(network), "Lava's NetX reader": misread_by_lava(network)}

    def convert(
        self,
        model: nn.Module,
        bits: int | Sequence[int] | None = None,
        calibration: Events | None = None,
        labels: Sequence[str] = (),
    ) -> Conversion:
        """See `lambent.hardware.loihi2.convert.convert`."""
        return convert(model, bits, calibration, labels)

    def quantised(self, model: nn.Module, network: Loihi2Network) -> nn.Sequential:
        """From the network's integers, decays, thresholds and scales of voltage."""
        return with_values_of(check_model(model), network)

    def save(self, conversion: Conversion, path: Path, **options: bool) -> NetxReport:
        """As NetX; with `lava_compatible` only what Lava reads as it is meant."""
        return write(conversion, path, **options)

    def export(
        self, network: Loihi2Network, format: str, path: Path, sample: Events | None = None
    ) -> tuple[Sequence[str], str]:
        """As a program for Lava; see `lambent.hardware.loihi2.lava`."""
        if format != "lava":
            raise ValueError(f"format must be lava, got {format!r}")
        save_lava(network, path, sample)
        return FILES, how_to_run(path, sample is not None)

    def verified(self, format: str, path: Path) -> str:
        """What `network.py --check` found."""
        return verified(path)

    def load(self, path: Path) -> Loihi2Network:
        """From NetX."""
        return load_netx(path)

    def describe(self, network: Loihi2Network) -> dict[str, Any]:
        """Layers, readout, and what Lava would misread."""
        readout = network.readout
        return {
            "network": repr(network),
            "layers": [
                {"name": x.name, "kind": x.kind, "units": x.neuron.type, "in": x.n_in, "out": x.n_out, "shape": x.shape}
                for x in network.layers
            ],
            "reduce": getattr(readout, "reduce", "average") if readout else None,
            "misread_by_lava": misread_by_lava(network),
            "classes": list(readout.labels) if readout else None,
        }

    def run(self, network: Loihi2Network, events: Events, record: Sequence[str] = ("spikes", "voltage")) -> Recording:
        """Bit for bit as Lava's fixed-point models."""
        return network.run(events, record)

    def stream(self, network: Loihi2Network) -> Stream:
        """See `Loihi2Network.stream`."""
        return network.stream()

    def place(
        self, network: Loihi2Network, recording: Recording | None = None, *, partition: bool = False
    ) -> Placement:
        """On one chip."""
        return map_to_cores(network, recording, partition=partition)

    def cost(self, network: Loihi2Network, recording: Recording, placement: Placement) -> Cost:
        """See `estimate_cost`."""
        return estimate_cost(network, recording, placement)

    def mean_cost(self, costs: Sequence[tuple[int, Cost]]) -> Cost:
        """See `lambent.hardware.loihi2.cost.mean_cost`."""
        return mean_cost(costs)

    def read_cost(self, values: dict[str, Any]) -> Cost:
        """See `Cost.from_dict`."""
        return Cost.from_dict(values)

    def published(self) -> list[Published]:
        """Those that the model of the cost was fitted to, and the same networks on a GPU."""
        return [
            Published(f"700-{x['hidden']}-20, {system}", x["energy"], x["latency"], x.get("batch", 1))
            for key, system in (("loihi2", "Loihi 2"), ("jetson_orin_nano", "Jetson Orin Nano"))
            for x in published()["published"][key]
        ]

    def aware(
        self, model: nn.Sequential, bits: int | Sequence[int], calibration: Events | None = None
    ) -> nn.Sequential:
        """Layers of integers with the gradients of EventProp."""
        return aware(model, bits, calibration)

    def aware_of(self, model: nn.Sequential, state: Mapping[str, Any]) -> nn.Sequential | None:
        """See `lambent.hardware.loihi2.aware.aware_of`."""
        return aware_of(model, state)

    def trained_bits(self, model: nn.Module) -> tuple[int, ...]:
        """See `lambent.hardware.loihi2.aware.trained_bits`."""
        return trained_bits(model)


def _missing(said: Described) -> str:
    """What a described layer has that the chip has not; empty if nothing."""
    if said.neuron not in ("lif", "resonator"):
        return f"the chip has no {said.neuron} units; use lif or resonator"
    if said.neuron == "resonator" and said.recurrent:
        return "the chip's resonators are not connected among themselves; leave recurrent out"
    if said.payload_bits:
        return "only spikes without values are converted; leave payload_bits out"
    return ""


def _reset(said: Described, settings: Settings) -> str:
    return said.values.get("reset", settings.reset) if said.neuron == "lif" else "zero"


CHIP: TrainingChip = Loihi2()
