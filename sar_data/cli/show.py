"""sar-data show"""

from __future__ import annotations

from pathlib import Path

import click

from sar_data.cli.choices import BuildPlace, SplitName


@click.command("show", short_help="Draw a contact sheet of a build.")
@click.argument("path", metavar="BUILD", type=BuildPlace())
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE",
    help="PNG, PDF or SVG, by its suffix.",
)
@click.option(
    "--split", type=SplitName(), default="train", show_default=True, metavar="NAME", help="train, val or test."
)
@click.option("--count", type=click.IntRange(1, 100), default=16, show_default=True, metavar="N", help="Patches.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N", help="Seed of the choice."
)
@click.option("--band", metavar="NAME", help="Only this band, a phase in colours; by default VV and VH, or the first.")
def command(path: str, out: Path, split: str, count: int, seed: int, band: str | None) -> None:
    """Draw a contact sheet of a build: some patches with a visible contrast and their labels."""
    from sar_data.sealed.opened import Build
    from sar_data.views.contact_sheet import contact_sheet

    contact_sheet(Build.open(path), out, split=split, count=count, seed=seed, band=band)
    click.echo(str(out.absolute()))
