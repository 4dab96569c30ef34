"""The command `sar-data`: how it starts, stops and reports failures. sar_data.cli.tree has the commands."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Any, NoReturn

import click

from sar_data import __version__
from sar_data.cli.console import say
from sar_data.cli.exits import FAILURE, USAGE
from sar_data.cli.stop import Note, Stopped, stoppable
from sar_data.cli.tree import Tree
from sar_data.cli.words import spell
from sar_data.errors import SarDataError, UsageError, unknown

LONGEST = 200  # characters of a path in an error that the system raised


class Program(Tree):
    """The tree, run as a program: it prints every failure in one line."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Run and exit: 0 for success, 1 for a failure, 2 for wrong usage, 130 or 143 after a signal."""
        note = Note()
        if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
            sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may be any bytes
        try:
            with stoppable(note):
                # Not standalone: click's own reports differ from ours, and it treats Ctrl-C as a failure.
                name = prog_name or "sar-data"
                code = super().main(args, name, complete_var, standalone_mode=False, obj=note, **extra)
        except (Exception, Stopped) as error:
            reported = _report(error, note)
            if reported is None:
                raise
            code = reported
        sys.exit(code or 0)


def _report(error: BaseException, note: Note) -> int | None:
    """Print an error in one line and return its exit code; None for an unexpected error."""
    if note.code is not None:  # any error: a stop in the middle of an import may raise another one
        _say(f"stopped: {note.describe_kept()}")
        return note.code
    if isinstance(error, click.Abort):
        _say("expected an answer to the question, found none: nothing was changed")
        return FAILURE
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return error.exit_code
    if isinstance(error, click.ClickException):
        context = error.ctx if isinstance(error, click.UsageError) else None
        _say(f"{_reason(error)}{f' (see {context.command_path} --help)' if context else ''}")
        return error.exit_code
    if isinstance(error, SarDataError):
        _say(str(error))
        return USAGE if isinstance(error, UsageError) else FAILURE
    if isinstance(error, OSError) and error.filename is not None:  # a path that this machine cannot open
        _say(f"{os.fsdecode(error.filename)[:LONGEST]}: cannot be read: {error.strerror}")
        return FAILURE
    return None


def _reason(error: click.ClickException) -> str:
    """Return the reason of an error of click; for an unknown option with the nearest existing ones."""
    if isinstance(error, click.NoSuchOption) and error.ctx is not None:
        options = [option for param in error.ctx.command.get_params(error.ctx) for option in param.opts]
        return str(unknown("option", error.option_name, [option for option in options if option.startswith("--")]))
    return error.format_message()


def _say(message: str) -> None:
    say(f"sar-data: {message}")


SETTINGS = {"help_option_names": ["-h", "--help"], "token_normalize_func": spell}


@click.command(cls=Program, context_settings=SETTINGS)
@click.version_option(__version__, prog_name="sar-data")
def main() -> None:
    """SAR datasets as sealed, training-ready builds: LMDB, WebDataset or Zarr."""
