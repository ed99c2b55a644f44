"""`lambent encode`: recordings as spike trains."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from lambent.cli._common import Json, completing, console, last_line, progress_bar, say

_SHOWN = 20  # files of one kind that are listed, at most; --json has them all


def encode(
    places: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[SOURCE] OUT.h5",
            help="SOURCE: a folder with one folder of sound files per class, or a CSV file with a heading such as "
            "file,label,speaker,split. Its own splits, of such a column, of validation_list.txt and testing_list.txt, "
            "or of train.csv, val.csv and test.csv in the folder, are kept. With --train: the folder that paths in the "
            "tables start from, if it is not that of each table. OUT.h5: the file to write, .h5 or .h5.gz; further "
            "splits go to OUT_test.h5 and so on.",
        ),
    ] = None,
    train: Annotated[Path | None, typer.Option(metavar="CSV", help="Table of the training data alone.")] = None,
    valid: Annotated[Path | None, typer.Option(metavar="CSV", help="Table of validation data: OUT_valid.h5.")] = None,
    test: Annotated[Path | None, typer.Option(metavar="CSV", help="Table of test data: OUT_test.h5.")] = None,
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
    speaker_pattern: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="Where the speaker stands in CLASS/FILE or in a table's path: a regular expression with one group, "
            "such as '/(\\d+)_' for yes/0012_3.wav.",
        ),
    ] = None,
    duration: Annotated[
        float | None, typer.Option(help="Length of a sample [ms], cuts longer ones; that of the longest if left out.")
    ] = None,
    level: Annotated[
        str,
        typer.Option(
            metavar="LEVEL",
            autocompletion=completing(("rms", "recorded", "agc")),
            help="Level at which recordings are heard: rms, all at one, as published; recorded, their own, or "
            "recorded:DB with a gain; agc, by a slow gain control. Streams can be heard at the last two only.",
        ),
    ] = "rms",
    renditions: Annotated[
        int,
        typer.Option(min=1, help="How often each word to train on is encoded: once as it is, then with other noise."),
    ] = 1,
    snr: Annotated[
        str | None,
        typer.Option(metavar="LOW:HIGH", help="Signal-to-noise ratio of further renditions, drawn from a range [dB]."),
    ] = None,
    noise: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Recordings of noise for them; pink noise if left out."),
    ] = None,
    loudness: Annotated[
        str | None,
        typer.Option(metavar="LOW:HIGH", help="Change of their level, drawn from a range [dB]; not with --level rms."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the cochlea's noise, the splits and the renditions.")] = 0,
    jobs: Annotated[
        int | None,
        typer.Option(help="Encode in so many processes of joblib, -1: as many as there are, in place of threads."),
    ] = None,
    backend: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            autocompletion=completing(("loky", "dask", "ray")),
            help="Of joblib, for --jobs: loky, this machine; dask, the cluster whose scheduler DASK_SCHEDULER_ADDRESS "
            "names; ray, that of RAY_ADDRESS.",
        ),
    ] = "loky",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are already there.")] = False,
    as_json: Json = False,
) -> None:
    """Turn recordings into spike trains.

    Ctrl-C, then the same command again, goes on where it was.
    """
    from lambent.data import Renditions, encode_recordings

    tables = {name: path for name, path in (("train", train), ("valid", valid), ("test", test)) if path is not None}
    if tables and train is None:
        raise ValueError("--valid and --test go with --train")
    if not places or len(places) > 2 or not (len(places) == 2 or tables):
        raise ValueError("encode takes SOURCE OUT.h5, or OUT.h5 and --train with a table")
    *source, out = places
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
                tables or source[0],
                out,
                channels,
                root=source[0] if tables and source else None,
                speaker_pattern=speaker_pattern,
                splits=shares,
                by=by or "class",
                duration=duration,
                level=level,
                renditions=Renditions(renditions, _range("--snr", snr), noise, _range("--loudness", loudness)),
                seed=seed,
                overwrite=overwrite,
                jobs=jobs,
                backend=backend,
                notice=say,
                progress=progress,
            )
    except KeyboardInterrupt:
        console.print("interrupted; the same command goes on")
        raise typer.Exit(130) from None
    if made.resumed:
        console.print(f"{made.resumed} words had been encoded before")
    for path, words in made.written.items():
        say(f"wrote {path}: {words} words")
    for path in sorted({*out.parent.glob(f"{out.name.split('.')[0]}_*.h5*")} - {*made.written}):
        say(f"left as it was: {path}")
    if made.identical:
        apart = f", {len(made.apart)} of them as one of another split" * bool(made.apart)
        say(f"{len(made.identical)} recordings sound exactly as another{apart}")
    _list("in two splits", [f"{path} and {other}" for path, other in made.apart.items()])
    _list("no spikes", made.silent)
    _list("clipped", made.clipped)
    _list("skipped", [f"{path}: {problem}" for path, problem in made.skipped.items()])
    found = {
        "written": {str(path): words for path, words in made.written.items()},
        "skipped": {str(path): problem for path, problem in made.skipped.items()},
        "clipped": [str(path) for path in made.clipped],
    }
    more = {
        "silent": [str(path) for path in made.silent],
        "identical": {str(path): str(other) for path, other in made.identical.items()},
        "apart": {str(path): str(other) for path, other in made.apart.items()},
        "notes": made.notes,
    }
    last_line(as_json, found | {name: what for name, what in more.items() if what})
    if made.skipped:
        raise typer.Exit(1)


def _list(what: str, found: Sequence[object]) -> None:
    for x in found[:_SHOWN]:
        say(f"{what}: {x}")
    if len(found) > _SHOWN:
        say(f"{what}: {len(found) - _SHOWN} more, which --json names")


def _share(text: str) -> tuple[str, float]:
    name, _, share = text.partition("=")
    try:
        return name, float(share)
    except ValueError:
        raise ValueError(f"--split takes NAME=SHARE, such as test=0.1, not {text!r}") from None


def _range(option: str, text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    low, _, high = text.partition(":")
    try:
        return float(low), float(high or low)
    except ValueError:
        raise ValueError(f"{option} takes LOW:HIGH, such as 10:30, not {text!r}") from None
