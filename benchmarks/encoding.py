"""Claim: a word of half a second becomes the spikes of 700 cochlear channels in at most 0.1 s on two cores.

    python benchmarks/encoding.py [--repeats 5]

One JSON line per case, then a table. A word alone is what a microphone needs, a folder of files what
`lambent encode` does: read, resample, encode. The real-time factor is seconds of sound per second. The first
word of all takes longer, since kernels are compiled or loaded and transfer functions calculated; that is the
case "first word". Times are medians of wall-clock time; on a shared machine compare the processor's seconds.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from _common import arguments, show
from lambent.audio.membrane import _responses, transfer_table
from lambent.data import encode_recordings
from lambent.encode import Cochlea

RATE = 8000
FILES = 64


def word(seconds: float, seed: int) -> np.ndarray:
    """Harmonics of a gliding pitch with noise, loud and quiet as syllables are."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * RATE)) / RATE
    pitch = 2 * np.pi * np.cumsum(120 + 40 * np.sin(6 * t)) / RATE
    voice = sum(np.sin(k * pitch) / k for k in range(1, 20))
    return (voice + 0.3 * rng.normal(size=len(t))) * np.sin(np.pi * t / seconds) ** 2


def measure(
    case: str, work: Callable[[], Any], threads: int, channels: int, files: int, seconds: float, repeats: int
) -> dict[str, Any]:
    """Times of `repeats` calls of `work`, which encodes `files` files with `seconds` of sound in all."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    wall, cpu = [], []
    try:
        for _ in range(repeats):
            start, start_cpu = time.perf_counter(), time.process_time()
            work()
            wall.append(time.perf_counter() - start)
            cpu.append(time.process_time() - start_cpu)
    finally:
        torch.set_num_threads(before)
    median = statistics.median(wall)
    return {
        "case": case,
        "channels": channels,
        "threads_used": threads,
        "median_ms": 1e3 * median / files,
        "cpu_ms": 1e3 * statistics.median(cpu) / files,
        "files_per_s": files / median,
        "real_time_factor": seconds / median,
    }


def main() -> None:
    """Run all cases and print them."""
    parser = arguments(__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    repeats, most, files, seconds = (1, 70, 4, 1.0) if args.smoke else (args.repeats, 700, FILES, 60.0)
    cores = sorted({1, torch.get_num_threads()})
    half = word(0.5, 0)

    def first() -> None:
        for cached in (_responses, transfer_table):
            cached.cache_clear()
        Cochlea(most)(half, RATE)

    results = []
    for channels in (most, most // 5):
        cochlea = Cochlea(channels)
        cochlea(half, RATE)  # compiles, too
        for threads in cores:
            alone = partial(cochlea, half, RATE)
            results.append(measure("word of 0.5 s", alone, threads, channels, 1, 0.5, 4 * repeats))
    results.append(measure("first word", first, cores[-1], most, 1, 0.5, repeats))
    long = word(seconds, 1)
    results.append(measure("a minute", partial(Cochlea(most), long, RATE), cores[-1], most, 1, seconds, 1))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rng = np.random.default_rng(2)
        lengths = rng.uniform(0.25, 0.75, files)
        for i, length in enumerate(lengths):
            (folder / "words" / str(i % 4)).mkdir(parents=True, exist_ok=True)
            soundfile.write(folder / "words" / str(i % 4) / f"{i}.wav", word(length, i) / 8, RATE)

        def encode() -> None:
            encode_recordings(folder / "words", folder / "words.h5", most, overwrite=True)

        for threads in cores:
            results.append(measure("folder", encode, threads, most, files, float(lengths.sum()), max(1, repeats // 2)))
    show("encoding", results)


if __name__ == "__main__":
    main()
