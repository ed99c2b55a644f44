"""`lambent export`: a trained network as a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lambent.cli._common import Folder, Json, completing, last_line, say
from lambent.training.config import parse_bits

if TYPE_CHECKING:
    from lambent.training.run import Run


def export(
    run: Folder,
    weight_bits: Annotated[
        str | None,
        typer.Option(
            metavar="BITS",
            help="Bits of a weight on the chip, 2 to 8, sign included: one number, or one for each layer such as 4,8. "
            "Left out: what the run was trained with (--qat-bits), else 8; as lava those of the network exported last.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="What to write; RUN/NAME.net or .nir, or the folder RUN/lava, where left out.")
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            autocompletion=completing(("netx", "lava", "npz", "py-spinnaker2", "nir")),
            help="Of a run for Loihi 2: netx, where left out, its file format; lava, a folder that runs in Intel's "
            "Lava, on its model of the chip or on a chip. For SpiNNaker2: npz, where left out; py-spinnaker2, a NIR "
            "graph. nir: for other frameworks.",
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            autocompletion=completing(("generic", "norse", "snntorch", "sinabs")),
            help="NIR: who is to run it, generic, norse, snntorch or sinabs. generic, where left out: in NIR's own "
            "terms, which lambent reads back exactly.",
        ),
    ] = None,
    lava_compatible: Annotated[
        bool, typer.Option("--lava-compatible", help="NetX: refuse what Lava's own reader would get wrong.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a trained network for its chip, or as NIR for others.

    For the chip it is quantised; NIR, for other frameworks, holds the weights as they are.
    """
    from lambent.nir import export_nir
    from lambent.runs.export import export_as, export_run, exported_network
    from lambent.training.run import Run

    there = Run(run)
    chip = there.chip()
    formats = (*chip.formats, "nir")
    format = format or formats[0]
    if format not in formats:
        raise ValueError(f"--format must be one of {', '.join(formats)}, got {format!r}")
    if lava_compatible and format != formats[0]:
        raise ValueError(f"--lava-compatible is of --format {formats[0]}, not of {format}")
    if target is not None and format != "nir":
        raise ValueError(f"--target is of --format nir, not of {format}")
    bits = None if weight_bits is None else parse_bits(weight_bits)
    before = _made_of(there)
    if format == "nir":
        if bits is not None:
            raise ValueError("--weight-bits is of the chip's formats; NIR holds the weights as they are")
        path = out or there.network.with_suffix(".nir")
        export_nir(there.model(), path, target or "generic")
        say(f"wrote {path}")
        if target not in (None, "generic"):
            say(f"docs/nir.md shows how {target} runs it; a step is {there.config().dt:g} ms")
        last_line(as_json, {"path": str(path), "target": target or "generic", "file_bytes": path.stat().st_size})
        return
    if format != chip.formats[0]:
        path, used, what_next = export_as(there, format, bits, out)
        say(f"wrote {path}: weights of {', '.join(map(str, dict.fromkeys(used)))} bits")
        _say_what_changed(there, used, before)
        say(what_next)
        last_line(as_json, {"path": str(path), "weight_bits": used})
        return
    options = {"lava_compatible": True} if lava_compatible else {}
    report = export_run(there, bits, out, **options)
    say(report)
    _say_what_changed(there, report.weight_bits, before)
    readers = chip.readers(chip.load(out) if out else exported_network(there))
    for reader, wrong in readers.items():
        say(f"{reader}: runs it" if not wrong else f"{reader}: would not run it as meant: {'; '.join(wrong)}")
    if any(readers.values()):
        say(chip.advice(there.config()))
    last_line(as_json, asdict(report) | {"readers": readers})


def _made_of(run: Run) -> list[str]:
    """What is there that may speak of the network exported last."""
    return [name for name in ("evaluation.npz", "report.html", "stream.json") if run.path(name).exists()]


def _say_what_changed(run: Run, bits: Sequence[int], before: Sequence[str]) -> None:
    from lambent.runs.export import trained_for_other_bits

    if gone := [name for name in before if not run.path(name).exists()]:
        say(f"{run.network} is another network than before; gone, as of that one: {', '.join(gone)}")
    if trained_for_other_bits(run, bits):
        say("warning: the network was trained for weights of other bits; leave --weight-bits out for those")
