"""`lambent encode | listen`: recordings."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from lambent.audio.words import MICROPHONE_RATE, file_blocks, microphone_blocks
from lambent.cli._common import Folder, Json, console, last_line, progress_bar, say
from lambent.data import encode_recordings
from lambent.encode import read_audio
from lambent.training import Run


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
        typer.Option(metavar="WHAT", help="What a split takes: a share of each class, or whole speakers.  [class]"),
    ] = None,
    duration: Annotated[
        float | None, typer.Option(help="Length of a sample [ms], cuts longer ones; that of the longest if left out.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the cochlea's noise and of the splits.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are already there.")] = False,
    as_json: Json = False,
) -> None:
    """Turn recordings into spike trains; Ctrl-C, then the same command again, goes on where it was."""
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


def listen(
    run: Folder,
    files: Annotated[list[Path] | None, typer.Argument(metavar="FILES", help="Sound files, a word each.")] = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="Cut the files into words at the silence between them.")
    ] = False,
    microphone: Annotated[
        bool, typer.Option("--microphone", help="Listen to the default microphone until Ctrl-C.")
    ] = False,
    level: Annotated[float, typer.Option(min=0, help="Level (root mean square) from which a stream is loud.")] = 0.01,
    out: Annotated[
        Path | None, typer.Option(help="HTML page of the spikes to write; RUN/listen.html where left out.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the cochlea's noise.")] = 0,
    as_json: Json = False,
) -> None:
    """Classify sound files, or what a microphone hears, in float and, if the run was exported, on the chip model."""
    from lambent.runs.listen import PICTURES, Heard, Listener

    if bool(files) == microphone:
        raise ValueError("listen takes sound files or --microphone")
    listener = Listener(Run(run), seed)
    heard: list[Heard] = []
    failed: dict[str, str] = {}

    def listen_to(blocks: Any, rate: int, name: str) -> None:
        for word in listener.stream(blocks, rate, level):
            heard.append(replace(word, name=f"{name} at {word.name}"))
            answers = [f"{kind} {word.answer(kind)} ({100 * p.max():.1f} %)" for kind, p in word.confidence.items()]
            say(f"{heard[-1].name}: {', '.join(answers)}")

    if microphone:
        console.print("listening; Ctrl-C ends")
        with suppress(KeyboardInterrupt):
            listen_to(microphone_blocks(), MICROPHONE_RATE, "microphone")
    for path in files or []:
        try:
            if stream:
                before = len(heard)
                listen_to(*file_blocks(path), str(path))
                if len(heard) == before:
                    say(f"{path}: no word; its loudest 20 ms have level {listener.loudest:.3g}, --level is {level:g}")
            else:
                heard.append(listener.hear(*read_audio(path), str(path)))
        except (OSError, ValueError) as error:
            failed[str(path)] = str(error).removeprefix(f"{path}: ")
    if heard and not (stream or microphone):
        kinds = list(heard[0].confidence)
        table = Table("file", *(cell for kind in kinds for cell in (kind, "confidence")))
        for word in heard:
            cells = [(word.answer(kind), f"{100 * p.max():.1f} %") for kind, p in word.confidence.items()]
            name = f"{word.name} (cut at {listener.duration:g} ms)" if word.cut else word.name
            table.add_row(escape(name), *(escape(x) for cell in cells for x in cell))
        console.print(table)
    page = None
    if heard:
        page = out or Run(run).path("listen.html")
        listener.write_page(heard[-PICTURES:], page)
        say(f"spikes through the layers: {page}")
    for name, problem in failed.items():
        print(f"error: {name}: {problem}", file=sys.stderr)
    last_line(as_json, {"heard": [w.summary() for w in heard], "failed": failed, "page": page and str(page)})
    if failed:
        raise typer.Exit(1)
