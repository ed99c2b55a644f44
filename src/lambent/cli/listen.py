"""`lambent listen`: what a trained network hears."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from lambent.cli._common import Folder, Json, console, last_line, say


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
    """Classify sound files, or what a microphone hears.

    In float and, if the run was exported, on the chip model.
    """
    from rich.markup import escape
    from rich.table import Table

    from lambent.audio.words import MICROPHONE_RATE, file_blocks, microphone_blocks
    from lambent.encode import read_audio
    from lambent.runs.listen import PICTURES, Heard, Listener
    from lambent.training.run import Run

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
