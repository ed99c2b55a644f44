"""What a GPU can do at best of what training needs [bytes/s]: read and add rows in the L2 cache, copy memory.

python benchmarks/gpu_limits.py [--hidden 256 512 1024]
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import torch
import triton
from triton import language as tl

from _common import arguments, show

_PROGRAMS, _ROWS = 2048, 4096


@triton.jit
def _rows(table, units, out, n, size: tl.constexpr, BLOCK: tl.constexpr, ADD: tl.constexpr, FETCH: tl.constexpr):
    """Each program sums n rows of `table`, or adds as many to it."""
    columns = tl.arange(0, BLOCK)
    inside = columns < size
    total = tl.zeros([BLOCK], tl.float32)
    units += tl.program_id(0) * n
    for some in range(0, n, FETCH):
        for k in tl.static_range(FETCH):
            row = table + tl.load(units + some + k) * size + columns
            if ADD:
                tl.atomic_add(row, tl.full([BLOCK], 1.0, tl.float32), mask=inside, sem="relaxed")
            else:
                total += tl.load(row, mask=inside, other=0.0)
    tl.store(out + tl.program_id(0) * size + columns, total, mask=inside)


def _rate(work: Callable[[], object], moved: int) -> float:
    return moved / (1e-3 * triton.testing.do_bench(work, return_mode="median"))


def _row_rate(sources: int, size: int, add: bool) -> float:
    table = torch.rand(sources, size, device="cuda")
    units = torch.randint(0, sources, (_PROGRAMS * _ROWS,), device="cuda", dtype=torch.int32)
    out = torch.empty(_PROGRAMS, size, device="cuda")
    block = triton.next_power_of_2(size)
    warps = min(max(block // 128, 1), 32)

    def work() -> None:
        _rows[(_PROGRAMS,)](table, units, out, _ROWS, size, block, add, 8, num_warps=warps)

    return _rate(work, 4 * _PROGRAMS * _ROWS * size)


def row_bandwidth(sources: int, size: int) -> float:
    """Of reading random rows of a (sources, size) float32 matrix."""
    return _row_rate(sources, size, False)


def atomic_bandwidth(sources: int, size: int) -> float:
    """Of adding to random rows atomically."""
    return _row_rate(sources, size, True)


def copy_bandwidth() -> float:
    """Of copying 2 GiB, counting what is read and what is written."""
    x = torch.rand(2**28, device="cuda")
    y = torch.empty_like(x)
    return _rate(lambda: y.copy_(x), 2 * x.numel() * x.element_size())


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--inputs", type=int, default=700, help="rows of the matrix")
    parser.add_argument("--hidden", type=int, nargs="+", default=[256, 512, 1024], help="columns of the matrix")
    args = parser.parse_args()
    if not torch.cuda.is_available():
        print("needs a CUDA device", file=sys.stderr)
        sys.exit(3)  # as all benchmarks that need something which is not here
    copy = copy_bandwidth()
    rows = [
        {"hidden": h, "rows_TB_s": row_bandwidth(args.inputs, h) / 1e12,
         "atomics_TB_s": atomic_bandwidth(args.inputs, h) / 1e12, "copy_TB_s": copy / 1e12}
        for h in args.hidden
    ]  # fmt: skip
    show(f"gpu_limits on {torch.cuda.get_device_name()}", rows)


if __name__ == "__main__":
    main()
