"""sar-data stats"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sar_data.cli.choices import DatasetName, Existing
from sar_data.cli.console import console
from sar_data.cli.crew import crew, workers_option
from sar_data.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from sar_data.sealed.documents import SplitStatistics

FIGURES = ("mean", "std", "min", "p1", "p5", "p25", "p50", "p75", "p95", "p99", "max")


@click.command("stats", short_help="Show the band statistics of a build or of a raw folder.")
@click.argument("path", type=Existing(file=True))
@click.option("--split", metavar="NAME", help="One split; without it all of them. A raw folder has one: all.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.png", help="Draw histograms.")
@click.option("--recompute", is_flag=True, help="Of a build: read the pixels again instead of the manifest.")
@click.option("--dataset", type=DatasetName(), help="Of a raw folder: its dataset, where it cannot be told.")
@click.option("--variant", metavar="NAME", help="Of a raw folder: another form of its dataset; `info` lists them.")
@workers_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    path: Path,
    split: str | None,
    plot: Path | None,
    recompute: bool,
    dataset: str | None,
    variant: str | None,
    workers: int | None,
    as_json: bool,
) -> None:
    """Show the band statistics of a build or of a raw folder.

    A build has them recorded; a raw folder, --recompute and --plot read every pixel. Masked pixels are counted and
    left out. Mind that the mean of dB values is not the dB value of the mean power.
    """
    from sar_data.builder.counted import counted, opened
    from sar_data.cli.meter import Meter
    from sar_data.sealed.opened import layout_of
    from sar_data.sealed.recorded import filled, statistics

    if plot and plot.suffix.lower() != ".png":
        raise UsageError(f"--plot {plot}: expected a file name ending in .png, found {plot.suffix or 'no ending'}")
    build = opened(path, dataset, variant)
    if build and not (recompute or plot):
        title, figures = build.manifest.title, statistics(build, split)
    else:
        size = layout_of(build.manifest).image_bytes() if build else 0
        with crew(workers) as runner, Meter(size) as meter:
            found = counted(path, split, runner, dataset=dataset, variant=variant, progress=meter)
        title, figures = found.title, found.figures()
        if plot:
            from sar_data.views.histograms import histograms

            histograms(found.statistics, found.bands, f"{title} · {', '.join(figures)}", plot)
    if as_json:
        documents = {name: document.model_dump(mode="json") for name, document in figures.items()}
        facts = {"path": str(path.absolute()), "title": title, "splits": documents}
        click.echo(json.dumps(facts, indent=1, ensure_ascii=False))
        return
    for name, document in figures.items():
        console().print(_table(f"{title} · {name}", document))
    if build and split is None and (empty := build.manifest.splits.keys() - filled(build.manifest)):
        click.echo(f"empty: {', '.join(sorted(empty))}")


def _table(title: str, statistics: SplitStatistics) -> Table:
    """Return one split's figures downwards, bands and domains across."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, pad_edge=False, title_style="bold")
    table.add_column("")
    rows: dict[str, list[str]] = {name: [] for name in ("count", "masked", *FIGURES, "10·log10(mean)")}
    for band, figures in statistics.bands.items():
        for domain in (figures.stored, figures.db, figures.power):
            if domain is None:
                continue
            table.add_column(f"{band} {'' if domain.unit == '1' else domain.unit}".strip(), justify="right")
            rows["count"].append(f"{figures.count:,}")
            rows["masked"].append(", ".join(f"{n:,} {reason}" for reason, n in figures.masked.items() if n) or "0")
            values = domain.percentiles | {name: getattr(domain, name) for name in ("mean", "std", "min", "max")}
            linear = domain.unit in ("power", "amplitude")
            for name in FIGURES:
                value = values.get(name)
                rows[name].append("–" if value is None else f"{value:.4g}" if linear else f"{value:.3f}")
            decibel = (
                domain.mean and domain.mean > 0 and domain.unit == "power" and f"{10 * math.log10(domain.mean):.3f} dB"
            )
            rows["10·log10(mean)"].append(decibel or "")
    for name, cells in rows.items():
        if any(cells):
            table.add_row(name, *cells)
    return table
