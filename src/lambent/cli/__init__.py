"""The command line: `lambent demo | encode | listen | train | export | evaluate | simulate | report | sweep | info`."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from lambent.cli import demo, encode, evaluate, export, info, listen, report, simulate, sweep, train
from lambent.machine.version import VERSION

__all__ = ["app", "main"]

app = typer.Typer(
    help="Train spiking networks with exact event-based gradients and see what they do on a neuromorphic chip.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


class _Command(TyperCommand):
    """A command whose help lists its options in groups, those of `rich_help_panel`, without frames around them."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if (shown := parameter.get_help_record(ctx)) is not None:
                plain = "Arguments" if parameter.param_type_name == "argument" else "Options"
                groups.setdefault(getattr(parameter, "rich_help_panel", None) or plain, []).append(shown)
        for title, rows in groups.items():
            with formatter.section(title):
                formatter.write_dl(rows)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"lambent {VERSION}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Say which version this is.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


for _command in (
    demo.demo, encode.encode, train.train, export.export, evaluate.evaluate, report.report, simulate.simulate,
    listen.listen, info.info, sweep.sweep,
):  # fmt: skip
    # given as `short_help` the first line is shown whole, however narrow the terminal
    app.command(cls=_Command, short_help=(_command.__doc__ or "").partition("\n")[0])(_command)


def main() -> None:
    """Run the command line; errors that a user can mend are one line, not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that a terminal cannot show is no reason to stop
    try:
        app(prog_name="lambent")
    except (ValueError, TypeError, OSError, ImportError, NotImplementedError, MemoryError) as error:
        print(f"error: {_told(error)}", file=sys.stderr)
        sys.exit(1)
    except RuntimeError as error:
        if "allocate memory" not in str(error):  # torch's way to say that there is not enough
            raise
        print(f"error: not enough memory: {error}", file=sys.stderr)
        sys.exit(1)


def _told(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"  # the system's own, without its number
    return str(error) or "not enough memory"
