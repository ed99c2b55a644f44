"""Claim: words of new voices in a stream with 10 dB of noise: at most 15 % are missed at 1 false alarm an hour.

Makes streams from test words: words of the classes to detect and unknown ones, at pauses of 0.5 to 4 s, in noise that
goes on, at a given ratio of the words' power to the noise's. Then `lambent evaluate RUN STREAMS --stream --chip`.

    python benchmarks/streams.py RUN TEST.csv [--root FOLDER] [--noise FOLDER] [--snr 10] [--hours 1] [--out streams]

TEST.csv is a table of recordings as `lambent encode` reads it, with the classes of the run; the noise is that of the
folder, pink without one. Words come in random order, all of them before any comes again, with a level that differs by
up to 6 dB. Streams that are there are not made again. `--smoke` does it with beeps.
"""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

import lambent as lb
from _common import arguments, show
from lambent.audio.reading import resample
from lambent.data.renditions import _excerpt, _pink
from lambent.encode import read_audio
from lambent.runs.curve import Curve
from lambent.runs.detecting import Rule, keywords
from lambent.runs.streams import evaluate_streams
from lambent.runs.train import load_training_data, train_run
from lambent.runs.truth import find_recordings
from lambent.training import Config, Run

RATE = 16000
PIECE = 600.0  # seconds of a stream
PAUSE = (0.5, 4.0)  # [s]
LOUDNESS = 6.0  # [dB] either way
LEVEL = 0.05  # root mean square of a word, of full scale
_QUIET = 0.1  # of a word's loudest 20 ms: what is fainter at its ends is none of it


def trimmed(audio: np.ndarray) -> np.ndarray:
    """A recording without the silence around the word."""
    frames = np.sqrt(np.mean(audio[: len(audio) // 320 * 320].reshape(-1, 320) ** 2, axis=1))
    loud = np.flatnonzero(frames >= _QUIET * frames.max())
    return audio[max(0, loud[0] - 2) * 320 : (loud[-1] + 3) * 320]


def make_streams(
    recordings: list[tuple[Path, str]], out: Path, hours: float, snr: float, noise: Path | None, seed: int = 0
) -> None:
    """Write streams of PIECE seconds, and what is said in each, to a folder."""
    import soundfile

    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    order: list[int] = []
    files = [] if noise is None else sorted(noise.glob("*.flac")) + sorted(noise.glob("*.wav"))
    noises = [resample(*read_audio(path), RATE) for path in files]
    for number in range(max(1, round(3600 * hours / PIECE))):
        samples = round(RATE * min(PIECE, 3600 * hours))
        sound, said, at = np.zeros(samples), [], round(RATE * 1.0)
        while True:
            order = order or rng.permutation(len(recordings)).tolist()
            path, word = recordings[order.pop()]
            audio = trimmed(resample(*read_audio(path), RATE))
            if at + len(audio) + RATE > samples:
                break
            gain = 10 ** (rng.uniform(-LOUDNESS, LOUDNESS) / 20)
            sound[at : at + len(audio)] += audio * (gain * LEVEL / np.sqrt(np.mean(audio**2)))
            said.append((at / RATE, (at + len(audio)) / RATE, word))
            at += len(audio) + round(RATE * rng.uniform(*PAUSE))
        around = _excerpt(noises[number % len(noises)], samples, rng) if noises else _pink(samples, rng)
        sound += around * (LEVEL * 10 ** (-snr / 20) / np.sqrt(np.mean(around**2)))
        path = out / f"stream{number:02}.flac"
        soundfile.write(path, np.clip(sound, -1, 1), RATE)
        with path.with_suffix(".csv").open("w", newline="") as table:
            csv.writer(table).writerows([("start", "end", "word"), *said])


def smoke(folder: Path) -> tuple[Path, Path]:
    """A run that tells two beeps apart, and their table."""
    import soundfile

    rows = []
    for i in range(24):
        word, pitch = (("high", 1800.0), ("low", 500.0), ("unknown", 1000.0))[i % 3]
        t = np.arange(6000) / RATE
        noise = 0.01 * np.random.default_rng(i).normal(size=len(t))
        (folder / word).mkdir(exist_ok=True)
        soundfile.write(folder / word / f"{i}.wav", 0.2 * np.sin(2 * np.pi * (pitch + 10 * i) * t) + noise, RATE)
        rows.append((f"{word}/{i}.wav", word))
    with (folder / "test.csv").open("w", newline="") as table:
        csv.writer(table).writerows([("file", "class"), *rows])
    lb.data.encode_recordings(folder / "test.csv", folder / "words.h5", 20, level="agc")
    config = Config(hidden=16, epochs=4, dt=2.0, batch_size=4, delay=20.0, shift=0)
    data, *_ = load_training_data(folder / "words.h5", None, config)
    run = Run(folder / "run")
    train_run(run, config, data, {"train": "beeps", "test": None}, Console(quiet=True))
    return run.folder, folder / "test.csv"


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("test", type=Path, nargs="?")
    parser.add_argument("--root", type=Path, help="folder that the table's paths start from")
    parser.add_argument("--noise", type=Path)
    parser.add_argument("--snr", type=float, default=10.0)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--out", type=Path, default=Path("streams"))
    parser.add_argument("--smoothing", type=float, default=None)
    parser.add_argument("--refractory", type=float, default=None)
    args = parser.parse_args()
    if args.smoke:
        folder = Path(tempfile.mkdtemp())
        (args.run, args.test), args.hours, args.out = smoke(folder), 0.01, folder / "streams"
    elif args.test is None:
        parser.error("needs a run and a table of test recordings")
    recordings = [(r.path, r.label) for r in lb.data.list_recordings(args.test, root=args.root)]
    if not args.out.exists():
        make_streams(recordings, args.out, args.hours, args.snr, args.noise)
    run = Run(args.run)
    chosen = {"smoothing": args.smoothing, "refractory": args.refractory}
    rule = Rule(**{name: value for name, value in chosen.items() if value is not None})
    found = evaluate_streams(run, find_recordings([args.out]), chip=True, rule=rule)
    rows: list[dict[str, Any]] = []
    for kind, values in found["curves"].items():
        curve = Curve.from_dict(values)
        for most in (10.0, 5.0, 2.0, 1.0):
            point = curve.at(most) or dict.fromkeys(("threshold", "misses", "false_alarms", "unprompted", "latency"))
            own = int(keywords(run.facts()["class_names"]).sum())
            rows.append(
                {"network": kind, "words": found["words"], "classes": own, "hours": found["hours"], "snr": args.snr}
                | {"at most": most} | point
            )  # fmt: skip
    show("streams", rows)


if __name__ == "__main__":
    main()
