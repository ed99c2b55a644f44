"""`Listener`: what a trained run hears in a recording, in float and on the chip model, and in streams."""

from __future__ import annotations

import datetime
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lambent.encode import Cochlea
from lambent.events import Events
from lambent.machine.files import replacing
from lambent.machine.showing import Short
from lambent.report.html import render_traces
from lambent.runs.detecting import Detection, Detector, Rule, Smooth, keywords
from lambent.runs.export import exported_network
from lambent.runs.report import sample_trace
from lambent.runs.streams import Ear
from lambent.training.confidence import confidence
from lambent.training.run import Run

PICTURES = 6
"""Words that a page shows at most, the last ones."""


@dataclass(frozen=True, eq=False)
class Heard(Short):
    """A recording and what the networks made of it.

    Attributes:
        name: what the recording is called.
        events: its spikes, a batch of one.
        confidence: for "float" and, if the run was exported, "chip": (classes,), the softmax that training used, with
            the temperature that validation samples gave; on a stream, of the network that listened.
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
        for kind, p in self.confidence.items():
            out |= {kind: self.answer(kind), f"confidence_{kind}": float(p.max())}
        return out


class Listener:
    """A trained run with an ear.

    Recordings are encoded by a `Cochlea` with as many channels as the network has inputs, at the level that the
    training data were encoded with; what lies past the duration that the run was trained with is cut off.

    Args:
        run: a trained run; with an exported network, the chip model answers too.
        seed: of the cochlea's noise.

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
        self.temperature = run.temperature()

    @torch.no_grad()
    def hear(self, audio: NDArray[Any], sampling_rate: int, name: str = "recording") -> Heard:
        """Encode and classify a recording (samples,); errors are those of `Cochlea`."""
        events = self.cochlea(audio, sampling_rate, self.duration, crop=True)
        scores = {"float": self.model(events)[0].double().numpy()}
        if self.network is not None and (readout := self.network.readout):
            scores["chip"] = readout.scores(self.chip.run(self.network, events, (readout.reads,)))[0]
        sure = {kind: confidence(s, self.temperature) for kind, s in scores.items()}
        cut = 1e3 * len(audio) / sampling_rate > self.duration
        return Heard(name, events, sure, self.class_names, cut)

    def stream(
        self, blocks: Iterable[NDArray[Any]], rate: int, ear: Ear, rule: Rule, background: Sequence[str] = ()
    ) -> Iterator[tuple[Detection, Heard]]:
        """Hear the words of a stream of sound as they are reported, by one kind of network that is never reset.

        Args:
            blocks, rate: see `Cochlea.stream`.
            ear: of this run, with one kind of network.
            rule, background: what is reported, see `lambent.runs.detecting`.
        """
        kind, words = ear.kinds[0], keywords(self.class_names, background)
        smooth, detector = Smooth(ear.hop, rule.smoothing, self.temperature), Detector(words, rule, ear.hop)
        last = _Recent(ear.window, self.cochlea.channels)
        for scored in ear.hear(blocks, rate):
            last.add(scored.events)
            sure = smooth(scored.scores[kind])
            first = detector.heard
            for detection in detector(sure):
                at = round(1e3 * detection.time / ear.hop) - 1 - first
                events = last.until(1e3 * detection.time)
                yield detection, Heard(f"{detection.time:.2f} s", events, {kind: sure[at]}, self.class_names, False)

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


class _Recent:
    """The last events of a stream, for `window` ms of it."""

    def __init__(self, window: float, n_units: int) -> None:
        self._window, self._n_units, self._end = window, n_units, 0.0
        self._blocks: deque[tuple[float, Events]] = deque()

    def add(self, events: Events) -> None:
        self._blocks.append((self._end, events))
        self._end += events.duration
        while self._blocks[0][0] + self._blocks[0][1].duration < self._end - events.duration - self._window:
            self._blocks.popleft()

    def until(self, end: float) -> Events:
        """What was heard in the window that ends at `end` [ms]."""
        start = end - self._window
        times = torch.cat([events.times.double() + at - start for at, events in self._blocks])
        units = torch.cat([events.units for _, events in self._blocks])
        own = (times >= 0) & (times < self._window)
        return Events.from_lists([times[own]], [units[own]], self._n_units, self._window)
