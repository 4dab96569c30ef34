"""The command `sar-data`: each command is a module imported on use, so that help costs nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import click

from sar_data import __version__
from sar_data.cli.stop import Note, Stopped, stoppable
from sar_data.errors import SarDataError, UsageError, unknown

# Command → its help in one line; the module sar_data.cli.NAME, with underscores, exposes `command`.
COMMANDS = {
    "datasets": "List the datasets that can be built.",
    "info": "Show all that is known of a dataset: sources, licence, layout, classes, splits.",
    "fetch": "Download a dataset's sources, verify them, say what is to be got by hand.",
    "synth": "Write a miniature archive of a dataset, to try things on.",
    "build": "Build a dataset from its raw files into a sealed folder.",
    "repack": "Bake a sealed build into another container, size, dtype or normalization.",
    "stats": "Show the band statistics of a build or of a raw folder.",
    "verify": "Check a sealed build against its manifest; list all that is wrong.",
    "show": "Draw a contact sheet of a build.",
    "export": "Write what a build says as a document of another tool, such as COCO JSON.",
    "bench-loader": "Measure how fast a build streams on this machine.",
    "train": "Train on a build: probe, finetune, segment, detect.",
    "scenes": "Find the satellite products a dataset was cut from, and fetch them.",
    "run": "Start a Prefect deployment by its bare name.",
}
USAGE, FAILURE = 2, 1  # exit codes


class Commands(click.Group):
    """A group that imports a command when it is named, and says every failure in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            if ctx.resilient_parsing:
                return None
            raise unknown("command", cmd_name, COMMANDS)
        command: click.Command = import_module(f"sar_data.cli.{cmd_name.replace('-', '_')}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Run and exit: 0 on success alone, 1 failure, 2 wrong usage, 130 and 143 when stopped by a signal."""
        note = Note()
        try:
            with stoppable(note):
                # Not standalone: click's own reports differ from ours, and it takes Ctrl-C for a failure.
                name = prog_name or "sar-data"
                code = super().main(args, name, complete_var, standalone_mode=False, obj=note, **extra)
        except (Exception, Stopped) as error:
            told = _told(error, note)
            if told is None:
                raise
            code = told
        sys.exit(code or 0)


def _told(error: BaseException, note: Note) -> int | None:
    """Say an error in one line and return its exit code; None for one that nobody foresaw."""
    if note.code is not None:  # whatever it is: a stop in the middle of an import may come as another error
        _say(f"stopped: {note.kept()}")
        return note.code
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return error.exit_code
    if isinstance(error, click.ClickException):
        context = error.ctx if isinstance(error, click.UsageError) else None
        _say(f"{error.format_message()}{f' (see {context.command_path} --help)' if context else ''}")
        return error.exit_code
    if isinstance(error, SarDataError):
        _say(str(error))
        return USAGE if isinstance(error, UsageError) else FAILURE
    return None


def _say(message: str) -> None:
    click.echo(f"sar-data: {message}", err=True)


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sar-data")
def main() -> None:
    """SAR datasets as sealed, training-ready builds: LMDB, WebDataset or Zarr."""
