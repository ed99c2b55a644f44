"""Exporting a run's model for its chip, and what was exported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from lambent.events import Events
from lambent.hardware.chip import Conversion, Export, Network
from lambent.machine.files import read_file
from lambent.quantize.aware import trained_bits
from lambent.training.run import Run, damaged


def calibration_events(run: Run) -> Events:
    """The training samples that a run keeps to measure activity on."""
    saved, facts = run.load("calibration.pt"), run.facts()
    with damaged(run.path("calibration.pt")):
        spikes = (saved["times"], saved["units"], saved["offsets"])
        return Events(*spikes, facts["n_units"], facts["duration"], saved.get("values"))


def export_run(
    run: Run,
    weight_bits: int | Sequence[int] | None = None,
    path: Path | None = None,
    **options: bool,
) -> Export:
    """Quantise the run's model for its chip and write it, to RUN/NAME.net unless told otherwise.

    Args:
        weight_bits: one number, or one for each layer; left out, what the run was trained for, else the chip's most.
        path: the file.
        options: those of the chip's file format.
    """
    chip, own = run.chip(), path is None or path.resolve() == run.network.resolve()
    before = read_file(run.network) if own and run.network.exists() else b""
    conversion = _converted(run, weight_bits)
    sure = run.exported_bits() is not None
    also = {folder.name: files for folder, files in run.programs().items()} if own else {}
    if own and sure:  # whatever stops this, nobody takes what was made from the old network for the new one's
        run.write_json("export.json", run.read_json("export.json") | {"began": True})
    report = chip.save(conversion, path or run.network, **options)
    if own:
        if not sure or read_file(run.network) != before:
            run.outdate(export=False)
            also = {}
        run.write_json("export.json", {"file": run.network.name, "weight_bits": report.weight_bits, "also": also})
    return report


def export_as(
    run: Run, format: str, weight_bits: int | Sequence[int] | None = None, path: Path | None = None
) -> tuple[Path, list[int], str]:
    """Write the run's network in another of its chip's formats, to RUN/FORMAT unless told otherwise.

    It is the network that was exported last, which evaluations and reports speak of; if none was, or one of other bits,
    another is made: exported, unless it goes elsewhere.

    Args:
        weight_bits: as for `export_run`; left out, those of the network exported last.
        path: where to write.

    Returns:
        Where it is, the bits of each layer, and what to do with it.
    """
    chip, sample = run.chip(), calibration_events(run)[:1]
    known = run.exported_bits()
    wanted = [weight_bits] * len(known or ()) if isinstance(weight_bits, int) else weight_bits
    if known is None or (wanted is not None and list(wanted) != known):
        if path is not None:
            conversion = _converted(run, weight_bits)
            return path, conversion.weight_bits, chip.export(conversion.network, format, path, sample)[1]
        export_run(run, weight_bits)
        known = run.exported_bits() or []
    if path is None:
        run.check_own(run.path(format))
    files, what_next = chip.export(exported_network(run), format, path or run.path(format), sample)
    if path is None:
        about = run.read_json("export.json")
        run.write_json("export.json", about | {"also": about.get("also", {}) | {format: list(files)}})
    return path or run.path(format), known, what_next


def _converted(run: Run, weight_bits: int | Sequence[int] | None) -> Conversion:
    return run.chip().convert(run.trained_model(), weight_bits, calibration_events(run), run.facts()["class_names"])


def exported_network(run: Run) -> Network:
    """What a run exported.

    Raises:
        FileNotFoundError, ValueError: it is missing or damaged.
    """
    network = run.chip().load(run.network)
    if network.readout is None:
        raise ValueError(f"{run.network}: the network has no readout, so it has no answers")
    return network


def exported_as_float(run: Run, network: Network) -> nn.Sequential | None:
    """The float model with the values of the run's exported `network`; None if it was trained with just these."""
    bits, trained = run.exported_bits(), run.trained_model()
    if bits == _trained_bits(run, trained):
        return None
    return run.chip().quantised(trained, network)


def trained_for_other_bits(run: Run, weight_bits: Sequence[int]) -> bool:
    """Whether quantisation-aware training was for other numbers of bits than these, one for each layer."""
    trained = _trained_bits(run, run.trained_model())
    return bool(trained) and trained != list(weight_bits)


def _trained_bits(run: Run, model: nn.Module) -> list[int]:
    return list(trained_bits(model, run.config().chip))
