"""Where tables and sentences are printed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from sar_data.cli.words import rendered

if TYPE_CHECKING:
    from rich.console import Console

WIDE = 200  # columns, where no terminal limits them


def console() -> Console:
    """Return a console on stdout, as wide as the terminal, or wide enough for any table in a pipe.

    Text is printed as it is: what a stranger calls something is no markup.
    """
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else WIDE)


def say(line: str) -> None:
    """Print a sentence of the library on stderr, what is to change as options."""
    click.echo(rendered(line), err=True)
