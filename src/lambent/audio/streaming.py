"""`heard_blocks`: an unbounded stream of sound as spikes, block after block; what `Cochlea.stream` does."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from lambent.audio.cochlea_kernels import bushy_cells_at_rest, bushy_spikes, hair_cells_at_rest, release_transmitter
from lambent.audio.level import LOUDEST, Level
from lambent.audio.membrane import RATE, REACH, transfer_table
from lambent.audio.reading import check_rate, full_scale, resample
from lambent.machine.threads import in_threads

LOOKAHEAD = 1e3 * REACH / RATE
"""How much of the sound after a moment decides on its spikes [ms]: the membrane's response precedes the sound."""

_FILTER = 10  # half the length of the filter that resamples, in samples of the lower rate


def heard_blocks(
    blocks: Iterable[ArrayLike],
    rate: int,
    level: Level,
    channels: int,
    seed: int,
    size: int,
    after: int,
    group: int,
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """Steps, sorted, and units of the spikes of a stream, of `size` steps of the cochlea at a time.

    Args:
        blocks, rate: see `Cochlea.stream`.
        size: a multiple of the refractory period.
        after: samples of silence after the sound.
        group: channels a thread takes at a time.
    """
    groups = np.array_split(np.arange(channels), -(-channels // group))
    table = transfer_table(channels, size + 2 * REACH)
    seeds: Any = np.random.SeedSequence(seed).generate_state(channels, np.uint64)
    cells = [(hair_cells_at_rest(len(own)), bushy_cells_at_rest(seeds[own[0] : own[-1] + 1])) for own in groups]

    def respond(task: tuple[NDArray[Any], int]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        spectrum, number = task
        own, (hair_cells, bushy_cells) = groups[number], cells[number]
        moved = scipy.fft.irfft(table[own[0] : own[-1] + 1] * spectrum, size + 2 * REACH, overwrite_x=True)
        velocity = moved[:, REACH : REACH + size]
        release_transmitter(velocity, hair_cells)
        step, unit = bushy_spikes(velocity, bushy_cells, 0)
        return step, unit + np.int32(own[0])

    for sound in _overlapping(_at_level(_resampled(_checked(blocks), rate), level), size, after):
        spectrum = scipy.fft.rfft(sound.astype(np.float32))
        found = in_threads(respond, [(spectrum, number) for number in range(len(groups))])
        step, unit = (np.concatenate(x) for x in zip(*found, strict=True))
        order = np.argsort(step, kind="stable")
        yield step[order], unit[order]


def _checked(blocks: Iterable[ArrayLike]) -> Iterator[NDArray[np.float64]]:
    """Blocks as floats, without the first sample's value: a constant makes no click."""
    first, at = None, 0
    for given in blocks:
        block = np.asarray(given)
        if block.dtype.kind not in "fi":
            raise TypeError(f"blocks of sound must be floats or signed integers, got {block.dtype}")
        if block.ndim != 1:
            raise ValueError(f"blocks of sound must be (samples,), got shape {block.shape}")
        sound = block / full_scale(block)
        wrong = ~(np.abs(sound) <= LOUDEST)
        if wrong.any():
            i = int(np.argmax(wrong))
            raise ValueError(f"sample {at + i} of the stream is {sound[i]:g}; samples must lie in [-1, 1]")
        at += len(sound)
        if len(sound):
            first = sound[0] if first is None else first
            yield sound - first


def _resampled(blocks: Iterator[NDArray[np.float64]], rate: int) -> Iterator[NDArray[np.float64]]:
    """The stream at `RATE`, in blocks whose places don't depend on those of what comes in."""
    rate = check_rate(rate)
    common = math.gcd(rate, RATE)
    up, down = RATE // common, rate // common
    if up == down:
        yield from blocks
        return
    margin = (-(-_FILTER * max(up, down) // (up * down)) + 1) * down  # whole periods of both rates
    size = down * max(1, rate // (20 * down))
    cut = margin // down * up
    total = 0

    def counted() -> Iterator[NDArray[np.float64]]:
        nonlocal total
        for block in blocks:
            total += len(block)
            yield block

    made = 0
    for piece in _windows(counted(), size, margin):
        found = resample(piece, rate, RATE)[cut : cut + size // down * up]
        yield found[: -(-total * RATE // rate) - made]  # not what is past the end
        made += len(found)


def _at_level(blocks: Iterator[NDArray[np.float64]], level: Level) -> Iterator[NDArray[np.float64]]:
    heard = level.started()
    for block in blocks:
        yield heard(block)


def _overlapping(blocks: Iterator[NDArray[np.float64]], size: int, after: int) -> Iterator[NDArray[np.float64]]:
    def silent_after() -> Iterator[NDArray[np.float64]]:
        yield from blocks
        yield np.zeros(after)

    yield from _windows(silent_after(), size, REACH)


def _windows(blocks: Iterator[NDArray[np.float64]], size: int, margin: int) -> Iterator[NDArray[np.float64]]:
    """The stream in pieces of `size`, each with the `margin` before and after it; zeros lie around the stream."""
    rest, ahead = np.zeros(margin), 0  # samples in `rest` that no piece has had for its middle
    for block in blocks:
        rest, ahead = np.concatenate([rest, block]), ahead + len(block)
        while ahead >= size + margin:
            yield rest[: size + 2 * margin]
            rest, ahead = rest[size:], ahead - size
    while ahead > 0:
        piece = rest[: size + 2 * margin]
        yield np.pad(piece, (0, size + 2 * margin - len(piece)))
        rest, ahead = rest[size:], ahead - size
