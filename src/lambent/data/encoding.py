"""`encode_recordings`: sound files to files of spike trains, resumable, with the bad ones left out and named."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lambent.audio.cochlea import TAIL
from lambent.audio.level import parse_level
from lambent.data.dataset import SpikeDataset, check_name
from lambent.data.dividing import check_shares, contents, divide
from lambent.data.kept_words import Word, load_words, save_words
from lambent.data.packing import pack_units
from lambent.data.readers.recordings import Recording, list_recordings
from lambent.data.renditions import Renditions
from lambent.data.shd_writer import as_stored, write_shd
from lambent.encode import Cochlea, read_audio
from lambent.machine.files import move, read_file, remove_left_over, replacing
from lambent.machine.processes import check_jobs, in_processes
from lambent.machine.threads import in_threads

_GROUP = 16  # files encoded, and kept for resuming, at a time
_FULL_SCALE, _CLIPPED = 0.99, 0.01  # a recording is called clipped if so large a share of it is so loud
_MOVING = "moving"  # a file in OUT.parts that says which call has begun to give files their places
_VERSION = 1  # of the encoder; words kept by another are not used

Task = tuple[int, int]
"""Which recording, and which rendition of it."""


@dataclass
class EncodingReport:
    """What `encode_recordings` did.

    Attributes:
        written: file to number of its words.
        skipped: files that could not be read, each with the reason.
        clipped: files of which more than a hundredth of the samples are at full scale; they were encoded.
        silent: files without a spike, such as those of a microphone that was off; they were encoded.
        identical: files that sound exactly as another, each with the first of these; they were encoded.
        apart: of these, those whose other one is in another split, by the table or list that says so.
        notes: what there is to know of the list of recordings, such as columns of a table that are not used.
        resumed: number of words that an earlier, interrupted call had encoded.
    """

    written: dict[Path, int] = field(default_factory=dict)
    skipped: dict[Path, str] = field(default_factory=dict)
    clipped: list[Path] = field(default_factory=list)
    silent: list[Path] = field(default_factory=list)
    identical: dict[Path, Path] = field(default_factory=dict)
    apart: dict[Path, Path] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    resumed: int = 0


def encode_recordings(
    source: str | Path | Mapping[str, str | Path],
    out: str | Path,
    channels: int = 700,
    *,
    root: str | Path | None = None,
    speaker_pattern: str | None = None,
    splits: Mapping[str, float] | None = None,
    by: str = "class",
    duration: float | None = None,
    level: str = "rms",
    renditions: Renditions | int = 1,
    seed: int = 0,
    overwrite: bool = False,
    jobs: int | None = None,
    backend: str = "loky",
    notice: Callable[[str], None] = lambda text: None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> EncodingReport:
    """Encode folders or tables of recordings with `Cochlea` and write them in the Heidelberg layout.

    Files that cannot be read are left out and named in the report. Finished words are kept in the folder ``OUT.parts``
    until `out` is written, so an interrupted call can be repeated and goes on. They are known by path, size and time of
    change, channels, level and seed.

    Recordings of the same sound stay on one side of the splits that are made here; where a table or list has put them
    apart the report says so. What is written has the name of each sample's file (`SpikeDataset.files`), and notes the
    level. Renditions of a recording follow one another, in the training data only.

    Args:
        source, root, speaker_pattern: see `lambent.data.list_recordings`.
        out: the file for the training data, ``.h5`` or ``.h5.gz``; the split NAME goes to ``OUT_NAME.h5``. All
            have the same classes, speakers and duration.
        channels: number of units.
        splits: split to share of the recordings. Left out: those of `source`, if any.
        by: what splits keep together, see `lambent.data.divide`.
        duration: of every sample [ms], what comes later is cut off. Left out: what holds all of the longest.
        level: see `Cochlea`.
        renditions: of each recording in the training data, or their number; one is encoded with `seed`, the next with
            ``seed + 1``, and so on.
        seed: of the cochlea's noise, of the splits and of the renditions.
        overwrite: replace files that are already there.
        jobs: processes of joblib that encode, as many as there are where it is -1; left out, threads of this process.
            They give the same words, and must see the recordings under the same paths.
        backend: of joblib: "loky", processes of this machine; "dask" or "ray", those of a cluster that this program
            has joined (`dask.distributed.Client`, `ray.init`).
        notice: called with the report's notes as they come.
        progress: called with the number of words done and in all.

    Raises:
        FileNotFoundError, ValueError: as `list_recordings`, `divide` and `Renditions`; or no file could be read.
        FileExistsError: a file to write is there already.
        OSError: `out` or ``OUT.parts`` cannot be written. No file is left half-written, and the same call goes on.
        ImportError: joblib, or what its `backend` needs, is not installed.

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
    ways = renditions if isinstance(renditions, Renditions) else Renditions(renditions)
    if ways.loudness and not parse_level(level).streams:
        raise ValueError(f'level "{level}" makes all recordings as loud, so loudness would do nothing; take another')
    ways.check()
    report = EncodingReport()

    def note(text: str) -> None:
        report.notes.append(text)
        notice(text)

    recordings = list_recordings(source, root=root, speaker_pattern=speaker_pattern, notice=note)
    for r in recordings:
        check_name(f"{r.path}: the name of its class", r.label)
    if splits:
        check_shares(recordings, splits, by)
    targets = {split_file(out, split) for split in (["", *splits] if splits else [r.split for r in recordings])}
    check_jobs(jobs, backend)
    ears = [Cochlea(channels, seed=seed + i, level=level) for i in range(ways.number)]
    parts = out.with_name(f"{out.name}.parts")
    what = [(_key(r.path), r.label, r.speaker, r.split) for r in recordings]
    command = f"{_VERSION} {ears[0]!r} {duration} {ways.number} {_key_of_ways(ways)} {splits} {by} {what}"
    own = _was_moving(parts, command)  # this very call was killed when its files began to appear
    if not (overwrite or own) and (there := next((path for path in sorted(targets) if path.exists()), None)):
        raise FileExistsError(f"{there}: exists already; overwrite it, or choose another name")
    same = contents([r.path for r in recordings])
    if splits and any(same):
        readable = [i for i, content in enumerate(same) if content]
        divided = divide([recordings[i] for i in readable], splits, by, seed, [same[i] for i in readable])
        for i, r in zip(readable, divided, strict=True):
            recordings[i] = r
    tasks = [(i, n) for i, r in enumerate(recordings) for n in range(1 if r.split else ways.number)]
    groups = partial(in_processes, jobs=jobs, backend=backend) if jobs else map
    words = dict(zip(tasks, _encode_all(tasks, recordings, ears, ways, parts, report, progress, groups), strict=True))
    _judge(recordings, same, words, report)
    if len(report.skipped) == len(recordings):
        path, problem = next(iter(report.skipped.items()))
        raise ValueError(
            f"{recordings[0].path.parent}: none of the {len(recordings)} files could be encoded; "
            f"the first, {path}: {problem}"
        )
    made = _write(out, parts, recordings, same, words, ears[0], duration)
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


def _judge(
    recordings: Sequence[Recording], same: Sequence[str | None], words: Mapping[Task, Word], report: EncodingReport
) -> None:
    """Note in the report what is odd about recordings."""
    first: dict[str, Recording] = {}
    for i, (r, content) in enumerate(zip(recordings, same, strict=True)):
        word = words[i, 0]
        if word.problem:
            report.skipped[r.path] = word.problem
            continue
        if word.clipped:
            report.clipped.append(r.path)
        if not len(word.times):
            report.silent.append(r.path)
        if content is not None and (other := first.setdefault(content, r)) is not r:
            report.identical[r.path] = other.path
            if r.split != other.split:
                report.apart[r.path] = other.path


# -- encoding -----------------------------------------------------------------------------------------------


def _encode_all(
    tasks: Sequence[Task],
    recordings: Sequence[Recording],
    ears: Sequence[Cochlea],
    ways: Renditions,
    parts: Path,
    report: EncodingReport,
    progress: Callable[[int, int], None],
    in_order: Callable[[Callable[[Sequence[Path]], list[Word]], Sequence[Sequence[Path]]], Iterable[list[Word]]],
) -> list[Word]:
    """Encode in groups, each of which is kept for resuming; `in_order` does work on groups as `map` does."""
    parts.mkdir(exist_ok=True)
    maker = f"{_VERSION} {ears[0]!r}"
    files, how = [_key(r.path) for r in recordings], _key_of_ways(ways)
    keys = {task: f"{files[task[0]]} {how} {task[1]}" if task[1] else files[task[0]] for task in tasks}
    found = load_words(parts, maker)
    known = {task: found[key] for task, key in keys.items() if key in found}
    report.resumed = len(known)
    progress(len(known), len(tasks))
    for rendition, ear in enumerate(ears):
        missing = [task for task in tasks if task[1] == rendition and task not in known]
        groups = [missing[i : i + _GROUP] for i in range(0, len(missing), _GROUP)]
        paths = [[recordings[i].path for i, _ in group] for group in groups]
        work = partial(_encode_group, cochlea=ear, ways=ways, rendition=rendition, seed=ears[0].seed)
        for group, words in zip(groups, in_order(work, paths), strict=True):
            new = dict(zip(group, words, strict=True))
            if good := {keys[task]: word for task, word in new.items() if not word.problem}:
                save_words(parts, maker, good)
            known |= new
            progress(len(known), len(tasks))
    return [known[task] for task in tasks]


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


def _key_of_ways(ways: Renditions) -> str:
    """The same as long as further renditions come out the same."""
    return _digest(f"{ways.snr} {ways.loudness} {[_key(path) for path in ways.noise_files()]}")


def _encode_group(paths: Sequence[Path], cochlea: Cochlea, ways: Renditions, rendition: int, seed: int) -> list[Word]:
    """Read in threads, then encode all that could be read as one batch."""

    def read(path: Path) -> tuple[NDArray[np.float64], int] | str:
        try:
            audio, rate = read_audio(path)
            return ways.vary(audio, rate, rendition, seed), rate
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


# -- files of spike trains ----------------------------------------------------------------------------------


def _write(
    out: Path,
    parts: Path,
    recordings: Sequence[Recording],
    same: Sequence[str | None],
    words: Mapping[Task, Word],
    ear: Cochlea,
    duration: float | None,
) -> dict[Path, int]:
    """Write one file per split into `parts`, complete before the first gets its place.

    Returns:
        For each of these places the number of words.
    """
    kept = [(i, word) for (i, _), word in words.items() if not word.problem]
    if duration is None:
        duration = float(np.ceil(max(word.length for _, word in kept)))
    classes = sorted({recordings[i].label for i, _ in kept})
    who = _speakers(recordings, same)
    named = any(recordings[i].speaker for i, _ in kept)
    speakers = sorted({who[i] for i, _ in kept})
    number = {name: n for n, name in enumerate(speakers)}
    made = {}
    for split in sorted({recordings[i].split for i, _ in kept}):
        chosen = [(i, word) for i, word in kept if recordings[i].split == split]
        cut = [int(np.searchsorted(word.times, duration)) for _, word in chosen]
        dataset = SpikeDataset(
            np.concatenate([word.times[:n] for (_, word), n in zip(chosen, cut, strict=True)]),
            np.concatenate([word.units[:n] for (_, word), n in zip(chosen, cut, strict=True)]),
            np.cumsum([0, *cut]),
            [classes.index(recordings[i].label) for i, _ in chosen],
            ear.channels,
            duration,
            classes,
            [number[who[i]] for i, _ in chosen] if named else None,
            files=[recordings[i].name for i, _ in chosen],
            level=ear.level,
        )
        path = split_file(out, split)
        write_shd(parts / path.name, dataset, speaker_names=speakers if named else None)
        made[path] = len(dataset)
    return made


def _speakers(recordings: Sequence[Recording], same: Sequence[str | None]) -> list[str]:
    """Who spoke; a recording of nobody known is by who spoke another of its sound, or by one called as its file."""
    of: dict[str | None, str] = {}
    for r, content in zip(recordings, same, strict=True):
        if r.speaker:
            of.setdefault(content, r.speaker)
    return [r.speaker or of.setdefault(content, r.name) for r, content in zip(recordings, same, strict=True)]


def split_file(out: Path, split: str) -> Path:
    """Where a split is written if the training data go to `out`: words.h5 and words_test.h5."""
    packed = ".gz" if out.name.endswith(".gz") else ""
    plain = Path(out.name.removesuffix(".gz"))
    return out.with_name(f"{plain.stem}_{split}{plain.suffix}{packed}") if split else out
