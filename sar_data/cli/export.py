"""sar-data export: a command for each target of sar_data/exporters."""

from __future__ import annotations

import functools
from pathlib import Path

import click

from sar_data.cli.choices import BuildFolder
from sar_data.cli.console import say
from sar_data.cli.meter import Meter
from sar_data.cli.tree import Group
from sar_data.exporters import PARTS, TARGETS, Exporter, Target


@click.group("export", cls=Group, short_help="Write a build as files that other tools read: COCO, YOLO, LMDB, ….")
def command() -> None:
    """Write a sealed build as files that other tools read, whole or not at all.

    What a target cannot hold is printed, and listed in sar-data.json beside the files.
    """


def _write(target: Target, path: Path, out: Path) -> None:
    from sar_data.public import export

    with Meter() as meter:
        exported = export(target, path, out, progress=meter)
    if exported.lost:
        say(f"lost: {'; '.join(exported.lost)}")
    click.echo(str(exported.folder.absolute()))


def _leaf(target: Target, exporter: Exporter) -> click.Command:
    lost = "; ".join(words for part, words in PARTS.items() if part not in exporter.keeps) or "nothing"
    note = f"{exporter.note[0].upper()}{exporter.note[1:]}."
    return click.Command(
        target,
        callback=functools.partial(_write, target),
        params=[
            click.Argument(["path"], metavar="BUILD", type=BuildFolder()),
            click.Option(
                ["--out"],
                type=click.Path(file_okay=False, path_type=Path),
                required=True,
                metavar="FOLDER",
                help="A new folder.",
            ),
        ],
        help=f"{exporter.title}\n\n{note}\n\nRead by {exporter.reader}. Lost: {lost}.",
        short_help=exporter.title,
    )


for name, entry in TARGETS.items():
    command.add_command(_leaf(name, entry))
