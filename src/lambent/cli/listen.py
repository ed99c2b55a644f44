"""`lambent listen`: what a trained network hears."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from lambent.cli._common import Background, Folder, Json, Refractory, Smoothing, console, last_line, rule_of, say

_THRESHOLD = 0.8


def listen(
    run: Folder,
    files: Annotated[list[Path] | None, typer.Argument(metavar="FILES", help="Sound files, a word each.")] = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="Files are streams: report the words in them as they come.")
    ] = False,
    microphone: Annotated[
        bool, typer.Option("--microphone", help="Listen to the default microphone until Ctrl-C.")
    ] = False,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help=f"Confidence from which a word is reported in a stream.  [default: {_THRESHOLD:g}]",
            show_default=False,
        ),
    ] = None,
    operating_point: Annotated[
        str | None,
        typer.Option(
            metavar="N/h",
            help="In place of it: that with at most so many false alarms an hour, such as 1/h, by the last "
            "lambent evaluate --stream, whose smoothing and refractory time it takes, too.",
        ),
    ] = None,
    smoothing: Smoothing = None,
    refractory: Refractory = None,
    background: Background = None,
    out: Annotated[
        Path | None, typer.Option(help="HTML page of the spikes to write; RUN/listen.html where left out.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the cochlea's noise.")] = 0,
    as_json: Json = False,
) -> None:
    """Classify sound files, or report the words in streams.

    Files are heard in float and, if the run was exported, on the chip model. On a stream the network, of the chip model
    if the run was exported, runs on and on.
    """
    from rich.markup import escape
    from rich.table import Table

    from lambent.audio.sources import MICROPHONE_RATE, file_blocks, microphone_blocks
    from lambent.encode import read_audio
    from lambent.runs.curve import parse_rate
    from lambent.runs.listen import PICTURES, Heard, Listener
    from lambent.runs.streams import Ear, rule_at
    from lambent.training.run import Run

    if bool(files) == microphone:
        raise ValueError("listen takes sound files or --microphone")
    going_on = stream or microphone
    own = {"threshold": threshold, "smoothing": smoothing, "refractory": refractory, "background": background}
    given = [name for name, value in own.items() if value]
    if (given or operating_point) and not going_on:
        raise ValueError(f"--{(*given, 'operating-point')[0]} is for --stream and --microphone")
    if operating_point and given:
        raise ValueError(f"--operating-point says when words are reported; drop --{given[0]}")
    there = Run(run)
    listener = Listener(there, seed)
    if going_on:
        kind = "chip" if listener.network is not None else "float"
        rule, aside = rule_of(_THRESHOLD if threshold is None else threshold, smoothing, refractory), background or []
        if operating_point:
            rule, aside = rule_at(there, kind, parse_rate(operating_point))
            say(f"threshold {rule.threshold:.4g}, by {there.path('stream.json')}")
        ear = Ear(there, (kind,), seed)
        if ear.level != listener.cochlea.level:
            say(f"a stream cannot be heard at level {listener.cochlea.level}, as trained: heard at {ear.level}")
    heard: list[Heard] = []
    reported: list[dict[str, Any]] = []
    failed: dict[str, str] = {}

    def listen_to(blocks: Any, rate: int, name: str) -> None:
        for found, word in listener.stream(blocks, rate, ear, rule, aside):
            heard.append(replace(word, name=f"{name} at {word.name}"))
            del heard[:-PICTURES]
            class_name = listener.class_names[found.word]
            say(f"{name} at {found.time:.2f} s: {class_name} ({100 * found.confidence:.1f} %)")
            reported.append({"file": name, "time": found.time, "word": class_name, "confidence": found.confidence})

    if microphone:
        console.print("listening; Ctrl-C ends")
        with suppress(KeyboardInterrupt):
            listen_to(microphone_blocks(), MICROPHONE_RATE, "microphone")
    for path in files or []:
        try:
            if stream:
                before = len(reported)
                listen_to(*file_blocks(path), str(path))
                if len(reported) == before:
                    say(f"{path}: no word")
            else:
                heard.append(listener.hear(*read_audio(path), str(path)))
        except (OSError, ValueError) as error:
            failed[str(path)] = str(error).removeprefix(f"{path}: ")
    if heard and not going_on:
        kinds = list(heard[0].confidence)
        table = Table("file", *(cell for kind in kinds for cell in (kind, "confidence")))
        for word in heard:
            cells = [(word.answer(kind), f"{100 * p.max():.1f} %") for kind, p in word.confidence.items()]
            name = f"{word.name} (cut at {listener.duration:g} ms)" if word.cut else word.name
            table.add_row(escape(name), *(escape(x) for cell in cells for x in cell))
        console.print(table)
    page = None
    if heard:
        page = out or there.path("listen.html")
        listener.write_page(heard[-PICTURES:], page)
        say(f"spikes through the layers: {page}")
    for name, problem in failed.items():
        print(f"error: {name}: {problem}", file=sys.stderr)
    said = reported if going_on else [w.summary() for w in heard]
    last_line(as_json, {"heard": said, "failed": failed, "page": page and str(page)})
    if failed:
        raise typer.Exit(1)
