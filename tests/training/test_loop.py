"""What is held out to choose the best epoch."""

from __future__ import annotations

import numpy as np
import pytest

import lambent as lb
from lambent.training.loop import hold_out


def spoken(speakers):
    """One spike a sample, of three classes."""
    n = len(speakers)
    return lb.data.SpikeDataset(
        np.ones(n), np.zeros(n, int), np.arange(n + 1), np.arange(n) % 3, 1, 2.0, None, speakers
    )


@pytest.mark.parametrize(("n_speakers", "share", "whole"), [(20, 0.1, True), (6, 0.1, False), (4, 0.5, True)])
def test_speakers_are_held_out_where_there_are_enough(n_speakers, share, whole):
    data = spoken(np.arange(120) % n_speakers)
    train, valid = hold_out(data, share, seed=0)
    assert len(train) + len(valid) == len(data)
    both = set(train.speakers) & set(valid.speakers)
    assert (not both) == whole
    if whole:
        assert len(set(valid.speakers)) == round(share * n_speakers)
    else:
        assert len(valid) == round(share * len(data))


def test_nothing_may_be_empty():
    with pytest.raises(ValueError, match=r"valid = 0.001 of 30 samples leaves a part empty"):
        hold_out(spoken(np.arange(30)), 0.001, seed=0)
