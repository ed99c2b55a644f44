"""`encode_recordings`: sound files to files of spike trains, resumable, with the bad ones left out and named."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambent.audio.cochlea import TAIL
from lambent.data.dataset import SpikeDataset
from lambent.data.packing import pack_units
from lambent.data.readers.recordings import Recording, divide, list_recordings
from lambent.data.shd_writer import as_stored, write_shd
from lambent.encode import Cochlea, read_audio
from lambent.machine.files import move, open_file, read_file, remove_left_over, replacing
from lambent.machine.threads import in_threads

_GROUP = 16  # files encoded, and kept for resuming, at a time
_FULL_SCALE, _CLIPPED = 0.99, 0.01  # a recording is called clipped if so large a share of it is so loud
_UNKNOWN = "unknown"  # speaker
_MOVING = "moving"  # a file in OUT.parts that says which call has begun to give files their places
_VERSION = 1  # of the encoder; words kept by another are not used


@dataclass(frozen=True)
class Word:
    """What became of a recording: its spikes, or why there are none."""

    times: NDArray[np.float32]  # [ms]
    units: NDArray[Any]
    length: float  # [ms]
    clipped: bool = False
    problem: str = ""


@dataclass
class EncodingReport:
    """What `encode_recordings` did.

    Attributes:
        written: file to number of its words.
        skipped: files that could not be read, each with the reason.
        clipped: files of which more than a hundredth of the samples are at full scale; they were encoded.
        resumed: number of files that an earlier, interrupted call had encoded.
    """

    written: dict[Path, int] = field(default_factory=dict)
    skipped: dict[Path, str] = field(default_factory=dict)
    clipped: list[Path] = field(default_factory=list)
    resumed: int = 0


def encode_recordings(
    source: str | Path,
    out: str | Path,
    channels: int = 700,
    *,
    splits: Mapping[str, float] | None = None,
    by: str = "class",
    duration: float | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> EncodingReport:
    """Encode a folder or table of recordings with `Cochlea` and write them in the Heidelberg layout.

    Files that cannot be read, or hold no sound, are left out and named in the report. Finished words are kept
    in the folder ``OUT.parts`` until `out` is written, so an interrupted call can be repeated and goes on.
    They are known by path, size and time of change, channels and seed.

    Args:
        source: see `lambent.data.list_recordings`.
        out: the file for the training data, ``.h5`` or ``.h5.gz``; the split NAME goes to ``OUT_NAME.h5``. All
            have the same classes, speakers and duration.
        channels: number of units.
        splits: split to share of the recordings. Left out: those of the table, if any.
        by: what splits keep together, see `lambent.data.divide`.
        duration: of every sample [ms], what comes later is cut off. Left out: what holds all of the longest.
        seed: of the cochlea's noise and of the splits.
        overwrite: replace files that are already there.
        progress: called with the number of files done and in all.

    Raises:
        FileNotFoundError, ValueError: as `list_recordings` and `divide`; or no file could be read.
        FileExistsError: a file to write is there already.
        OSError: `out` or ``OUT.parts`` cannot be written. No file is left half-written, and the same call goes on.

    Example:
        >>> from pathlib import Path
        >>> import soundfile
        >>> for word, pitch in (("high", 0.6), ("low", 0.2)):
        ...     Path("said", word).mkdir(parents=True)
        ...     soundfile.write(f"said/{word}/1.wav", 0.1 * np.sin(pitch * np.arange(2000)), 8000)
        >>> lb.data.encode_recordings("said", "said.h5", channels=20).written
        {PosixPath('said.h5'): 2}
    """
    out = Path(out)
    if not out.name.removesuffix(".gz").endswith((".h5", ".hdf5")):
        raise ValueError(f"{out}: the file to write must end in .h5 or .h5.gz")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"{out.parent}: there is no such folder to write to")
    if duration is not None and not (np.isfinite(duration) and duration > 0):
        raise ValueError(f"duration must be positive and finite [ms], got {duration}")
    recordings = list_recordings(source)
    if splits:
        recordings = divide(recordings, splits, by, seed)
    targets = {split_file(out, r.split) for r in recordings}
    cochlea = Cochlea(channels, seed=seed)
    parts = out.with_name(f"{out.name}.parts")
    command = f"{_VERSION} {cochlea!r} {duration} {[(_key(r.path), r.label, r.speaker, r.split) for r in recordings]}"
    own = _was_moving(parts, command)  # this very call was killed when its files began to appear
    if not (overwrite or own) and (there := next((path for path in sorted(targets) if path.exists()), None)):
        raise FileExistsError(f"{there}: exists already; overwrite it, or choose another name")
    report = EncodingReport()
    words = _encode_all(recordings, cochlea, parts, report, progress)
    for recording, word in zip(recordings, words, strict=True):
        if word.problem:
            report.skipped[recording.path] = word.problem
        elif word.clipped:
            report.clipped.append(recording.path)
    if len(report.skipped) == len(recordings):
        path, problem = next(iter(report.skipped.items()))
        raise ValueError(
            f"{source}: none of the {len(recordings)} files could be encoded; the first, {path}: {problem}"
        )
    made = _write(out, parts, recordings, words, channels, duration)
    with replacing(parts / _MOVING) as temporary:
        temporary.write_text(_digest(command))
    for path, n in made.items():
        move(parts / path.name, path)
        report.written[path] = n
    remove_left_over(parts)
    for part in parts.glob("*.npz"):
        part.unlink()
    with suppress(OSError):  # somebody keeps other files there
        (parts / _MOVING).unlink()
        parts.rmdir()
    return report


def _encode_all(
    recordings: Sequence[Recording],
    cochlea: Cochlea,
    parts: Path,
    report: EncodingReport,
    progress: Callable[[int, int], None],
) -> list[Word]:
    parts.mkdir(exist_ok=True)
    maker = f"{_VERSION} {cochlea!r}"
    keys = [_key(r.path) for r in recordings]
    found = _load_parts(parts, maker)
    known = {key: found[key] for key in keys if key in found}
    report.resumed = len(known)
    missing = [i for i, key in enumerate(keys) if key not in known]
    progress(len(known), len(keys))
    for first in range(0, len(missing), _GROUP):
        group = missing[first : first + _GROUP]
        words = _encode_group([recordings[i].path for i in group], cochlea)
        new = {keys[i]: word for i, word in zip(group, words, strict=True)}
        if good := {key: word for key, word in new.items() if not word.problem}:
            _save_part(parts, maker, good)
        known |= new
        progress(len(known), len(keys))
    return [known[key] for key in keys]


def _was_moving(parts: Path, command: str) -> bool:
    try:
        return read_file(parts / _MOVING).decode() == _digest(command)
    except (OSError, ValueError):
        return False


def _digest(command: str) -> str:
    return hashlib.blake2b(command.encode(errors="surrogateescape"), digest_size=16).hexdigest()


def _key(path: Path) -> str:
    """The same as long as the file is the same."""
    try:
        stat = path.stat()
    except OSError:
        return f"{path.absolute()} missing"
    return f"{path.absolute()} {stat.st_size} {stat.st_mtime_ns}"


def _encode_group(paths: Sequence[Path], cochlea: Cochlea) -> list[Word]:
    """Read in threads, then encode all that could be read as one batch."""

    def read(path: Path) -> tuple[NDArray[np.float64], int] | str:
        try:
            return read_audio(path)
        except (OSError, ValueError) as error:
            return str(error).removeprefix(f"{path}: ")

    sounds = in_threads(read, paths)
    good = [sound for sound in sounds if not isinstance(sound, str)]
    events = iter(cochlea([x for x, _ in good], [rate for _, rate in good])) if good else iter(())
    words = []
    for sound in sounds:
        if isinstance(sound, str):
            words.append(Word(np.empty(0, np.float32), np.empty(0, np.uint16), 0.0, problem=sound))
            continue
        word, (audio, rate) = next(events), sound
        units = pack_units(word.units.numpy(), cochlea.channels)
        clipped = bool(np.mean(np.abs(audio) > _FULL_SCALE) > _CLIPPED)
        words.append(Word(as_stored(word.times.numpy()), units, 1e3 * len(audio) / rate + TAIL, clipped))
    return words


# -- words kept for resuming ------------------------------------------------------------------------------


def _save_part(parts: Path, maker: str, words: Mapping[str, Word]) -> None:
    made = list(words.values())
    part = parts / f"{len(list(parts.glob('*.npz'))):06d}.npz"
    with replacing(part) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            maker=maker,
            keys=np.array(list(words)),
            ends=np.cumsum([len(word.times) for word in made]),
            times=np.concatenate([word.times for word in made]),
            units=np.concatenate([word.units for word in made]),
            lengths=np.array([word.length for word in made]),
            clipped=np.array([word.clipped for word in made]),
        )


def _load_parts(parts: Path, maker: str) -> dict[str, Word]:
    """The words that this `maker` has made already."""
    words: dict[str, Word] = {}
    for part in sorted(parts.glob("*.npz")):
        try:
            with open_file(part) as file, np.load(file) as z:
                kept = {name: z[name] for name in z.files}
            if str(kept["maker"]) != maker:
                continue
            times, units = (np.split(kept[name], kept["ends"][:-1]) for name in ("times", "units"))
            rows = zip(times, units, kept["lengths"], kept["clipped"], strict=True)
            made = [Word(t, u, float(length), bool(clipped)) for t, u, length, clipped in rows]
            words |= dict(zip(map(str, kept["keys"]), made, strict=True))
        except (OSError, zipfile.BadZipFile, ValueError, EOFError, KeyError, TypeError, IndexError, zlib.error):
            continue  # damaged: encode those again
    return words


# -- files of spike trains ----------------------------------------------------------------------------------


def _write(
    out: Path,
    parts: Path,
    recordings: Sequence[Recording],
    words: Sequence[Word],
    channels: int,
    duration: float | None,
) -> dict[Path, int]:
    """Write one file per split into `parts`, complete before the first gets its place.

    Returns:
        For each of these places the number of words.
    """
    kept = [(r, w) for r, w in zip(recordings, words, strict=True) if not w.problem]
    if duration is None:
        duration = float(np.ceil(max(w.length for _, w in kept)))
    classes = sorted({r.label for r in recordings})
    speakers = sorted({r.speaker or _UNKNOWN for r, _ in kept})
    named = speakers != [_UNKNOWN]
    made = {}
    for split in sorted({r.split for r, _ in kept}):
        chosen = [(r, w) for r, w in kept if r.split == split]
        cut = [int(np.searchsorted(w.times, duration)) for _, w in chosen]
        dataset = SpikeDataset(
            np.concatenate([w.times[:n] for (_, w), n in zip(chosen, cut, strict=True)]),
            np.concatenate([w.units[:n] for (_, w), n in zip(chosen, cut, strict=True)]),
            np.cumsum([0, *cut]),
            [classes.index(r.label) for r, _ in chosen],
            channels,
            duration,
            classes,
            [speakers.index(r.speaker or _UNKNOWN) for r, _ in chosen] if named else None,
        )
        path = split_file(out, split)
        write_shd(parts / path.name, dataset, speaker_names=speakers if named else None)
        made[path] = len(dataset)
    return made


def split_file(out: Path, split: str) -> Path:
    """Where a split is written if the training data go to `out`: words.h5 and words_test.h5."""
    packed = ".gz" if out.name.endswith(".gz") else ""
    plain = Path(out.name.removesuffix(".gz"))
    return out.with_name(f"{plain.stem}_{split}{plain.suffix}{packed}") if split else out
