"""The keyword set inside the package."""

from __future__ import annotations

from pathlib import Path

from lambent.data.dataset import SpikeDataset

_FOLDER = Path(__file__).parent / "packaged"


def keywords() -> tuple[SpikeDataset, SpikeDataset]:
    """Ten spoken commands as spikes of 140 auditory channels: (training set, test set).

    yes, no, forward, backward, left, right, on, off, stop, go: 2,100 words of 30 synthetic voices, and 420 words of six
    other voices, each in seven accents of English, in noise. A speaker is a voice with an accent; nobody is in both
    sets. How they were made, and their licence: ``data/packaged/README.md`` in the package; made by
    ``tools/make_keywords.py``.

    Example:
        >>> train, test = lb.data.keywords()
        >>> len(train), len(test), test.class_names[:3]
        (2100, 420, ['yes', 'no', 'forward'])
    """
    train, test = (SpikeDataset.from_shd(_FOLDER / f"keywords_{part}.h5.gz") for part in ("train", "test"))
    return train, test
