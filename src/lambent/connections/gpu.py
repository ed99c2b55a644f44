"""What connections bring for the GPU's kernels: those of `lambent.connections.x` in `lambent.connections.x_gpu`."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import Any, NamedTuple


class GpuConnections(NamedTuple):
    """Functions of one kind of connections, the first three for Triton; `lambent.connections.columns_gpu` shows them.

    Attributes:
        fetch: reads the weights of some spikes, before any is used.
        send: sends these spikes on their way.
        collect: adds to gradients what some spikes give, and says what moving them gives.
        longest: of the operation's tensors, the longest delay in steps (0-d) or None.
        parts: of the operation's tensors and the rows of the rings, what kernels take: pointers, those of the weights
            first, and numbers.
    """

    fetch: Any
    send: Any
    collect: Any
    longest: Callable[..., Any]
    parts: Callable[..., Any]

    @property
    def cache_key(self) -> str:
        """What Triton's cache on disk keeps kernels by; without, it would know functions by names or addresses."""
        return repr([x.cache_key for x in self[:3]])


@lru_cache(maxsize=64)
def gpu_connections(cls: type) -> GpuConnections:
    """What connections of this class bring.

    Raises:
        NotImplementedError: nothing.
    """
    try:
        return import_module(f"{cls.__module__}_gpu").GPU
    except ModuleNotFoundError as error:
        if error.name != f"{cls.__module__}_gpu":
            raise
        raise NotImplementedError(f"{cls.__name__} connections do not run on a GPU yet; use CPU tensors") from error
