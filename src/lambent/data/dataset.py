"""`SpikeDataset`: spike trains with their targets, packed in memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.utils.data import Dataset, default_collate
from torch.utils.data._utils.collate import default_collate_fn_map

from lambent.data.packing import Packed, as_events, check_units, gather, pack_units
from lambent.data.readers.shd import read_shd
from lambent.events import Events, as_float32, check_layout, check_n_units, check_spikes, locate, warn_of_seconds
from lambent.machine.showing import html_table, unprintable

Batch = tuple[Events, Any]
"""Events, and their targets as a tensor; None where a set has none."""

Indices = Sequence[int] | NDArray[Any] | Tensor

_CLASSES = 100_000  # that are given numbers for names; a higher label is no class, and names would fill the memory

IGNORED = -100
"""The label of a step that does not count: `ignore_index` of torch's `cross_entropy`."""


class SpikeDataset(Dataset):
    """Spike trains with what is to be learned about them, 6 bytes a spike, 10 of graded ones.

    Sample ``i`` owns the entries ``offsets[i]:offsets[i + 1]`` of `times`, `units` and `values`. All arrays are NumPy
    arrays and are to be read only. torch's `DataLoader` takes a set as it is, and fetches a whole batch at once;
    without worker processes `batches` does the same with less ado.

    Targets are class labels, one for each sample, or labels of every step, or numbers, or absent. `lambent train`,
    `write_shd` and `augment.Blend` need class labels.

    Args:
        times: (n_spikes,) spike times [ms], kept as float32, sorted inside a sample, in ``[0, duration)``.
        units: (n_spikes,) integers in ``[0, n_units)``, kept as uint16, or int32 above 65,535 units.
        offsets: (samples + 1,) integers from 0 to n_spikes, kept as int64.
        labels: the targets. Class labels: (samples,) integers in ``[0, len(class_names))``, kept as int64. Labels of
            steps or the like: integers (samples, ...), where -100 marks what does not count, as torch's
            `cross_entropy` has it. Numbers: floats (samples, ...), kept as float32. None: there are no targets.
        n_units: number of units.
        duration: length of every sample [ms].
        class_names: the name of each class; left out, the numbers from 0 to the largest label. Only for labels.
        speakers: (samples,) integers, who spoke; optional.
        files: the name of the file that each sample was made of, so that it can be looked at, or listened to; optional.
            `split` keeps samples of one file together.
        level: how the level of recordings was treated when they became spikes, see `Cochlea`; optional.
        values: (n_spikes,) finite numbers, what each spike carries (`Events.values`), kept as float32; left out where
            all are 1.
        check: validate; switched off for arrays that come from a checked set.

    Raises:
        TypeError: units, offsets, speakers or `n_units` are no integers, labels or values no numbers, or class names or
            files no strings.
        ValueError: arrays that do not fit each other, bad spikes or targets; names the sample and the entry. Or a class
            whose name is empty or holds control characters.

    Warns:
        UserWarning: the times look like seconds.

    Example:
        >>> data = lb.data.SpikeDataset([1.0, 4.0, 2.0], [0, 2, 1], [0, 2, 3], [1, 0], n_units=3, duration=5.0)
        >>> data
        SpikeDataset(2 samples, 2 classes, 3 spikes (2 a sample), 3 units, 5 ms)
        >>> for events, labels in data.batches(2):
        ...     print(events.times, labels)
        tensor([1., 4., 2.]) tensor([1, 0])
    """

    def __init__(
        self,
        times: ArrayLike,
        units: ArrayLike,
        offsets: ArrayLike,
        labels: ArrayLike | None,
        n_units: int,
        duration: float,
        class_names: Sequence[str] | None = None,
        speakers: ArrayLike | None = None,
        *,
        files: Sequence[str] | None = None,
        level: str | None = None,
        values: ArrayLike | None = None,
        check: bool = True,
    ) -> None:
        units = _integers("units", units)
        self.n_units = check_n_units(n_units)
        try:
            self.duration = float(duration)
        except OverflowError:
            raise ValueError("duration must be positive and finite [ms], got a number too large for one") from None
        self.times = as_float32(np.asarray(times, dtype=None if np.size(times) else np.float32), self.duration)
        self.offsets = _integers("offsets", offsets).astype(np.int64, copy=False)
        self.targets = None if labels is None else _targets(labels)
        self.speakers = None if speakers is None else _integers("speakers", speakers)
        self.files = None if files is None else list(files)
        self.level = level
        self.values = None if values is None else _values(values)
        if self.targets is None or self.targets.dtype != np.int64:
            if class_names is not None:
                raise ValueError("class_names are for labels, which are integers; this set has none")
            class_names = []
        elif class_names is None:
            if (highest := int(self.targets.max(initial=-1))) >= _CLASSES:
                raise ValueError(
                    f"label {highest}: more than {_CLASSES:,} classes need class_names; or number them anew"
                )
            class_names = [str(c) for c in range(highest + 1)]
        self.class_names = list(class_names)
        if unnamed := [name for name in self.class_names if not isinstance(name, str)]:
            raise TypeError(f"class_names must be strings, got {unnamed[0]!r}")
        for c, name in enumerate(self.class_names):
            check_name(f"the name of class {c}", name)
        if check:
            check_layout(self.times, units, self.offsets, self.duration)
            check_units(units, self.offsets, self.n_units)
            check_spikes(self.times, units, self.offsets, self.n_units, self.duration)
            if self.values is not None:
                self._check_values(self.values, np.asarray(values))
            self._check_targets()
            self._check_files()
            warn_of_seconds(len(self.times), self.n_units, len(self), self.duration)
        self.units = pack_units(units, self.n_units)

    def _check_targets(self) -> None:
        n = len(self.offsets) - 1
        x = self.targets
        if self.speakers is not None and self.speakers.shape != (n,):
            raise ValueError(f"speakers must be one per sample, ({n},), got shape {self.speakers.shape}")
        if x is None:
            return
        if not x.ndim or len(x) != n:
            raise ValueError(f"labels must be one per sample, ({n},) or ({n}, ...), got shape {x.shape}")
        if x.dtype == np.int64:
            bad, what = (x < 0) | (x >= self.n_classes), f"outside [0, {self.n_classes})"
            if x.ndim > 1:
                bad &= x != IGNORED
        else:
            bad, what = ~np.isfinite(x), "not finite"
        if bad.any():
            i = tuple(np.argwhere(bad)[0])
            where = f", entry {', '.join(map(str, i[1:]))}" if x.ndim > 1 else ""
            raise ValueError(f"sample {i[0]}{where}: label {x[i]} {what}")

    def _check_values(self, kept: NDArray[np.float32], given: NDArray[Any]) -> None:
        if kept.shape != self.times.shape:
            raise ValueError(f"values must be one per spike, {self.times.shape}, got shape {kept.shape}")
        if not (finite := np.isfinite(kept)).all():
            entry = int((~finite).argmax())
            raise ValueError(f"{locate(entry, self.offsets)}: value {given[entry]} is not finite, as float32")

    def _check_files(self) -> None:
        if self.level is not None and not isinstance(self.level, str):
            raise TypeError(f"level must be a text, got {self.level!r}")
        if self.files is None:
            return
        if len(self.files) != len(self):
            raise ValueError(f"files must be one per sample, {len(self)}, got {len(self.files)}")
        if unnamed := [name for name in self.files if not isinstance(name, str)]:
            raise TypeError(f"files must be names, got {unnamed[0]!r}")

    @classmethod
    def from_events(
        cls, events: Events, labels: ArrayLike | Tensor | None = None, class_names: Sequence[str] | None = None
    ) -> SpikeDataset:
        """The samples of a batch, as a data set: the way for whatever can be made `Events`.

        Args:
            events: from `Events.from_dense`, `from_lists`, `from_structured`, an encoder or a layer; a copy is kept on
                the CPU, in float32, without gradients.
            labels, class_names: as for `SpikeDataset`.

        Raises:
            TypeError, ValueError: as `SpikeDataset`.

        Example:
            >>> spikes = np.random.default_rng(0).random((60, 100, 20)) < 0.05  # samples, steps, units
            >>> events = lb.Events.from_dense(spikes, dt=1.0)
            >>> lb.data.SpikeDataset.from_events(events, labels=np.arange(60) % 3)
            SpikeDataset(60 samples, 3 classes, 6022 spikes (100 a sample), 20 units, 100 ms)
        """
        if not isinstance(events, Events):
            raise TypeError(f"events must be lambent.Events, got {type(events).__name__}")
        if isinstance(labels, Tensor):
            labels = labels.detach().cpu().numpy()
        plain = events.to("cpu", torch.float32)
        times, units, offsets = (x.detach().numpy().copy() for x in (plain.times, plain.units, plain.offsets))
        values = None if events.values is None else events.values.detach().cpu().numpy().copy()
        return cls(times, units, offsets, labels, events.n_units, events.duration, class_names, values=values)

    @classmethod
    def from_shd(
        cls,
        path: str | Path,
        duration: float | None = None,
        n_units: int | None = None,
        *,
        time_unit: str | None = None,
        crop: bool = False,
    ) -> SpikeDataset:
        """Read an HDF5 file in the layout of the Heidelberg data sets, plain or gzipped.

        Cramer et al. 2020 (doi:10.1109/TNNLS.2020.3044364) define the layout: ``spikes/times`` [s] and
        ``spikes/units``, one variable-length row per sample, and ``labels``; ``extra/keys`` (class names) and
        ``extra/speaker`` are read where present, and so are ``extra/files`` and, of graded spikes, ``spikes/values``,
        which `write_shd` adds.

        Args:
            path: the file; whether it is gzipped is seen from its first bytes.
            duration: length of every sample [ms]. Give training and test set the same. Left out: what
                `write_shd` noted in the file, otherwise the first whole millisecond past the last spike.
            n_units: number of units, if the file does not say. Left out: what `write_shd` noted in it; 700 for the
                Heidelberg sets themselves (by their names, such as ``shd_train``, or ``extra/meta_info``);
                otherwise as many as the largest in the file needs.
            time_unit: "s", "ms", "us" or "ns", of files that do not keep to the layout. Left out: seconds, but times
                that are integers, or of samples of more than ten seconds (and than `duration`), are refused.
            crop: drop spikes at or past `duration` instead of raising.

        Raises:
            FileNotFoundError: there is no such file.
            TypeError: `n_units` is no whole number.
            ValueError: no HDF5, truncated, a dataset missing, or one or an attribute of the wrong kind, rows of times,
                units and values that differ in length, bad spikes, or a file that says another number of units; names
                file, dataset and sample.

        Example:
            >>> lb.data.write_shd("words.h5.gz", lb.data.yin_yang(6, seed=0))
            >>> lb.data.SpikeDataset.from_shd("words.h5.gz").class_names
            ['yin', 'yang', 'dot']
        """
        raw = read_shd(Path(path), duration, n_units, crop, time_unit)
        try:
            return cls(**raw)
        except (TypeError, ValueError) as e:
            raise ValueError(f"{path}: {e}") from e

    # -- samples and batches --------------------------------------------------------------------------

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class labels, int64 (samples,).

        Raises:
            ValueError: the targets of this set are something else, or there are none.
        """
        if self.targets is None or not self.has_classes:
            raise ValueError(f"this needs a class label for each sample, and {self!r} has none")
        return self.targets

    @property
    def has_classes(self) -> bool:
        """Whether the targets are class labels, one for each sample."""
        return self.targets is not None and self.targets.dtype == np.int64 and self.targets.ndim == 1

    @property
    def n_classes(self) -> int:
        """Number of classes, 0 where targets are no labels."""
        return len(self.class_names)

    def _kind(self) -> str:
        """What the targets are, in words."""
        if self.targets is None:
            return "no targets"
        shape = "x".join(map(str, self.targets.shape[1:])) or "one"
        if self.targets.dtype != np.int64:
            return f"{shape} number(s) a sample"
        return f"{self.n_classes} classes" if self.targets.ndim == 1 else f"{shape} labels a sample"

    def checksum(self) -> int:
        """CRC-32 of spikes and targets, to tell data sets apart."""
        crc = 0
        for x in (self.times, self.units, self.offsets, self.targets):
            crc = crc if x is None else zlib.crc32(x.tobytes(), crc)
        return crc if self.values is None else zlib.crc32(self.values.tobytes(), zlib.crc32(b"values", crc))

    def _packed(self) -> Packed:
        return Packed(self.times, self.units, self.offsets, self.values)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> tuple[Events, Any]:
        """One sample: Events of batch size 1, and its target: a class label as int, else a tensor, or None.

        Raises:
            TypeError: `index` is no whole number; `batch` and `subset` take several.
            IndexError: it is outside the set.
        """
        if not isinstance(index, (int, np.integer)):
            raise TypeError(f"a sample is chosen by a whole number, got {index!r}; see batch() and subset()")
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        events, targets = self.batch([index % len(self)])
        if targets is None:
            return events, None
        return events, int(targets[0]) if self.has_classes else targets[0]

    def __getitems__(self, indices: list[int]) -> Batch:
        """A whole batch for torch's `DataLoader`, which passes it on as it is (`collate`)."""
        return self.batch(indices)

    def batch(self, indices: Indices) -> Batch:
        """The chosen samples, in the order given: Events and targets (batch, ...), int64 or float32, or None.

        Raises:
            IndexError: an index outside the set.
        """
        chosen = self.positions(indices)
        packed = gather(self._packed(), chosen)
        targets = None if self.targets is None else torch.from_numpy(self.targets[chosen])
        return as_events(packed, self.n_units, self.duration), targets

    def batches(
        self, batch_size: int, shuffle: bool = False, generator: torch.Generator | None = None
    ) -> Iterator[Batch]:
        """Once through the set in batches; the last may be smaller.

        Args:
            batch_size: samples a batch.
            shuffle: in random order, drawn from `generator` (torch's own where left out).

        Raises:
            ValueError: `batch_size` below 1.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if shuffle:
            order = torch.randperm(len(self), generator=generator).numpy()
        else:
            order = np.arange(len(self))
        return (self.batch(order[i : i + batch_size]) for i in range(0, len(order), batch_size))

    # -- parts ----------------------------------------------------------------------------------------

    def subset(self, indices: Indices) -> SpikeDataset:
        """A new set of the chosen samples, in the order given; `indices` may also be a mask (samples,).

        Raises:
            IndexError: an index outside the set, or a mask of another length.
        """
        chosen = self.positions(indices)
        times, units, offsets, values = gather(self._packed(), chosen)
        return SpikeDataset(
            times,
            units,
            offsets,
            None if self.targets is None else self.targets[chosen],
            self.n_units,
            self.duration,
            self.class_names or None,
            None if self.speakers is None else self.speakers[chosen],
            files=None if self.files is None else [self.files[i] for i in chosen],
            level=self.level,
            values=values,
            check=False,
        )

    def with_duration(self, duration: float) -> SpikeDataset:
        """The same samples, taken to last `duration` [ms].

        Raises:
            ValueError: a spike lies at or past `duration`; names the sample and the entry.
        """
        return SpikeDataset(
            self.times,
            self.units,
            self.offsets,
            self.targets,
            self.n_units,
            duration,
            self.class_names or None,
            self.speakers,
            files=self.files,
            level=self.level,
            values=self.values,
            check=duration < self.duration,
        )

    def split(self, held_out: float | int, seed: int, by: str = "label") -> tuple[SpikeDataset, SpikeDataset]:
        """Split at random into (the rest, the part held out); samples keep their order in both.

        Args:
            held_out: a fraction (float in (0, 1)) or a number (int) of samples; of speakers where
                ``by="speaker"``.
            seed: of the draw.
            by: ``"label"`` holds out the same share of every class, as nearly as whole samples allow, and of a
                set without classes any samples; those of one file stay together. ``"speaker"`` holds out all samples of
                the speakers drawn, so that no speaker is in both.

        Raises:
            ValueError: a part would be empty, `by` is unknown, or the set names no speakers.

        Example:
            >>> train, valid = lb.data.yin_yang(30, seed=0).split(0.2, seed=0)
            >>> len(train), len(valid)
            (24, 6)
        """
        rng = np.random.default_rng(seed)
        if by == "label":
            number = _share(held_out, len(self), "samples")
            groups = self.labels if self.has_classes else np.zeros(len(self), np.int64)
            first = self._first_of_file()  # renditions of one recording would be known to both sides
            drawn, of = np.unique(first, return_inverse=True)
            if len(drawn) < len(self):
                number = _share(number / len(self), len(drawn), "files")
            chosen = np.isin(of, _stratified(groups[drawn], number, rng))
        elif by == "speaker":
            if self.speakers is None:
                raise ValueError('by="speaker": this set does not say who spoke')
            speakers = np.unique(self.speakers)
            number = _share(held_out, len(speakers), "speakers")
            chosen = np.isin(self.speakers, rng.permutation(speakers)[:number])
        else:
            raise ValueError(f'by must be "label" or "speaker", got {by!r}')
        return self.subset(~chosen), self.subset(chosen)

    def _first_of_file(self) -> NDArray[np.int64]:
        """For each sample the position of the first one of the same file."""
        if self.files is None:
            return np.arange(len(self))
        firsts: dict[str, int] = {}
        return np.array([firsts.setdefault(name, i) for i, name in enumerate(self.files)], np.int64)

    def positions(self, indices: Indices) -> NDArray[np.int64]:
        """Indices or mask as non-negative positions, checked."""
        x = np.asarray(indices)
        if x.dtype == bool:
            if x.shape != (len(self),):
                raise IndexError(f"a mask must have shape ({len(self)},), got {x.shape}")
            return np.flatnonzero(x)
        if x.size == 0:
            return np.zeros(0, dtype=np.int64)
        x = _integers("indices", x).astype(np.int64, copy=False)
        if x.ndim != 1:
            raise IndexError(f"indices must have one dimension, got shape {x.shape}")
        outside = (x < -len(self)) | (x >= len(self))
        if outside.any():
            raise IndexError(f"sample {x[outside][0]} of {len(self)}")
        return np.where(x < 0, x + len(self), x)

    @property
    def _graded(self) -> str:
        return "" if self.values is None else " graded"

    def _repr_html_(self) -> str:
        rows = [
            ("samples", f"{len(self):,}"),
            ("classes", f"{self.n_classes:,}"),
            ("spikes", f"{len(self.times):,}{self._graded}"),
            ("units", f"{self.n_units:,}"),
            ("duration", f"{self.duration:g} ms"),
        ]
        return html_table("SpikeDataset", rows)

    def __repr__(self) -> str:
        n = len(self)
        return (
            f"SpikeDataset({n} samples, {self._kind()}, {len(self.times)}{self._graded} spikes "
            f"({len(self.times) / max(n, 1):.0f} a sample), {self.n_units} units, {self.duration:g} ms)"
        )


def collate(items: Sequence[tuple[Events, Any]] | Batch) -> Batch:
    """Join samples ``(Events, target)`` into ``(Events, targets)``, targets (batch, ...).

    torch's `DataLoader` does so by itself, also with data sets of your own that hand out Events. A batch that
    `SpikeDataset` has already fetched whole passes unchanged.

    Raises:
        ValueError: no samples, or they differ in units or duration.

    Example:
        >>> data = lb.data.yin_yang(4, seed=0)
        >>> events, labels = lb.data.collate([data[0], data[3]])
        >>> len(events), labels.shape
        (2, torch.Size([2]))
    """
    if isinstance(items, tuple) and len(items) == 2 and isinstance(items[0], Events):
        return items
    events, targets = zip(*items, strict=True) if items else ((), ())
    return Events.cat(events), None if all(x is None for x in targets) else default_collate(list(targets))


def _collate_events(found: Sequence[Any], *, collate_fn_map: Any = None) -> Any:
    """What torch's `default_collate` does where it meets Events: in samples, or first in a batch fetched whole."""
    return found if isinstance(found, tuple) and not isinstance(found[-1], Events) else Events.cat(found)


default_collate_fn_map[Events] = _collate_events  # the documented way to extend `default_collate`


def check_name(what: str, name: str) -> None:
    """Raise ValueError, calling it `what`, if a name is empty or holds control characters, which no SVG can."""
    if not name.strip():
        raise ValueError(f"{what} is empty")
    if any(map(unprintable, name)):
        raise ValueError(f"{what} holds a control character: {name!r}")


def _targets(x: ArrayLike) -> NDArray[Any]:
    """Targets as int64, if they are integers, or float32."""
    x = np.asarray(x)
    if np.issubdtype(x.dtype, np.floating) and (x.size or x.dtype == np.float32):  # [] is of float64
        return x.astype(np.float32, copy=False)
    return _integers("labels", x).astype(np.int64, copy=False)


def _values(x: ArrayLike) -> NDArray[np.float32]:
    x = np.asarray(x)
    if x.size and x.dtype.kind not in "fiub":
        raise TypeError(f"values must be real numbers, got {x.dtype}")
    with np.errstate(over="ignore"):  # infinite then, which is refused
        return x.astype(np.float32, copy=False)


def _integers(name: str, x: ArrayLike) -> NDArray[Any]:
    x = np.asarray(x)
    if x.size == 0:
        return x.astype(np.int64)
    if not np.issubdtype(x.dtype, np.integer):
        raise TypeError(f"{name} must be integers, got {x.dtype}")
    return x


def _share(held_out: float | int, total: int, what: str) -> int:
    """The number to hold out of `total`, at least one and not all."""
    number = int(held_out) if isinstance(held_out, Integral) else round(held_out * total)
    if not 0 < number < total:
        raise ValueError(f"held_out={held_out} would hold out {number} of {total} {what}")
    return number


def _stratified(labels: NDArray[np.int64], number: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Positions of `number` samples, spread over the classes in proportion (largest remainders)."""
    exact = np.bincount(labels) * (number / len(labels))
    quota = np.floor(exact).astype(np.int64)
    quota[np.argsort(quota - exact, kind="stable")[: number - quota.sum()]] += 1
    parts = [rng.permutation(np.flatnonzero(labels == c))[:q] for c, q in enumerate(quota)]
    return np.concatenate(parts)
