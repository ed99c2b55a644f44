"""Several processes that train one model, as `torchrun` starts them: each works on its share of every batch."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, distributed

from lambent.events import Events


def started_by_torchrun() -> bool:
    """Whether this process is one of several, by the variables that `torchrun` sets."""
    return {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys()


def rank() -> int:
    """The number of this process among those of `torchrun`; 0 alone."""
    return int(os.environ["RANK"]) if started_by_torchrun() else 0


@contextmanager
def joined(device: str) -> Iterator[Processes | None]:
    """Meet the other processes of `torchrun`, over gloo on the CPU and NCCL on GPUs, one each; None alone.

    Raises:
        ValueError: there are fewer GPUs than processes here, or this build of torch cannot do it.
    """
    if not started_by_torchrun():
        yield None
        return
    if not distributed.is_available():
        raise ValueError("this build of torch has no torch.distributed; train without torchrun")
    if device == "cuda":
        local, there = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if local >= there:
            raise ValueError(f"process {local} of this machine has no GPU, there are {there}: --nproc-per-node {there}")
        torch.cuda.set_device(local)
    distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield Processes()
    finally:
        distributed.destroy_process_group()
        gc.collect()  # a process that still holds it when it ends is aborted by torch


class Processes:
    """The processes that train one model.

    Attributes:
        rank, size: the number of this one, and how many there are.
    """

    def __init__(self) -> None:
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()

    @property
    def group(self) -> Any:
        """What torch calls them; looked up, lest it is held for longer than the processes are together."""
        return distributed.group.WORLD

    def share(self, events: Events, targets: Any) -> tuple[Events, Any, float]:
        """This process's part of a batch, and the weight of its mean in the mean over processes.

        Of a batch with fewer samples than processes all take the whole.
        """
        n = len(events)
        if n < self.size:
            return events, targets, 1.0
        own = torch.arange(self.rank, n, self.size)
        part = targets[own.to(targets.device)] if isinstance(targets, Tensor) else [targets[i] for i in own.tolist()]
        return events[own], part, len(own) * self.size / n

    def total(self, x: Tensor) -> Tensor:
        """The sum over all processes."""
        distributed.all_reduce(x)
        return x

    def average(self, gradients: Iterable[Tensor | None]) -> None:
        """Make of gradients the mean over processes, in place; they are sent as one."""
        there = [g for g in gradients if g is not None]
        if not there:
            return
        flat = self.total(torch.cat([g.flatten() for g in there])) / self.size
        for g, mean in zip(there, flat.split([g.numel() for g in there]), strict=True):
            g.copy_(mean.view_as(g))

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether it is so in any of the processes."""
        return bool(self.total(torch.tensor([float(flag)], device=device)).item())

    def as_first(self, state: Mapping[str, Any]) -> None:
        """Give the tensors of a `state_dict` the values that they have in the first process."""
        for value in state.values():
            if isinstance(value, Tensor):
                distributed.broadcast(value.detach(), 0)

    def of_first(self, value: Any) -> Any:
        """What `value` is in the first process: plain values and tensors of the CPU."""
        box = [value if self.rank == 0 else None]
        distributed.broadcast_object_list(box, 0)
        return box[0]

    def gathered(self, values: list[Any]) -> list[Any]:
        """The values of all processes, given that this one's are every `size`-th from its `rank` on."""
        parts: list[Any] = [None] * self.size
        distributed.all_gather_object(parts, values)
        return [parts[i % self.size][i // self.size] for i in range(sum(map(len, parts)))]
