"""sar-data builds"""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import click

from sar_data.cli.choices import FolderPlace
from sar_data.cli.console import paragraph

if TYPE_CHECKING:
    from sar_data.inventory import Entry


@click.command("builds", short_help="List builds and runs; remove the rest of stopped builds.")
@click.argument("folder", metavar="[DIR|URL]", required=False, type=FolderPlace())
@click.option("--clean", is_flag=True, help="Remove the hidden folders of stopped builds and exports, after asking.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(folder: Path | str | None, clean: bool, yes: bool, as_json: bool) -> None:
    """List the builds and runs below DIR, by default those below ./builds and ./runs.

    SAR_DATA_BUILDS and SAR_DATA_RUNS name other folders. Every command that takes a build or a run
    also takes `latest`, or the beginning of a name in this list, such as `zarr-3f`.
    """
    from sar_data import inventory

    entries = inventory.builds(folder)
    if as_json:
        rows = [asdict(entry) | {"path": str(entry.path)} for entry in entries]
        click.echo(json.dumps(rows, indent=1, ensure_ascii=False))
    for parent, members in () if as_json else groupby(entries, key=lambda entry: str(entry.path).rpartition("/")[0]):
        click.echo(parent)
        for entry in members:
            _show(entry)
    if not entries:
        places = folder or " and ".join(f"{inventory.home(kind)}" for kind in inventory.HOMES)
        click.echo(f"no builds and no runs in {places}", err=True)
    if clean:
        _clean([entry for entry in entries if entry.state == "unfinished" and entry.kind == "build"], yes)


def _show(entry: Entry) -> None:
    from rich.filesize import decimal

    name = PurePosixPath(entry.path).name
    about = f"{entry.samples:,} samples" if entry.samples is not None else entry.dataset
    # A long name is that of a folder that no command accepts, so its contents matter less.
    left = f"{name:<19} {entry.what:<10} {about:.15}" if len(name) <= 19 else name
    click.echo(f"  {left:<46} {decimal(entry.bytes):>8} {entry.date[:10]} {entry.state}")
    if entry.reason:
        click.echo(paragraph("    ", entry.reason))


def _clean(left: list[Entry], yes: bool) -> None:
    """Remove what stopped processes left, from which the same command could have continued."""
    from rich.filesize import decimal

    from sar_data.inventory import LEFT, remove

    for entry in left:
        question = f"Remove {entry.path} ({decimal(entry.bytes)})? {LEFT[PurePosixPath(entry.path).suffix]}"
        if yes or click.confirm(question, err=True):
            is_removed = remove(entry)
            click.echo(
                f"removed {entry.path}" if is_removed else f"{entry.path}: another process uses it, or it is not yours",
                err=True,
            )
    if not left:
        click.echo("nothing to clean: there is no unfinished build", err=True)
