"""sar-data synth"""

from __future__ import annotations

from pathlib import Path

import click

from sar_data.cli.choices import DatasetName
from sar_data.errors import UsageError


@click.command("synth", short_help="Write a miniature archive of a dataset, to try the commands.")
@click.argument("name", type=DatasetName())
@click.option("--variant", metavar="NAME", help="Another form of the dataset; `info` lists them.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="New or empty folder.")
@click.option("--count", type=click.IntRange(min=1), default=240, show_default=True, metavar="N", help="Samples.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N")
def command(name: str, variant: str | None, out: Path, count: int, seed: int) -> None:
    """Write a miniature archive of a dataset in its published layout; print its folder.

    Its pixels are synthetic: useful to try the commands, useless for science.
    """
    from sar_data import catalog

    make = catalog.synthesise(name, variant)
    # Among real files, nobody could tell the synthetic ones apart again.
    if out.is_dir() and next(out.iterdir(), None) is not None:
        raise UsageError(f"--out {out}: expected a new or an empty folder, found one with files in it")
    make(out, count=count, seed=seed)
    click.echo(str(out.absolute()))
