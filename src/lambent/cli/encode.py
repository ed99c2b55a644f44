"""`lambent encode`: recordings as spike trains."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lambent.cli._common import Json, completing, console, last_line, progress_bar, say


def encode(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="Folder with one folder of sound files per class, or a CSV file of path,label[,speaker[,split]].",
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT.h5", help="File to write, .h5 or .h5.gz.")],
    channels: Annotated[int, typer.Option(min=2, max=65535, help="Units along the cochlea.")] = 700,
    split: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=SHARE", help="Put a share of the words into OUT_NAME.h5; may be repeated."),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="WHAT",
            autocompletion=completing(("class", "speaker")),
            help="What a split takes: a share of each class, or whole speakers (class, speaker).  [default: class]",
        ),
    ] = None,
    duration: Annotated[
        float | None, typer.Option(help="Length of a sample [ms], cuts longer ones; that of the longest if left out.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the cochlea's noise and of the splits.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are already there.")] = False,
    as_json: Json = False,
) -> None:
    """Turn recordings into spike trains.

    Ctrl-C, then the same command again, goes on where it was.
    """
    from lambent.data import encode_recordings

    if by and not split:
        raise ValueError("--by says what a --split takes; give one, such as --split test=0.1")
    shares: dict[str, float] = {}
    for text in split or []:
        name, share = _share(text)
        if name in shares:
            raise ValueError(f"--split {name} is given twice")
        shares[name] = share
    try:
        with progress_bar("encoding") as progress:
            made = encode_recordings(
                source,
                out,
                channels,
                splits=shares,
                by=by or "class",
                duration=duration,
                seed=seed,
                overwrite=overwrite,
                progress=progress,
            )
    except KeyboardInterrupt:
        console.print("interrupted; the same command goes on")
        raise typer.Exit(130) from None
    if made.resumed:
        console.print(f"{made.resumed} files had been encoded before")
    for path, words in made.written.items():
        say(f"wrote {path}: {words} words")
    for path in sorted({*out.parent.glob(f"{out.name.split('.')[0]}_*.h5*")} - {*made.written}):
        say(f"left as it was: {path}")
    for path in made.clipped:
        say(f"clipped: {path}")
    for path, problem in made.skipped.items():
        say(f"skipped: {path}: {problem}")
    files = {str(path): words for path, words in made.written.items()}
    skipped = {str(path): problem for path, problem in made.skipped.items()}
    last_line(as_json, {"written": files, "skipped": skipped, "clipped": [str(path) for path in made.clipped]})
    if made.skipped:
        raise typer.Exit(1)


def _share(text: str) -> tuple[str, float]:
    name, _, share = text.partition("=")
    try:
        return name, float(share)
    except ValueError:
        raise ValueError(f"--split takes NAME=SHARE, such as test=0.1, not {text!r}") from None
