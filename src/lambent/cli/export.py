"""`lambent export`: a trained network as a file."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lambent.cli._common import Folder, Json, last_line, say
from lambent.nir import export_nir
from lambent.runs.export import export_run, trained_for_other_bits
from lambent.training.config import parse_bits
from lambent.training.run import Run


class Format(StrEnum):
    """File formats of trained networks."""

    netx = "netx"
    nir = "nir"


def export(
    run: Folder,
    weight_bits: Annotated[
        str | None,
        typer.Option(
            metavar="BITS",
            help="Bits of a weight in NetX, 2 to 8, sign included: one number, or one for each layer such as 4,8. "
            "Left out: what the run was trained with (--qat-bits), else 8.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The file to write; RUN/NAME.net or .nir where left out.")] = None,
    format: Annotated[Format, typer.Option(help="NetX for Loihi 2, or NIR for other frameworks.")] = Format.netx,
    lava_compatible: Annotated[
        bool, typer.Option("--lava-compatible", help="NetX: refuse what Lava's own reader would get wrong.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a trained network: quantised as NetX for Loihi 2, or as it is as NIR for other frameworks."""
    there = Run(run)
    if format is Format.nir:
        if weight_bits is not None or lava_compatible:
            raise ValueError("--weight-bits and --lava-compatible are of NetX; NIR holds the weights as they are")
        path = out or there.network.with_suffix(".nir")
        export_nir(there.model(), path)
        say(f"wrote {path}")
        last_line(as_json, {"path": str(path), "file_bytes": path.stat().st_size})
        return
    bits = None if weight_bits is None else parse_bits(weight_bits)
    options = {"lava_compatible": True} if lava_compatible else {}
    report = export_run(there, bits, out, **options)
    say(report)
    if trained_for_other_bits(there, report.weight_bits):
        say("warning: the network was trained for weights of other bits; leave --weight-bits out for those")
    last_line(as_json, asdict(report))
