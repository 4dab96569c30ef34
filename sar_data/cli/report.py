"""sar-data report"""

from __future__ import annotations

from pathlib import Path

import click

from sar_data.cli.choices import BuildFolder


@click.command("report", short_help="Write the contents and the history of a build as one HTML page.")
@click.argument("path", metavar="BUILD", type=BuildFolder())
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.html", help="By default BUILD.report.html."
)
@click.option("--language", default="en", show_default=True, metavar="en|zh", help="Of the page.")
def command(path: Path, out: Path | None, language: str) -> None:
    """Write the contents and the history of a build as one HTML page, without network and scripts.

    It lies beside the build, because it is no part of the sealed files.
    """
    from sar_data.reports.build import report
    from sar_data.sealed.opened import Build

    click.echo(str(report(Build.open(path), out, language).absolute()))
