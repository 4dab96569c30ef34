"""sar-data report"""

from __future__ import annotations

from pathlib import Path

import click

from sar_data.cli.choices import BuildFolder


@click.command("report", short_help="Write what a build holds and how it was made as one HTML page.")
@click.argument("path", metavar="BUILD", type=BuildFolder())
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.html", help="By default BUILD.report.html."
)
@click.option("--language", default="en", show_default=True, metavar="en|zh", help="Of the page.")
def command(path: Path, out: Path | None, language: str) -> None:
    """Write what a build holds and how it was made as one HTML page that needs no network and no script.

    It lies beside the build, since it is no part of what is sealed.
    """
    from sar_data.reports.build import report
    from sar_data.sealed.opened import Build

    click.echo(str(report(Build.open(path), out, language).absolute()))
