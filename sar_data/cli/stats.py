"""sar-data stats"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sar_data.cli.choices import DatasetName, Named, SplitName, named
from sar_data.cli.console import console
from sar_data.cli.crew import crew, runner_options
from sar_data.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from sar_data.builder.counted import StatsRequest
    from sar_data.sealed.documents import BandDocument, BandStatistics, SplitStatistics
    from sar_data.sealed.opened import Build
    from sar_data.sealed.strata import Shift, Stratum

MOST_PARTS = 30  # that are printed
CIRCULAR = {"mean direction": "mean_direction", "resultant length": "resultant_length"}  # of a phase
DOUBTFUL = ("zeros", "at min", "at max", "below noise floor", "border noise")
FIGURES = ("mean", "std", "min", "p1", "p5", "p25", "p50", "p75", "p95", "p99", "max")


@click.command("stats", short_help="Show the band statistics of a build or of a raw folder.")
@click.argument("path", type=Named(file=True))
@click.option(
    "--split", type=SplitName(), metavar="NAME", help="One split; without it all of them. A raw folder has one: all."
)
@click.option(
    "--by",
    metavar="NAME",
    help="Of a build: parts by class, pass, orbit, season, month, year, platform, place, group, split or an attribute.",
)
@click.option(
    "--against",
    metavar="NAME|FILE|BUILD",
    help="Of a build: beside published figures, those of a JSON file, or another build, with a verdict.",
)
@click.option("--looks", is_flag=True, help="Of a build: read a draw of images for looks, zeros and saturated values.")
@click.option("--reference", metavar="NAME", help="Of --by: the part that shifts are from; by default the first.")
@click.option("--images", type=int, default=1000, show_default=True, metavar="N", help="Of --looks: how many are read.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Draw histograms.")
@click.option("--recompute", is_flag=True, help="Of a build: read the pixels again instead of the manifest.")
@click.option("--dataset", type=DatasetName(), help="Of a raw folder: its dataset, where it cannot be told.")
@click.option("--variant", metavar="NAME", help="Of a raw folder: another form of its dataset; `info` lists them.")
@runner_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    path: Path,
    split: str | None,
    by: str | None,
    against: str | None,
    looks: bool,
    plot: Path | None,
    recompute: bool,
    dataset: str | None,
    variant: str | None,
    reference: str | None,
    images: int,
    as_json: bool,
    **computing: Any,
) -> None:
    """Show the band statistics of a build or of a raw folder.

    A build has them recorded; a raw folder, --recompute and --plot read every pixel. --by tells them of parts of a
    build, and how far each part is from the first. Masked pixels are counted and left out. Mind that the mean of dB
    values is not the dB value of the mean power.
    """
    from sar_data.builder.counted import StatsRequest
    from sar_data.sealed.recorded import nonempty_splits, statistics
    from sar_data.sealed.strata import add_row_figures

    request = StatsRequest(
        path=path, split=split, by=by, recompute=recompute, dataset=dataset, variant=variant, plot=plot
    )
    build = request.open()
    if reference and not by:
        raise UsageError("--reference: expected --by with it")
    if by or against or looks:
        if build is None or request.reads or sum(map(bool, (by, against, looks))) > 1:
            raise UsageError("--by, --against, --looks: expected one of them, of a sealed build, and no other figures")
        if by:
            _parts(build, by, split, reference, as_json)
        elif against:
            _against(build, against, split or "train", as_json)
        else:
            _looks(build, split or "train", images, as_json)
        return
    if build and not request.reads:
        title, figures = build.manifest.title, statistics(build, split)
    else:
        title, figures = _counted(request, build, computing)
    if as_json:
        documents = {name: document.model_dump(mode="json") for name, document in figures.items()}
        facts = {"path": str(path.absolute()), "title": title, "splits": documents}
        click.echo(json.dumps(facts, indent=1, ensure_ascii=False))
        return
    bands = None
    if build and not request.reads:
        bands, figures = build.manifest.bands, add_row_figures(build, figures)
    for name, document in figures.items():
        console().print(_table(f"{title} · {name}", document, bands))
    if build and split is None and (empty := build.manifest.splits.keys() - nonempty_splits(build.manifest)):
        click.echo(f"empty: {', '.join(sorted(empty))}")


def _counted(
    request: StatsRequest, build: Build | None, computing: Mapping[str, Any]
) -> tuple[str, dict[str, SplitStatistics]]:
    """Return the title and the figures of pixels that are read now, and draw them."""
    from sar_data.builder.counted import counted
    from sar_data.cli.meter import Meter
    from sar_data.sealed.opened import layout_of
    from sar_data.views.histograms import histograms

    size = layout_of(build.manifest).image_bytes() if build else 0
    with crew(**computing) as runner, Meter(size) as meter:
        found = counted(request, runner, meter)
    figures = found.figures()
    if request.plot:
        histograms(found.statistics, found.bands, f"{found.title} · {', '.join(figures)}", request.plot)
    return found.title, figures


def _parts(build: Build, by: str, split: str | None, reference: str | None, as_json: bool) -> None:
    """Print the figures of the parts of a build, and how far each is from the reference."""
    from sar_data.sealed.strata import shifts, strata

    parts = strata(build, by, split)
    moved = shifts(parts, reference)
    origin = reference or next(iter(parts))
    if as_json:
        found = {
            name: {
                "images": part.images,
                "bands": part.figures.model_dump(mode="json")["bands"],
                "shift": {band: asdict(one) for band, one in moved.get(name, {}).items()},
            }
            for name, part in parts.items()
        }
        facts = {"path": str(build.path), "by": by, "reference": origin, "parts": found}
        click.echo(json.dumps(facts, indent=1, ensure_ascii=False))
        return
    shown = dict(list(parts.items())[:MOST_PARTS])
    console().print(_strata(f"{build.manifest.title} · by {by}", shown, moved))
    if more := len(parts) - len(shown):
        click.echo(f"and {more:,} more: --json has all")
    click.echo(f"shift from {origin}: σ of the mean, KS, PSI; percentiles are merged and approximate")


def _against(build: Build, other: str, split: str, as_json: bool) -> None:
    """Print the figures of a build's split beside others, and what is odd about those."""
    from rich.table import Table

    from sar_data.sealed.against import against
    from sar_data.statistics.published import published_figures

    found = against(build, other if other in published_figures() else named(other) or other, split)
    if as_json:
        facts = found.document() | {"path": str(build.path), "split": split}
        click.echo(json.dumps(facts, indent=1, ensure_ascii=False))
        return
    title = f"{build.manifest.title} · {split}, against {found.name}, in {found.unit}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, title_style="bold")
    for name in ("band", "mean", "std", "their mean", "their std", "shift σ", "std ratio", "KS", "PSI"):
        table.add_column(name, justify="left" if name == "band" else "right")
    for band, one in found.bands.items():
        figures = (one.mean, one.std, one.other_mean, one.other_std)
        moved = found.shifts.get(band)
        distances = (f"{moved.ks:.3f}", f"{moved.psi:.3f}") if moved else ("", "")
        table.add_row(band, *(f"{value:.4g}" for value in figures), f"{one.sigma:+.3f}", f"{one.ratio:.3f}", *distances)
    console().print(table)
    click.echo(f"source: {found.source}")
    for sentence in found.verdict:
        click.echo(sentence)


def _looks(build: Build, split: str, images: int, as_json: bool) -> None:
    """Print looks, zeros and values at the ends of a draw of images."""
    from rich.table import Table

    from sar_data.sealed.looks import radiometry

    found = radiometry(build, split, images)
    if as_json:
        bands = {band: asdict(one) for band, one in found.items()}
        click.echo(json.dumps({"path": str(build.path), "split": split, "bands": bands}, indent=1, ensure_ascii=False))
        return
    read = next(iter(found.values())).images
    title = f"{build.manifest.title} · {split}, {read:,} images"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, title_style="bold")
    for name in ("band", "looks (ENL)", "windows", "neighbours", "zeros", "at least", "at largest", "pixels"):
        table.add_column(name, justify="left" if name == "band" else "right")
    for band, one in found.items():
        figures = ("–" if value is None else f"{value:.2f}" for value in (one.enl, one.correlation))
        enl, correlation = figures
        counts = (f"{count:,}" for count in (one.zeros, one.at_min, one.at_max, one.pixels))
        table.add_row(band, enl, f"{one.windows:,}", correlation, *counts)
    console().print(table)


def _strata(title: str, parts: Mapping[str, Stratum], moved: Mapping[str, Mapping[str, Shift]]) -> Table:
    """Return a row a part and band."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, pad_edge=False, title_style="bold")
    for name in ("", "images", "band", "mean", "std", "p5", "p50", "p95", "zeros", "shift σ", "KS", "PSI"):
        table.add_column(name, justify="left" if name in ("", "band") else "right")
    for name, part in parts.items():
        for i, (band, figures) in enumerate(part.figures.bands.items()):
            own, one = figures.stored, moved.get(name, {}).get(band)
            values = [own.mean, own.std, *(own.percentiles.get(p) for p in ("p5", "p50", "p95"))]
            distances = ("", "", "")
            if one:
                distances = ("–" if one.sigma is None else f"{one.sigma:+.3f}", f"{one.ks:.3f}", f"{one.psi:.3f}")
            table.add_row(
                *((name, f"{part.images:,}") if i == 0 else ("", "")),
                band,
                *("–" if value is None else f"{value:.4g}" for value in values),
                f"{figures.zeros or 0:,}",
                *distances,
            )
    return table


def _doubtful(figures: BandStatistics, band: BandDocument | None) -> dict[str, str]:
    """Return what is told of pixels that may be no measurement; of a recorded `band` also what is not known."""
    counts = {"zeros": figures.zeros, "at min": figures.at_min, "at max": figures.at_max}
    told = {name: f"{count:,}" for name, count in counts.items() if count is not None}
    if band is not None:
        told |= {name: "not known" for name in counts if name not in told}
        share, border = figures.below_noise, band.processing.border_noise if band.processing else "unknown"
        told["below noise floor"] = "not known" if share is None else f"about {share:.1%}"
        told["border noise"] = {"removed": "removed before", "none": "none"}.get(border, "not known")
    return told


def _table(title: str, statistics: SplitStatistics, bands: Sequence[BandDocument] | None = None) -> Table:
    """Return one split's figures downwards, bands and domains across; `bands` are those of recorded ones."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, pad_edge=False, title_style="bold")
    table.add_column("")
    names = ("count", "masked", *DOUBTFUL, *FIGURES, "10·log10(mean)", *CIRCULAR)
    rows: dict[str, list[str]] = {name: [] for name in names}
    known = {band.name: band for band in bands or ()}
    for band, figures in statistics.bands.items():
        for domain in (figures.stored, figures.db, figures.power):
            if domain is None:
                continue
            table.add_column(f"{band} {'' if domain.unit == '1' else domain.unit}".strip(), justify="right")
            rows["count"].append(f"{figures.count:,}")
            told = _doubtful(figures, known.get(band)) if domain is figures.stored else {}
            for name in DOUBTFUL:
                rows[name].append(told.get(name, ""))
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
            for name, field in CIRCULAR.items():
                rows[name].append(f"{getattr(figures.circular, field):.3f}" if figures.circular else "")
    for name, cells in rows.items():
        if any(cells):
            table.add_row(name, *cells)
    return table
