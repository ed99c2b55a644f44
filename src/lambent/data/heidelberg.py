"""The Heidelberg data sets, where a user has put them."""

from __future__ import annotations

import os
from pathlib import Path

from lambent.data.dataset import SpikeDataset

_ADDRESS = "https://zenkelab.org/datasets/"
_VARIABLE = "LAMBENT_DATA"
_INSIDE = ("", "hdspikes", "SHD", "SSC")  # the tutorials' cache, and tonic's folders


def shd(
    split: str = "train", folder: str | Path | None = None, duration: float = 1400.0, *, crop: bool = False
) -> SpikeDataset:
    """Spiking Heidelberg Digits (Cramer et al. 2020, doi:10.1109/TNNLS.2020.3044364), from a file on this machine.

    20 classes, 700 units. Nothing is downloaded: get ``shd_train.h5.gz`` and ``shd_test.h5.gz`` from
    https://zenkelab.org/datasets/.

    Args:
        split: "train" or "test".
        folder: where ``shd_train.h5`` lies, gzipped or not. Left out, the folder that the environment variable
            LAMBENT_DATA names, then ``.``, ``data``, ``~/data`` and ``~/.keras/datasets``; in each also inside
            ``hdspikes``, ``SHD`` and ``SSC``.
        duration: length of every sample [ms].
        crop: drop spikes at or past `duration` instead of raising.

    Raises:
        FileNotFoundError: the file is in none of these places, which the message lists.
        ValueError: there is no such split, or as `SpikeDataset.from_shd`.

    Example:
        >>> lb.data.write_shd("shd_test.h5.gz", lb.data.yin_yang(6, seed=0))  # in place of the real one
        >>> lb.data.shd("test")
        SpikeDataset(6 samples, 3 classes, 30 spikes (5 a sample), 5 units, 1400 ms)
    """
    return _read("shd", ("train", "test"), split, folder, duration, crop)


def ssc(
    split: str = "train", folder: str | Path | None = None, duration: float = 1400.0, *, crop: bool = False
) -> SpikeDataset:
    """Spiking Speech Commands, from a file on this machine: as `shd`, with 35 classes and the split "valid" too.

    Example:
        >>> lb.data.write_shd("ssc_valid.h5", lb.data.yin_yang(6, seed=0))  # in place of the real one
        >>> len(lb.data.ssc("valid", folder="."))
        6
    """
    return _read("ssc", ("train", "valid", "test"), split, folder, duration, crop)


def _read(
    name: str, splits: tuple[str, ...], split: str, folder: str | Path | None, duration: float, crop: bool
) -> SpikeDataset:
    if split not in splits:
        raise ValueError(f"split must be one of {', '.join(splits)}, got {split!r}")
    stem = f"{name}_{split}"
    tops = _usual_places() if folder is None else [Path(folder)]
    places = [top / inside for top in tops for inside in _INSIDE]
    for place in places:
        for file in (place / f"{stem}.h5", place / f"{stem}.h5.gz"):
            if file.is_file():
                return SpikeDataset.from_shd(file, duration, crop=crop)
    looked = ", ".join(str(place) for place in places)
    raise FileNotFoundError(
        f"neither {stem}.h5 nor {stem}.h5.gz lies in {looked}. Download {stem}.h5.gz from {_ADDRESS}, and name its "
        f"folder: lb.data.{name}({split!r}, folder=...) or the environment variable {_VARIABLE}"
    )


def _usual_places() -> list[Path]:
    named = os.environ.get(_VARIABLE)
    home = Path(os.path.expanduser("~"))
    return [*([Path(named)] if named else []), Path("."), Path("data"), home / "data", home / ".keras" / "datasets"]
