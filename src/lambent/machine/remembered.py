"""What is worked out again and again from tensors that hardly ever change, such as constants of time constants."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from threading import Lock
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from lambent.machine.waiting import learn, running_ahead

T = TypeVar("T")
_MOST = 256  # results

_kept: OrderedDict[Hashable, _Kept] = OrderedDict()
_lock = Lock()


class _Kept(NamedTuple):
    """A result, and what the tensors held that it is of, one after another."""

    content: Tensor
    result: Any


def transformed(x: Tensor) -> bool:
    """Whether `x` has a tangent, of forward mode, or is one of `torch.func`'s: its derivative is another's matter."""
    if torch.compiler.is_compiling():
        return False
    return torch._C._functorch.is_functorch_wrapped_tensor(x) or forward_ad.unpack_dual(x).tangent is not None


def remembered(make: Callable[[], T], tensors: Sequence[Tensor], *options: Any) -> T:
    """What `make()` returns, or what it did before for `tensors` with the same content and the same options.

    What is returned is shared, so nobody may change it. Always made anew where gradients are to flow through it, and
    where looking at the tensors would make the host wait for a device (`lambent.machine.waiting`); running ahead, it
    is supposed that they are what they were.

    Args:
        make: without arguments, a function of `tensors` and `options` alone.
        tensors: what decides is their values, not whether they are the same objects.
        options: hashable, unlike those of another `make`.
    """
    if torch.compiler.is_compiling() or any(type(x) not in (Tensor, nn.Parameter) or transformed(x) for x in tensors):
        return make()
    first = tensors[0]
    if torch.is_grad_enabled() and any(x.requires_grad for x in tensors):
        return make()
    if first.device.type != "cpu" and not running_ahead(first.device):
        return make()
    # ids tell layers apart that are used in turn; each has a place of its own, whatever it holds
    where = first.device, torch.is_inference_mode_enabled()
    key: Hashable = (*where, *options, *((id(x), x.shape, x.dtype) for x in tensors))
    content = torch.cat([x.detach().flatten() for x in tensors])
    with _lock:
        kept = _kept.get(key)
        if kept is not None:
            _kept.move_to_end(key)
    if kept is not None and _same(kept.content, content, key):
        return kept.result
    result = make()
    with _lock:
        _kept[key] = _Kept(content, result)
        if len(_kept) > _MOST:
            _kept.popitem(last=False)
    return result


def _same(before: Tensor, now: Tensor, key: Hashable) -> bool:
    """Whether the content is what it was, or running ahead, whether that may be supposed."""
    if not running_ahead(now.device):
        return torch.equal(before, now)

    def judge(same: float) -> bool:
        if not same:
            with _lock:
                _kept.pop(key, None)
        return bool(same)

    learn((before == now).all(), judge)
    return True
