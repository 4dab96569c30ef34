"""sar-data init"""

from __future__ import annotations

from pathlib import Path

import click

from sar_data.cli.choices import Existing
from sar_data.cli.console import say


@click.command("init", short_help="Look at a folder of your own and begin its dataset.toml.")
@click.argument("folder", metavar="DIR", type=Existing())
def command(folder: Path) -> None:
    """Look at a folder of your own images and write DIR/dataset.toml: what is seen, guessed and asked; print its path.

    Counts, sizes, values and places are shown as evidence. What would be a silent guess, as the unit, is left to you. A
    dataset.toml that is there is never overwritten.
    """
    from sar_data import catalog
    from sar_data.own.begin import begin

    path = begin(folder, catalog.names())
    asked = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("# ASK")]
    for line in asked:
        say(line.removeprefix("# "))
    say(f"{len(asked)} questions wait in {path}; then: sar-data build {folder} --out builds")
    click.echo(str(path))
