"""What can be printed as a name on any page."""

from __future__ import annotations

import unicodedata


def check_name(what: str, name: str) -> None:
    """Raise ValueError, calling it `what`, if a name is empty or holds control characters, which no SVG can."""
    if not name.strip():
        raise ValueError(f"{what} is empty")
    if any(unicodedata.category(c) in ("Cc", "Cs") or c in "\ufffe\uffff" for c in name):
        raise ValueError(f"{what} holds a control character: {name!r}")
