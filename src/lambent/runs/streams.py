"""A run on sound without end: `Ear`, whose scores go on, and how it does on recordings whose words are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from lambent.audio.sources import file_blocks
from lambent.audio.streaming import LOOKAHEAD
from lambent.encode import Cochlea
from lambent.events import Events, n_steps
from lambent.hardware.chip import StreamingChip
from lambent.layers import Stream
from lambent.layers.reducing import reduced
from lambent.machine.files import replacing
from lambent.plot.detections import detections
from lambent.runs.curve import Curve
from lambent.runs.detecting import THRESHOLDS, Detection, Detector, Rule, Smooth, keywords, matched
from lambent.runs.export import export_run, exported_network
from lambent.runs.truth import Said
from lambent.training.run import Run, damaged

WITHIN = 1.0
"""How long after its end a word may still be reported [s]."""

_HOP = 20.0  # [ms] between two scores
_BLOCK = 800.0  # [ms] of a recording at a time; a microphone's are shorter


class Scored(NamedTuple):
    """A block of a stream.

    Attributes:
        events: its spikes.
        scores: for each kind of network, (n, classes), one every `Ear.hop` ms.
    """

    events: Events
    scores: dict[str, NDArray[np.float64]]


class Ear:
    """A trained run that listens without end: networks that are never reset, and a readout that slides along.

    Every `hop` ms it has scores for the last `window` ms, what training took samples of. As the chip would: what the
    readout's units do is reduced over that window as over a sample.

    Args:
        run: a trained run.
        kinds: "float", "chip" or both; a run that was not exported is exported first.
        seed: of the cochlea's noise.

    Attributes:
        level: at which it hears. Runs that were trained with level "rms", which needs whole recordings, hear "agc".

    Raises:
        FileNotFoundError, ValueError: there is no trained run, or it cannot listen to streams.
    """

    def __init__(self, run: Run, kinds: Sequence[str] = ("float",), seed: int = 0) -> None:
        facts, self._chip, self._model = run.facts(), run.chip(), run.model()
        self.class_names: list[str] = facts["class_names"]
        self.dt: float = run.config().dt
        trained = facts.get("level") or "rms"
        self.level = "agc" if trained == "rms" else trained
        self.cochlea = Cochlea(facts["n_units"], seed=seed, level=self.level)
        self._hop = max(1, round(_HOP / self.dt))
        self._window = n_steps(facts["duration"], self.dt)
        self.hop, self.window, self.kinds = self._hop * self.dt, self._window * self.dt, tuple(kinds)
        self._network: Any = None
        if "chip" in kinds:
            if run.exported_bits() is None:
                export_run(run)
            self._network = exported_network(run)
            if not isinstance(self._chip, StreamingChip):
                raise ValueError(f"the model of {self._chip.title} runs no streams; leave it out")
            if self._network.readout is None:
                raise ValueError(f"{run.network}: has no readout to listen with")
        for block in (_BLOCK, 100.0):
            if abs(block / self.dt - round(block / self.dt)) > 1e-9:
                raise ValueError(
                    f"streams need steps that divide 100 ms, not of {self.dt:g} ms; train with --dt 1 or 2"
                )

    @torch.no_grad()
    def hear(self, blocks: Iterable[ArrayLike], rate: int, block: float = 100.0) -> Iterator[Scored]:
        """Scores of a stream as it goes on.

        Args:
            blocks, rate: see `Cochlea.stream`.
            block: how much of it at a time [ms]; scores don't depend on it but for rounding in the cochlea.
        """
        networks = {kind: self._of_chip() if kind == "chip" else self._of_float() for kind in self.kinds}
        for events in self.cochlea.stream(blocks, rate, block):
            yield Scored(events, {kind: network(events) for kind, network in networks.items()})

    def _of_float(self) -> Callable[[Events], NDArray[np.float64]]:
        stream, reduce = Stream(self._model), str(self._model[-1].reduce)
        windows = _Windows(self._window, self._hop, len(self.class_names))

        def scores(events: Events) -> NDArray[np.float64]:
            voltages = stream(events)[0].double().numpy()
            return _stacked([reduced(w.T, reduce) for w in windows(voltages)], len(self.class_names))

        return scores

    def _of_chip(self) -> Callable[[Events], NDArray[np.float64]]:
        stream, readout = self._chip.stream(self._network), self._network.readout  # type: ignore[attr-defined]
        windows = _Windows(self._window, self._hop, self._network.layers[-1].n_out)

        def score(window: NDArray[Any]) -> NDArray[np.float64]:
            return readout.scores(SimpleNamespace(**{readout.reads: (window.T[None],)}))[0]

        def scores(events: Events) -> NDArray[np.float64]:
            last = getattr(stream.run(events, (readout.reads,)), readout.reads)[-1][0]
            return _stacked([score(w) for w in windows(last.T)], len(self.class_names))

        return scores


class _Windows:
    """Windows (steps, n) that slide along blocks (any number, n) in hops, from zeros on."""

    def __init__(self, steps: int, hop: int, n: int) -> None:
        self._steps, self._hop, self._rest = steps, hop, np.zeros((steps, n))

    def __call__(self, block: NDArray[Any]) -> Iterator[NDArray[np.float64]]:
        self._rest = np.concatenate([self._rest, block])
        while len(self._rest) >= self._steps + self._hop:
            self._rest = self._rest[self._hop :]
            yield self._rest[: self._steps]


def _stacked(rows: list[NDArray[np.float64]], n: int) -> NDArray[np.float64]:
    return np.stack(rows) if rows else np.zeros((0, n))


def evaluate_streams(
    run: Run,
    recordings: Mapping[Path, Sequence[Said]],
    *,
    chip: bool = False,
    rule: Rule | None = None,
    background: Sequence[str] = (),
    within: float = WITHIN,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> dict[str, Any]:
    """Misses against false alarms an hour on long recordings; kept in the run as stream.json and detections.svg.

    Args:
        recordings: sound files, and the words in each, see `lambent.runs.truth`. Words that are none of the run's, or
            background, are not to be detected.
        chip: also with the exported network on the chip model.
        rule: smoothing and refractory time; all thresholds are tried.
        background: further classes that are no words to report.
        within: how long after its end a word may still be reported [s].
        progress: called with the number of seconds done and in all.

    Returns:
        "curves", for each kind of network one as `Curve.as_dict` gives it, "hours", "words", how many there are to
        detect, "rule", "background" and "within", and "level".

    Raises:
        OSError, ValueError: a recording cannot be read, or there is nothing to detect.
    """
    rule, ear = rule or Rule(), Ear(run, ("float", "chip") if chip else ("float",), seed)
    names, words, temperature = ear.class_names, keywords(ear.class_names, background), run.temperature()
    wanted = {n for n, own in zip(names, words, strict=True) if own}
    truths, tracks, seconds = [], [], 0.0
    lengths = {path: _seconds(path) for path in recordings}
    for path, said in recordings.items():
        if late := [s for s in said if s.end > lengths[path] + 1]:
            raise ValueError(f"{path}: lasts {lengths[path]:.1f} s, and {late[0].word!r} ends at {late[0].end:g} s")
        truths.append([s for s in said if s.word in wanted])
        smooth = {kind: Smooth(ear.hop, rule.smoothing, temperature) for kind in ear.kinds}
        track: dict[str, list[NDArray[np.float64]]] = {kind: [] for kind in ear.kinds}
        for n, scored in enumerate(ear.hear(*file_blocks(path), _BLOCK), 1):
            for kind, scores in scored.scores.items():
                track[kind].append(smooth[kind](scores))
            progress(round(min(seconds + n * _BLOCK / 1e3, seconds + lengths[path])), round(sum(lengths.values())))
        tracks.append({kind: np.concatenate(parts) for kind, parts in track.items()})
        seconds += lengths[path]
    n_words = sum(map(len, truths))
    if not n_words:
        raise ValueError(f"none of the words to detect ({', '.join(sorted(wanted))}) is said in these recordings")

    def found(kind: str, threshold: float) -> list[list[Detection]]:
        own = Rule(threshold, rule.smoothing, rule.refractory)
        return [Detector(words, own, ear.hop)(track[kind]) for track in tracks]

    curves = {
        kind: _curve(partial(found, kind), truths, list(recordings.values()), names, within, seconds / 3600)
        for kind in ear.kinds
    }
    values = {
        "curves": {kind: curve.as_dict() for kind, curve in curves.items()},
        "hours": seconds / 3600,
        "words": n_words,
        "rule": asdict(rule),
        "background": list(background),
        "within": within,
        "level": ear.level,
    }
    run.write_json("stream.json", values)
    _draw(curves, run.path("detections.svg"))
    return values


def _draw(curves: Mapping[str, Curve], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8, 3.4), layout="constrained")
    detections(curves, figure.subplots())
    with replacing(path) as temporary:
        figure.savefig(temporary, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))


def _seconds(path: Path) -> float:
    blocks, rate = file_blocks(path)
    return sum(map(len, blocks)) / rate


def _curve(
    found: Callable[[float], list[list[Detection]]],
    truths: Sequence[Sequence[Said]],
    all_said: Sequence[Sequence[Said]],
    names: Sequence[str],
    within: float,
    hours: float,
) -> Curve:
    misses, false_alarms, unprompted, latency = [], [], [], []
    for threshold in THRESHOLDS:
        parts = [matched(f, t, names, within) for f, t in zip(found(threshold), truths, strict=True)]
        misses.append(sum(len(p.missed) for p in parts) / sum(map(len, truths)))
        false_alarms.append(sum(len(p.false) for p in parts) / hours)
        alone = [
            not any(s.start <= d.time <= s.end + within for s in said)
            for p, said in zip(parts, all_said, strict=True)
            for d in p.false
        ]
        unprompted.append(sum(alone) / hours)
        late = [1e3 * (detection.time - said.end) + LOOKAHEAD for p in parts for detection, said in p.hits]
        latency.append(float(np.median(late)) if late else float("nan"))
    return Curve(THRESHOLDS.tolist(), misses, false_alarms, unprompted, latency)


def kept_curves(run: Run) -> dict[str, Curve]:
    """The curves of the last evaluation on streams, for each kind of network; none without one.

    Raises:
        ValueError: stream.json is damaged.
    """
    if not run.path("stream.json").exists():
        return {}
    with damaged(run.path("stream.json")):
        return {kind: Curve.from_dict(values) for kind, values in run.read_json("stream.json")["curves"].items()}


def rule_at(run: Run, kind: str, false_alarms: float) -> tuple[Rule, list[str]]:
    """When to report a word so that there are at most so many false alarms an hour, by the last evaluation on streams.

    Returns:
        The rule, and the further classes that are no words to report.

    Raises:
        ValueError: there was no such evaluation, or the network has more at every threshold.
    """
    how = f"lambent evaluate {run.folder} RECORDINGS --stream{' --chip' if kind == 'chip' else ''}"
    curve = kept_curves(run).get(kind)
    if curve is None:
        raise ValueError(f"{run.folder}: was not evaluated on streams, which tells its operating points: {how}")
    point = curve.at(false_alarms)
    if point is None:
        raise ValueError(
            f"{run.folder}: has more than {false_alarms:g} false alarms an hour at every threshold, "
            f"{curve.false_alarms[-1]:.3g} at the highest"
        )
    kept = run.read_json("stream.json")
    with damaged(run.path("stream.json")):
        return Rule(**(kept["rule"] | {"threshold": point["threshold"]})), list(kept["background"])
