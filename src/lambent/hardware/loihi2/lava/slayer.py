"""Networks of lava-dl's slayer: its blocks write themselves as NetX, which is read back."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
from torch.nn import Module

from lambent.hardware.loihi2.network import Loihi2Network
from lambent.hardware.loihi2.netx import load_netx


def is_slayer(network: Any) -> bool:
    """Whether `network` is a module with blocks of slayer or a sequence of such modules."""
    if isinstance(network, Module):
        return True
    return isinstance(network, (list, tuple)) and any(isinstance(block, Module) for block in network)


def from_slayer(network: Any) -> Loihi2Network:
    """The network that the blocks of `network` (its `blocks`, or itself if it is a sequence) export.

    Raises:
        ValueError: there are no blocks, one cannot be exported, or lambent has no such layer.
    """
    blocks = list(_blocks(network))
    if not blocks:
        raise ValueError(f"{type(network).__name__}: has no blocks")
    for i, block in enumerate(blocks):
        if not hasattr(block, "export_hdf5"):
            raise ValueError(f"block {i} ({type(block).__name__}): is no block of slayer, it has no export_hdf5")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slayer.net"
        with h5py.File(path, "w") as h5:
            for i, block in enumerate(blocks):
                block.export_hdf5(h5.create_group(f"layer/{i}"))
        return load_netx(path)


def _blocks(network: Any) -> Iterable[Any]:
    found = getattr(network, "blocks", network)
    if hasattr(found, "export_hdf5"):
        return [found]
    if not isinstance(found, Iterable):
        raise ValueError(f"{type(network).__name__}: has no `blocks`; give a list of its blocks")
    return found
