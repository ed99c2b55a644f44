"""Warnings that point at the line of the program that called the package."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from types import FrameType

_PACKAGE = str(Path(__file__).parents[1])


def warn_caller(message: str) -> None:
    """Give a UserWarning, shown at the nearest line that is not of this package."""
    level, frame = 1, sys._getframe()
    above: FrameType | None = frame
    while above is not None and above.f_code.co_filename.startswith(_PACKAGE):
        level, above = level + 1, above.f_back
    warnings.warn(message, UserWarning, stacklevel=level)
