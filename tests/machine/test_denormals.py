"""Kernels flush denormal numbers, and whoever calls them keeps what he had."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lambent as lb
from lambent.engines.groups import run_groups
from lambent.machine.denormals import denormals_flushed

TINY = np.float32(1e-30)

pytestmark = pytest.mark.skipif(not torch.set_flush_denormal(False), reason="this processor cannot flush denormals")


def flushes() -> bool:
    return bool(TINY * np.float32(1e-10) == 0)


@pytest.mark.parametrize("before", [False, True])
def test_only_inside(before: bool) -> None:
    torch.set_flush_denormal(before)
    try:
        with denormals_flushed():
            assert flushes()
        assert flushes() == before
    finally:
        torch.set_flush_denormal(False)


@pytest.mark.parametrize("threads", [1, 2])
def test_every_group_of_samples(threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert all(run_groups(lambda g, first, last: flushes(), 32))
    finally:
        torch.set_num_threads(before)
    assert not flushes()


def test_states_and_adjoints_reach_zero() -> None:
    """Without a spike for 100 time constants and more."""
    layer = lb.LIReadout(1, 1, tau_mem=2.0, tau_syn=1.0, reduce="none")
    events = lb.Events(
        torch.tensor([0.0, 399.0], requires_grad=True), torch.zeros(2).int(), torch.tensor([0, 2]), 1, 400.0
    )
    v = layer(events)[0, :, 0]
    assert v[50] != 0
    assert v[300] == 0
