"""sar-data leakage"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from sar_data.cli.choices import DatasetName, ExistingPath, PathOrWord, PolicyName
from sar_data.cli.console import line
from sar_data.cli.crew import crew, runner_options


@click.command("leakage", short_help="Show what a split, or a set of samples, shares with another.")
@click.argument("path", type=PathOrWord(file=True))
@click.option("--against", type=PathOrWord(file=True), metavar="PATH", help="Judge all samples against all of this.")
@click.option(
    "--dataset", type=DatasetName(), help="Of raw files and lists: their dataset, where it is not recognised."
)
@click.option("--variant", metavar="NAME", help="Of raw files: another form of their dataset; `info` lists them.")
@click.option("--split", type=PolicyName(), metavar="POLICY", help="Of raw files: their split policy, as in build.")
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="Of the split.")
@click.option(
    "--lists", type=ExistingPath(), metavar="DIR", help="Folder of official lists, or of tables of other names."
)
@click.option("--full", is_flag=True, help="Read all pixels: of raw files, and of builds without thumbnails.")
@click.option("--fail-above", metavar="NAME=SHARE,…", help="Exit with 1 where a figure is above its limit, or unknown.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Draw worst pairs.")
@runner_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    path: Path, workers: int | None, runner: Any, dask_address: str | None, as_json: bool, **options: Any
) -> None:
    """Show what the test and val samples of PATH share with train, or all of them with those of another PATH.

    PATH is a sealed build, raw files or their archive, or a list of names (.csv, .txt, .parquet, COCO's .json) of a
    dataset whose names contain their place. docs/leakage.md explains the figures and their limits.
    """
    from sar_data.builder.leakage import LeakageRequest, leakage
    from sar_data.cli.meter import Meter

    request = LeakageRequest(path=path, **options)
    with crew(workers, runner, dask_address) as computing, Meter() as meter:
        report = leakage(request, computing, meter)
    if request.plot:
        from sar_data.views.pairs import draw

        draw(report.builds, report.pairs, report.title, request.plot)
    if as_json:
        click.echo(json.dumps({"path": str(path.absolute()), **report.document()}, indent=1, ensure_ascii=False))
    else:
        click.echo(report.title)
        for text in report.lines():
            line("  ", text)
    report.check(request.limits)
