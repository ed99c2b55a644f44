"""`Evaluation`: what a trained run did on test data, as floats, with quantised parameters, and on the chip model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lambent.data import SpikeDataset
from lambent.events import Events
from lambent.machine.files import most_packed, open_file, replacing
from lambent.machine.showing import Short
from lambent.training.confidence import confidence
from lambent.training.run import Run

KINDS = ("float", "quantised", "chip")


@dataclass(frozen=True, eq=False)
class Course(Short):
    """What the float network answers while it hears, for some of the samples.

    Attributes:
        times: (k,) ms heard, rising.
        samples: (s,) places of the samples in the data.
        answers: (s, k) the class that leads when so much was heard.
    """

    times: np.ndarray
    samples: np.ndarray
    answers: np.ndarray


@dataclass(frozen=True, eq=False)
class Evaluation(Short):
    """Class scores on test data.

    Attributes:
        data: where the data came from.
        labels: (n,) true classes.
        scores: for each of "float", "quantised", "chip" that was run, (n, classes).
        rates: for each hidden layer of the float network, mean spikes per unit, (units,).
        samples: some samples of the data, to be shown.
        shown: (samples,) their places in the data.
        speakers: (n,) who spoke, or None.
        files: the file that each sample was made of, or None.
        course: what the float network answers while it hears, or None.
        checksum: of the data, to tell data sets apart; None where it is not known.
    """

    data: str
    labels: np.ndarray
    scores: dict[str, np.ndarray]
    rates: list[np.ndarray]
    samples: Events
    shown: np.ndarray
    speakers: np.ndarray | None = None
    files: list[str] | None = None
    course: Course | None = None
    checksum: int | None = None

    @property
    def deployed(self) -> str:
        """The kind of network that is closest to what will be used: the chip's where it was run, else the float one."""
        return "chip" if "chip" in self.scores else "float"

    def predictions(self, kind: str) -> np.ndarray:
        """(n,) predicted classes."""
        return self.scores[kind].argmax(1)

    def confidence(self, kind: str, temperature: float = 1.0) -> np.ndarray:
        """(n,) probability of the predicted class, softmax of scores / temperature; 0 where these are not finite."""
        with np.errstate(invalid="ignore"):
            return np.nan_to_num(confidence(self.scores[kind], temperature).max(1))

    def accuracy(self, kind: str) -> float:
        """Share of samples that are recognised."""
        return float((self.predictions(kind) == self.labels).mean())

    def recall(self, kind: str) -> np.ndarray:
        """(classes,) share of each class's samples that are recognised; NaN where there are none."""
        n = self.scores[kind].shape[1]
        of = np.bincount(self.labels, minlength=n)
        right = np.bincount(self.labels[self.predictions(kind) == self.labels], minlength=n)
        return np.divide(right, of, out=np.full(n, np.nan), where=of > 0)

    def agreement(self) -> float:
        """Share of samples on which float network and chip agree."""
        return float((self.predictions("float") == self.predictions("chip")).mean())

    def summary(self) -> dict[str, float | int]:
        """The figures, as `lambent evaluate --json` prints them."""
        out: dict[str, float | int] = {"accuracy": self.accuracy("float"), "n": len(self.labels)}
        out |= {f"accuracy_{kind}": self.accuracy(kind) for kind in ("quantised", "chip") if kind in self.scores}
        if "chip" in self.scores:
            out["agreement"] = self.agreement()
        return out

    def classes(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """For each class its name, its number of samples `n`, and its recall for each kind that was run."""
        counts = np.bincount(self.labels, minlength=len(names)).tolist()
        recalls = {kind: self.recall(kind).tolist() for kind in KINDS if kind in self.scores}
        return [
            {"class": name, "n": counts[c], **{kind: recall[c] for kind, recall in recalls.items()}}
            for c, name in enumerate(names)
        ]

    def save(self, path: Path) -> None:
        """Write an .npz file."""
        samples = self.samples
        arrays = {f"scores_{kind}": s for kind, s in self.scores.items()}
        arrays |= {f"rates_{i}": r for i, r in enumerate(self.rates)}
        optional = {
            "sample_values": None if samples.values is None else samples.values.numpy(),
            "speakers": self.speakers,
            "files": None if self.files is None else np.frombuffer(json.dumps(self.files).encode(), np.uint8),
            "checksum": None if self.checksum is None else np.array(self.checksum, np.int64),
        }
        if self.course is not None:
            optional |= {f"course_{name}": x for name, x in vars(self.course).items()}
        arrays |= {name: x for name, x in optional.items() if x is not None}
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                data=self.data,
                labels=self.labels,
                sample_times=samples.times.numpy(),
                sample_units=samples.units.numpy(),
                sample_offsets=samples.offsets.numpy(),
                sample_shape=np.array([samples.n_units, samples.duration]),
                shown=self.shown,
                **arrays,  # type: ignore[arg-type]
            )

    @classmethod
    def load(cls, path: Path) -> Evaluation:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError, ValueError: it is missing or damaged.
        """
        try:
            with open_file(path) as file, np.load(file) as z:
                if sum(part.file_size for part in z.zip.infolist()) > most_packed(file):
                    raise ValueError("it claims to hold far more than its size")
                return cls._from_arrays(z)
        except FileNotFoundError:
            raise
        except Exception as error:
            raise ValueError(f"{path}: damaged evaluation; evaluate again ({error})") from error

    @classmethod
    def _from_arrays(cls, z: Mapping[str, np.ndarray]) -> Evaluation:
        labels, scores = z["labels"], {kind: z[f"scores_{kind}"] for kind in KINDS if f"scores_{kind}" in z}
        classes = scores["float"].shape[1]  # a KeyError where they are missing
        if any(x.dtype.kind != "f" for x in scores.values()):
            raise ValueError("scores are no numbers")
        if any(x.shape != (len(labels), classes) for x in scores.values()) or labels.ndim != 1 or len(labels) == 0:
            raise ValueError("scores and labels do not fit each other")
        if labels.dtype.kind not in "iu" or not 0 <= labels.min() <= labels.max() < classes:
            raise ValueError("labels are no classes")
        times = torch.from_numpy(z["sample_times"])
        older = "shown" not in z  # whose one sample was the first
        offsets, shown = ([0, len(times)], np.zeros(1, np.int64)) if older else (z["sample_offsets"], z["shown"])
        n_units, duration = z["sample_shape"]
        values = torch.from_numpy(z["sample_values"]) if "sample_values" in z else None
        units = torch.from_numpy(z["sample_units"])
        samples = Events(times, units, torch.as_tensor(offsets), int(n_units), duration, values)
        if shown.shape != (len(samples),) or not _within(shown, len(labels)):
            raise ValueError("shown are no samples")
        return cls(
            data=str(z["data"]),
            labels=labels,
            scores=scores,
            rates=[z[f"rates_{i}"] for i in range(sum(name.startswith("rates_") for name in z))],
            samples=samples,
            shown=shown,
            speakers=_speakers(z, len(labels)),
            files=_files(z, len(labels)),
            course=_course(z, len(labels), classes),
            checksum=int(z["checksum"]) if "checksum" in z else None,
        )


def _within(x: np.ndarray, n: int) -> bool:
    """Whether these are whole numbers in [0, n)."""
    return x.dtype.kind in "iu" and bool(((x >= 0) & (x < n)).all())


def _speakers(z: Mapping[str, np.ndarray], n: int) -> np.ndarray | None:
    if "speakers" not in z:
        return None
    if z["speakers"].shape != (n,) or z["speakers"].dtype.kind not in "iu":
        raise ValueError("speakers are not a number for each sample")
    return z["speakers"]


def _files(z: Mapping[str, np.ndarray], n: int) -> list[str] | None:
    if "files" not in z:
        return None
    files = json.loads(z["files"].tobytes())
    if not isinstance(files, list) or len(files) != n or not all(isinstance(name, str) for name in files):
        raise ValueError("files are not a name for each sample")
    return files


def _course(z: Mapping[str, np.ndarray], n: int, classes: int) -> Course | None:
    if "course_times" not in z:
        return None
    course = Course(z["course_times"], z["course_samples"], z["course_answers"])
    times, samples, answers = course.times, course.samples, course.answers
    fit = times.ndim == samples.ndim == 1 and answers.shape == (len(samples), len(times)) and answers.size
    if not (fit and times.dtype.kind == "f" and np.isfinite(times).all() and (np.diff(times, prepend=0.0) > 0).all()):
        raise ValueError("times heard do not fit the answers")
    if not (_within(samples, n) and _within(answers, classes)):
        raise ValueError("answers to what was heard are no classes")
    return course


def load_test_data(run: Run, path: str | Path, *, crop: bool = False, time_unit: str | None = None) -> SpikeDataset:
    """Read test data for a run: same duration, units, classes and kind of spikes as its training data.

    Raises:
        ValueError: others, or spikes past the run's duration (and not `crop`).
    """
    facts = run.facts()
    data = SpikeDataset.from_shd(path, facts["duration"], facts["n_units"], time_unit=time_unit, crop=crop)
    match_values(data, facts.get("graded"), str(path))
    return match_classes(data, facts["class_names"], str(path))


def match_values(data: SpikeDataset, graded: bool | None, source: str) -> None:
    """Raise ValueError if the spikes of `data` carry values and those trained on did not, or the other way round.

    Args:
        graded: whether those trained on did; None where that is not known, of older runs.
    """
    if graded is not None and graded != (data.values is not None):
        carry = ("carry no values", "carry values (spikes/values)")
        raise ValueError(f"{source}: its spikes {carry[not graded]}, those trained on {carry[graded]}")


def numbering(data: SpikeDataset, names: list[str], source: str) -> str:
    """What to say where the classes of `data` are only numbered and those trained on have `names`; else nothing."""
    if data.class_names == names[: data.n_classes]:
        return ""
    return f"{source}: its classes are only numbered; taken as those trained on: 0 is {names[0]!r} and so on"


def match_classes(data: SpikeDataset, names: list[str], source: str) -> SpikeDataset:
    """`data`, if its classes are `names`, or the first of them; or if either are only numbered, and no more than these.

    Raises:
        ValueError: it has other classes.
    """
    n = data.n_classes
    numbers = [str(c) for c in range(n)]
    if data.class_names != names[:n] and not (n <= len(names) and data.class_names == numbers):
        raise ValueError(f"{source}: classes {data.class_names} are not those trained on, {names}")
    return data
