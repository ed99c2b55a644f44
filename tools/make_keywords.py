"""Make the keyword set of the package from nothing: ten commands spoken by synthetic voices, as spikes.

Needs espeak-ng (Debian: apt-get install espeak-ng). Writes keywords_train.h5.gz and keywords_test.h5.gz; the same
version of espeak-ng and the same seed give the same files.

    python tools/make_keywords.py
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from itertools import islice, product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

import lambent as lb

# "up" is not among them: from "off" it differs by soft consonants, of which the cochlea passes on little
WORDS = ["yes", "no", "forward", "backward", "left", "right", "on", "off", "stop", "go"]
# espeak-ng takes "en-gb+f3" for plain "en-gb"; the names of its voice files do what they say
ACCENTS = ["en", "en-US", "en-GB-scotland", "en-029", "en-GB-x-gbclan", "en-GB-x-rp", "en-GB-x-gbcwmd"]
TRAIN_VOICES = [
    "m1", "m2", "m3", "m5", "m6", "m8", "f1", "f2", "f4", "croak", "whisper", "whisperf", "klatt", "klatt2",
    "klatt3", "adam", "Alicia", "Andrea", "Andy", "anika", "aunty", "belinda", "boris", "david", "ed", "Gene",
    "grandpa", "linda", "max", "steph",
]  # fmt: skip
TEST_VOICES = ["m4", "m7", "f3", "f5", "grandma", "Michael"]

CHANNELS = 140
TICK = 1000 / 1024  # [ms]; multiples of 1/1024 s are exact as float16 up to 2 s, what the file stores
PITCH, SPEED = (30, 70), (120, 200)  # espeak-ng's scale; words a minute
SNR = (15.0, 45.0)  # [dB]
EDGE = 0.03  # [s] kept around a word, which the cochlea's ramps take
BATCH = 70


def speak(word: str, accent: str, voice: str, pitch: int, speed: int) -> tuple[int, NDArray[np.float64]]:
    """Sampling rate [Hz] and sound (samples,) of a spoken word, without the silence around it."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        said = ["espeak-ng", "-v", f"gmw/{accent}+{voice}", "-p", str(pitch), "-s", str(speed), "-w", file.name, word]
        subprocess.run(said, check=True)
        sound, rate = lb.encode.read_audio(file.name)
    window = round(0.01 * rate)
    level = np.sqrt(np.convolve(sound**2, np.full(window, 1 / window), "same"))
    heard = np.flatnonzero(level > 0.005 * level.max())
    edge = round(EDGE * rate)
    return rate, np.pad(sound, edge)[heard[0] : heard[-1] + 2 * edge]


def recordings(voices: Sequence[str], first: int, seed: int) -> Iterator[tuple[int, NDArray[np.float64], int, int]]:
    """Sampling rate, sound, label and speaker of every word of every voice in every accent.

    A speaker is a voice with an accent, and speaks about as high and as fast all the time.
    """
    for speaker, (voice, accent) in enumerate(product(voices, ACCENTS), first):
        rng = np.random.default_rng([seed, speaker])
        pitch, speed = rng.integers(*PITCH), rng.integers(*SPEED)
        for label, word in enumerate(WORDS):
            rate, sound = speak(word, accent, voice, pitch + rng.integers(-5, 6), speed + rng.integers(-10, 11))
            noise = np.sqrt(np.mean(sound**2)) * 10 ** (-rng.uniform(*SNR) / 20)
            yield rate, sound + noise * rng.standard_normal(len(sound)), label, speaker


def on_ticks(events: lb.Events) -> list[tuple[NDArray[np.float64], NDArray[np.int64]]]:
    """Times [ms] on multiples of `TICK` and units of each sample, at most one spike per tick and unit."""
    out = []
    for sample in events:
        tick = np.floor(sample.times.numpy() / TICK).astype(np.int64)
        slot = np.unique(tick * CHANNELS + sample.units.numpy())
        out.append((slot // CHANNELS * TICK, slot % CHANNELS))
    return out


def encode(voices: Sequence[str], first: int, seed: int) -> lb.data.SpikeDataset:
    """The data set of some voices; their speakers are numbered from `first`."""
    cochlea = lb.encode.Cochlea(CHANNELS, seed=seed)
    spikes, labels, speakers = [], [], []
    total = len(voices) * len(ACCENTS) * len(WORDS)
    words = iter(track(recordings(voices, first, seed), f"{total} words", total=total))
    while batch := list(islice(words, BATCH)):
        rates, sounds, label, speaker = zip(*batch, strict=True)
        spikes += on_ticks(cochlea(list(sounds), list(rates)))
        labels += label
        speakers += speaker
    times, units = (np.concatenate(x) for x in zip(*spikes, strict=True))
    offsets = np.cumsum([0] + [len(t) for t, _ in spikes])
    duration = np.floor(times.max()) + 1
    return lb.data.SpikeDataset(times, units, offsets, labels, CHANNELS, duration, WORDS, speakers)


def main() -> None:
    """Make both files."""
    package = Path(lb.__file__).parent / "data" / "packaged"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=package, help="folder; the package's own where left out")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    train = encode(TRAIN_VOICES, 0, args.seed)
    test = encode(TEST_VOICES, len(TRAIN_VOICES) * len(ACCENTS), args.seed)
    longest = max(train.duration, test.duration)
    for name, data in (("train", train), ("test", test)):
        path = args.out / f"keywords_{name}.h5.gz"
        lb.data.write_shd(path, data.with_duration(longest))
        print(f"{path}: {data}, {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
