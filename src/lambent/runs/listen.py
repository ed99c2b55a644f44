"""`Listener`: what a trained run hears in a recording, in float and on the chip model."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lambent.audio.words import cut_words
from lambent.encode import Cochlea
from lambent.events import Events
from lambent.machine.files import replacing
from lambent.machine.showing import Short
from lambent.report.html import render_traces
from lambent.runs.export import exported_network
from lambent.runs.report import sample_trace
from lambent.training.run import Run

PICTURES = 6
"""Words that a page shows at most, the last ones."""


@dataclass(frozen=True, eq=False)
class Heard(Short):
    """A recording and what the networks made of it.

    Attributes:
        name: what the recording is called.
        events: its spikes, a batch of one.
        confidence: for "float" and, if the run was exported, "chip": (classes,), the softmax that training used.
        class_names: the classes.
        cut: whether the sound was longer than the samples that the run was trained on.
    """

    name: str
    events: Events
    confidence: dict[str, NDArray[np.float64]]
    class_names: Sequence[str]
    cut: bool

    def answer(self, kind: str) -> str:
        """The class that the network of this kind hears."""
        return self.class_names[int(self.confidence[kind].argmax())]

    def summary(self) -> dict[str, str | float | int]:
        """The figures, as `lambent listen --json` prints them."""
        out: dict[str, str | float | int] = {"file": self.name, "spikes": len(self.events.times), "cut": self.cut}
        for kind, confidence in self.confidence.items():
            out |= {kind: self.answer(kind), f"confidence_{kind}": float(confidence.max())}
        return out


class Listener:
    """A trained run with an ear.

    Recordings are encoded by a `Cochlea` with as many channels as the network has inputs, at the level that the
    training data were encoded with; what lies past the duration that the run was trained with is cut off.

    Args:
        run: a trained run; with an exported network, the chip model answers too.
        seed: of the cochlea's noise.

    Attributes:
        loudest: level of the loudest 20 ms so far of the stream that is, or was last, heard.

    Raises:
        FileNotFoundError, ValueError: there is no trained run, or its files are damaged.
    """

    def __init__(self, run: Run, seed: int = 0) -> None:
        facts = run.facts()
        self.model = run.model()
        self.chip = run.chip()
        self.network = exported_network(run) if run.exported_bits() is not None else None
        self.name = run.name
        self.class_names: list[str] = facts["class_names"]
        self.duration: float = facts["duration"]
        self.cochlea = Cochlea(facts["n_units"], seed=seed, level=facts.get("level") or "rms")
        self.loudest = 0.0

    @torch.no_grad()
    def hear(self, audio: NDArray[Any], sampling_rate: int, name: str = "recording") -> Heard:
        """Encode and classify a recording (samples,); errors are those of `Cochlea`."""
        events = self.cochlea(audio, sampling_rate, self.duration, crop=True)
        scores = {"float": self.model(events)[0].double().numpy()}
        if self.network is not None and (readout := self.network.readout):
            scores["chip"] = readout.scores(self.chip.run(self.network, events, (readout.reads,)))[0]
        confidence = {kind: _softmax(s) for kind, s in scores.items()}
        cut = 1e3 * len(audio) / sampling_rate > self.duration
        return Heard(name, events, confidence, self.class_names, cut)

    def stream(self, blocks: Iterable[NDArray[np.floating]], rate: int, level: float) -> Iterator[Heard]:
        """Hear every word of a stream of sound as it ends, see `lambent.audio.words.cut_words`."""
        self.loudest = 0.0

        def notice(here: float) -> None:
            self.loudest = max(self.loudest, here)

        for start, audio in cut_words(blocks, rate, level, self.duration / 1e3, notice):
            yield self.hear(audio, rate, f"{start:.2f} s")

    def write_page(self, heard: Sequence[Heard], path: Path) -> None:
        """Write an HTML page with the spikes of each recording through the layers."""
        traces = []
        for word in heard:
            answers = [f"{kind}: {word.answer(kind)}, {100 * p.max():.1f} %" for kind, p in word.confidence.items()]
            trace = sample_trace(self.model, self.chip, self.network, word.events)
            traces.append((word.name, "; ".join(answers), trace))
        created = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
        with replacing(path) as temporary:
            temporary.write_text(
                render_traces(f"What {self.name} heard", created, traces, self.class_names), encoding="utf-8"
            )


def _softmax(x: NDArray[np.float64]) -> NDArray[np.float64]:
    e = np.exp(x - x.max())
    return e / e.sum()
