"""Where tables and sentences are printed."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING

import click

from sar_data.cli.words import render

if TYPE_CHECKING:
    from rich.console import Console

WIDE = 200  # columns, without a terminal
NARROW = 80  # columns that a paragraph needs at most


def console() -> Console:
    """Return a console on stdout, as wide as the terminal, or wide enough for any table in a pipe.

    Text is printed as it is: names from outside are no markup.
    """
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else WIDE)


def say(text: str) -> None:
    """Print a sentence of the library on stderr, with its changes as options."""
    line("", text, err=True)


def paragraph(head: str, text: str) -> str:
    """Return a text of at most NARROW columns behind its head, below which its other lines begin."""
    lines = textwrap.wrap(
        text, NARROW, initial_indent=head, subsequent_indent=" " * len(head), break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
    return "\n".join(lines) or head.rstrip()


def line(head: str, text: str, *, err: bool = False) -> None:
    """Print a sentence of the library behind a head: as a paragraph on a terminal, elsewhere as one line."""
    text = render(text)
    at_terminal = (sys.stderr if err else sys.stdout).isatty()
    click.echo(paragraph(head, text) if at_terminal else (head + text).rstrip(), err=err)
