"""The command line: `lambent demo | encode | listen | train | export | evaluate | simulate | report | info`."""

from __future__ import annotations

import sys

import typer

from lambent.cli.runs import demo, evaluate, export, info, report
from lambent.cli.simulate import simulate
from lambent.cli.sound import encode, listen
from lambent.cli.train import train

__all__ = ["app", "main"]

app = typer.Typer(
    help="Train spiking networks with exact event-based gradients and see what they do on a neuromorphic chip.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
for _command in (demo, encode, train, export, evaluate, report, simulate, listen, info):
    app.command()(_command)


def main() -> None:
    """Run the command line; errors that a user can mend are one line, not a traceback."""
    try:
        app()
    except (ValueError, TypeError, OSError, ImportError, NotImplementedError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
