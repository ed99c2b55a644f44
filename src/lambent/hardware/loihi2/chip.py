"""Loihi 2 as a `Chip`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from lambent.events import Events
from lambent.hardware.chip import Published, Settings, TrainingChip
from lambent.hardware.loihi2.aware import aware, aware_of, trained_bits
from lambent.hardware.loihi2.convert import Conversion, check_model, convert, layer_bits
from lambent.hardware.loihi2.cost import Cost, estimate_cost, mean_cost, published
from lambent.hardware.loihi2.export import NetxReport, write
from lambent.hardware.loihi2.lava import FILES, how_to_run, not_held_by_lava, save_lava, verified
from lambent.hardware.loihi2.layers.base import MAX_DELAY
from lambent.hardware.loihi2.network import Loihi2Network, Recording
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
        """Bits of the chip's weights, and its reset."""
        try:
            bits = settings.weight_bits()
            if bits is None:
                return
            layer_bits(bits, settings.layers + 1)
        except ValueError as error:
            raise ValueError(f"qat_bits: {error}") from error
        if settings.reset != "zero":
            raise ValueError(f"reset must be zero with qat_bits, as the chip resets, got {settings.reset!r}")

    def advice(self, settings: Settings) -> str:
        """Of Lava, through its reader of NetX files and as a program."""
        if settings.reset != "zero":
            return f"Loihi 2 resets to 0: no export with reset {settings.reset}; for that train with --reset zero"
        if settings.recurrent and settings.delay:
            return (
                "Loihi 2: will run in Lava (lambent export RUN --format lava); Lava's NetX reader takes no delays of "
                "recurrent layers: for that train with --delay 0 or with --no-recurrent"
            )
        return "Loihi 2: will run in Lava, as a program (lambent export RUN --format lava) and through its NetX reader"

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


CHIP: TrainingChip = Loihi2()
