"""sar-data export"""

from __future__ import annotations

from pathlib import Path

import click

from sar_data.cli.choices import BuildFolder
from sar_data.cli.tree import Group


@click.group("export", cls=Group, short_help="Write a build as a document for another tool.")
def command() -> None:
    """Write a sealed build as a document for another tool."""


@command.command("coco", short_help="Detections as COCO JSON.")
@click.argument("path", metavar="BUILD", type=BuildFolder())
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, metavar="FOLDER", help="For SPLIT.json."
)
def coco(path: Path, out: Path) -> None:
    """Write the detections of a build as COCO JSON, one file a split.

    Images have their paths below the source; rotated boxes are in the field `rotated` of an annotation.
    """
    from sar_data.public import export

    for document in export("coco", path, out):
        click.echo(str(document.absolute()))
