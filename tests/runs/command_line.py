"""Running the command line in this process, and what it prints last."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from lambent import cli


def call(*args: object) -> Any:
    """The exit status of `lambent ARGS`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["lambent", *map(str, args)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
    return stop.value.code


def last_line(out: str) -> Any:
    """What --json printed."""
    return json.loads(out.strip().splitlines()[-1])
