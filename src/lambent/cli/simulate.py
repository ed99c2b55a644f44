"""`lambent simulate`: any NetX file on the chip model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lambent.cli._common import DataFile, Json, OfChip, TimeUnit, console, last_line, load_of, progress_bar, say
from lambent.hardware.chip import DEFAULT, find_chip


def simulate(
    network: Annotated[Path, typer.Argument(metavar="NETWORK", help="A chip's file (.net), of Loihi 2 NetX.")],
    data: DataFile,
    duration: Annotated[
        float | None,
        typer.Option(help="Length of a sample [ms], on which means depend; the data's own where left out."),
    ] = None,
    partition: Annotated[
        bool, typer.Option("--partition", help="Place units so that fewer spikes go from core to core (pymetis).")
    ] = False,
    of_chip: OfChip = DEFAULT,
    time_unit: TimeUnit = None,
    as_json: Json = False,
) -> None:
    """Run any NetX file on the bit-exact chip model.

    Says the spikes of each layer, the speed, the modelled cost, and the accuracy if the network has a readout.
    """
    from lambent.data import SpikeDataset
    from lambent.runs import simulate as step
    from lambent.runs.evaluation import match_classes, numbering

    chip = find_chip(of_chip)
    net = load_of(chip, network)
    samples = SpikeDataset.from_shd(data, duration, net.n_in, time_unit=time_unit)
    if len(samples) == 0:
        raise ValueError(f"{data}: holds no samples")
    if net.readout is not None and net.readout.labels:
        names = list(net.readout.labels)
        match_classes(samples, names, str(data))
        if note := numbering(samples, names, str(data)):
            say(note)
    with progress_bar("simulating") as progress:
        done = step.simulate(chip, net, samples, partition=partition, progress=progress)
    result: dict[str, Any] = {"n": done.samples, "steps_per_s": done.speed, "spikes_per_sample": done.spikes}
    say(f"{net}")
    console.print(f"{done.samples} samples, {done.steps:,} steps, {done.speed:,.0f} steps/s")
    for layer, spikes in zip(net.layers, done.spikes, strict=True):
        console.print(f"{layer.name}: {spikes:.1f} spikes a sample, {spikes / layer.n_out:.2f} a unit")
    if done.accuracy is not None:
        result["accuracy"] = done.accuracy
        console.print(f"accuracy {100 * done.accuracy:.2f} %")
    if isinstance(done.cost, str):
        say(f"no mapping, so no modelled cost: {done.cost}")
    else:
        result["cost"] = done.cost.as_dict()
        say(f"{done.placement}\n{done.cost}")
    last_line(as_json, result)
