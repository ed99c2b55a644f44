"""Numbers as the page prints them. All texts are plain; the page escapes them."""

from __future__ import annotations

import math

NBSP = "\u00a0"


def percent(share: float) -> str:
    """``0.934`` as "93.4 %"."""
    return f"{100 * share:.1f}{NBSP}%"


def points(difference: float) -> str:
    """A difference of two shares in percentage points, with its sign: "−0.4", "+1.0", "0.0"."""
    value = round(100 * difference, 1)
    if value == 0:
        return "0.0"
    return f"{'+' if value > 0 else '−'}{abs(value):.1f}"


def significant(value: float) -> str:
    """Three significant digits: "0.190", "82.3", "1,370"."""
    digits = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0
    return f"{float(f'{value:.3g}'):,.{digits}f}"


def ratio(value: float) -> str:
    """A factor in two significant digits, or whole from 10 on: "× 0.83", "× 1.0", "× 433"."""
    digits = 0 if value >= 9.95 else max(1, 1 - math.floor(math.log10(value)))
    return f"×{NBSP}{value:,.{digits}f}"


def integer(n: int) -> str:
    """``12000`` as "12,000"."""
    return f"{n:,}"


def size(n_bytes: int) -> str:
    """Bytes with a binary unit: "896 B", "224.0 KiB", "3.1 MiB"."""
    if n_bytes < 1024:
        return f"{n_bytes}{NBSP}B"
    value, unit = n_bytes / 1024, "KiB"
    if value >= 1024:
        value, unit = value / 1024, "MiB"
    return f"{value:,.1f}{NBSP}{unit}"


def interval(share: float, n: int) -> tuple[float, float]:
    """95 % interval of a share counted on `n` samples (Wilson, 1927)."""
    z = 1.96
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def listing(names: list[str], at_most: int = 6) -> str:
    """ "a, b and c", or "a, b and 7 more"."""
    if len(names) > at_most:
        names = [*names[: at_most - 1], f"{len(names) - at_most + 1} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
