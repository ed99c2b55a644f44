"""When the host waits for a device.

A device works through what the host has queued. To read a number from it the host must wait until all of that is
done, and then the device waits for what the host queues next. Layers want to know numbers: how many spikes there
are, whether parameters are valid. `run_ahead` runs a training step that supposes instead, and looks afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")
Judge = Callable[[float], bool]


class Reading:
    """Numbers on their way to the host, which waits for what was queued before them and not for what came after.

    Args:
        x: the numbers; gradients do not follow.
    """

    def __init__(self, x: Tensor) -> None:
        self._numbers = x.detach().to("cpu", non_blocking=True)
        self._arrived = torch.cuda.current_stream(x.device).record_event() if x.is_cuda else None

    def tolist(self) -> Any:
        """The numbers, as `torch.Tensor.tolist`."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._numbers.tolist()


_supposed: ContextVar[list[tuple[Reading, Judge]] | None] = ContextVar("supposed", default=None)


def run_ahead(step: Callable[[], T]) -> T:
    """What `step` returns, without waiting for a CUDA device meanwhile.

    A step of training, up to the gradients. Inside, buffers have the room that earlier batches needed, with some to
    spare, and nothing looks whether that was enough, or checks values, until the whole step is queued. If a buffer
    was too small it is made larger and the step run again, so nothing is lost; a bad value raises what it always
    does, only later. ::

        def step():
            optimizer.zero_grad()
            loss = lb.losses.readout_cross_entropy(model(events), labels)
            loss.backward()
            return loss

        loss = lb.run_ahead(step)
        optimizer.step()

    Elsewhere, and on the CPU, the same code waits where it must.

    Args:
        step: may be called several times, so it must begin by forgetting what it did before (`zero_grad`), and must
            not touch parameters. What it reads of spikes, such as `Events.times`, makes it wait after all.

    With several processes (`torch.distributed`) `step` is simply called: a step repeated in one of them would leave
    the others waiting.
    """
    if _supposed.get() is not None or _processes() > 1:
        return step()
    while True:
        supposed: list[tuple[Reading, Judge]] = []
        before, failure = _supposed.set(supposed), None
        try:
            result = step()
        except Exception as error:  # what was supposed wrongly may be the cause
            failure = error
        finally:
            _supposed.reset(before)
        # the first that fails explains all others
        if all(judge(reading.tolist()) for reading, judge in supposed):
            if failure is not None:
                raise failure
            return result


def running_ahead(device: torch.device) -> bool:
    """Whether code on `device` should suppose rather than wait."""
    return not torch.compiler.is_compiling() and _supposed.get() is not None and makes_wait(device)


def makes_wait(device: torch.device) -> bool:
    """Whether the host waits when it reads a number there."""
    return device.type != "cpu"


def learn(x: Tensor, judge: Judge) -> None:
    """Hand the number `x` (0-d) to `judge`: now, or running ahead, after the step.

    Args:
        judge: says whether the step may stand; if not it has seen to it that the next attempt goes better. May raise.
            Where nothing runs ahead it must either raise or return True.
    """
    if running_ahead(x.device):
        _supposed.get().append((Reading(x), judge))  # type: ignore[union-attr]
    else:
        judge(x.item())


def expect(holds: Tensor, complain: Callable[[], None]) -> None:
    """Call `complain`, which raises, unless `holds` (0-d, boolean); `learn` says when."""

    def judge(held: float) -> bool:
        if not held:
            complain()
        return True

    if running_ahead(holds.device):
        learn(holds, judge)
    elif not holds:
        complain()


class Check(NamedTuple):
    """What must hold, and who complains, by raising, if it does not.

    Attributes:
        holds: 0-d, boolean.
        complain: called without arguments.
    """

    holds: Tensor
    complain: Callable[[], None]


def all_hold(checks: Iterable[Check]) -> Check:
    """Several checks as one, which complains as the first of them that fails."""
    checks = list(checks)

    def complain() -> None:
        for check in checks:
            if not check.holds:
                check.complain()

    return Check(torch.stack([check.holds for check in checks]).all(), complain)


class Guess:
    """A fact on a device that hardly ever changes.

    Args:
        value: what it is supposed to be at first.
    """

    def __init__(self, value: bool) -> None:
        self.value = value

    def of(self, x: Tensor) -> bool:
        """Whether `x` (0-d) holds, or running ahead, whether it did last: if that is wrong, the step runs again."""
        if running_ahead(x.device):
            learn(x, self._right)
        else:
            self.value = bool(x)
        return self.value

    def _right(self, value: float) -> bool:
        right = value == self.value
        self.value = bool(value)
        return right


def _processes() -> int:
    d = torch.distributed
    return d.get_world_size() if d.is_available() and d.is_initialized() else 1
