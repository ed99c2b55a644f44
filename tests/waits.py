"""What makes the host wait for a device: counted without one, forbidden with one."""

from __future__ import annotations

from contextlib import contextmanager

import torch
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
WAITING = {
    aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default, aten.bincount.default,
    aten.equal.default, aten.is_nonzero.default, aten._unique2.default, aten.unique_dim.default,
}  # fmt: skip


class Waits(TorchDispatchMode):
    """Records operations that would make a host wait, were the tensors on a device.

    Args:
        operations: what the operations of lambent do, by name.
    """

    def __init__(self, **operations):
        super().__init__()
        self.operations, self.seen, self.paused = operations, [], True

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func.namespace == "lambent":  # look inside
            with self:
                return self.operations[func._schema.name.split("::")[1]](*args, **kwargs)
        masked = func in (aten.index.Tensor, aten.index_put.default, aten.index_put_.default) and any(
            x is not None and x.dtype in (torch.bool, torch.uint8) for x in args[1]
        )
        unsized = func is aten.repeat_interleave.Tensor and kwargs.get("output_size") is None
        copied = func is aten.lift_fresh.default  # a number or a list, to the device
        if not self.paused and (func in WAITING or masked or unsized or copied):
            self.seen.append(str(func))
        return func(*args, **kwargs)

    @contextmanager
    def paused_is(self, paused):
        before, self.paused = self.paused, paused
        try:
            yield
        finally:
            self.paused = before


@contextmanager
def no_waits(waits):
    """Raise if the host waits for a CUDA device, or would have by what `waits` sees."""
    if waits is None:
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")
    else:
        with waits, waits.paused_is(False):
            yield
        assert not waits.seen, waits.seen
