"""sar-data stats"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sar_data.cli.choices import DatasetName, PlaceOrWord, SplitName, resolve_word
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
@click.argument("path", type=PlaceOrWord(file=True))
@click.option(
    "--split", type=SplitName(), metavar="NAME", help="One split; by default all of them. A raw folder has one: all."
)
@click.option(
    "--by",
    metavar="NAME",
    help="Of a build: parts by class, pass, orbit, season, month, year, platform, place, group, split, date (reads "
    "pixels) or an attribute.",
)
@click.option(
    "--against",
    metavar="NAME|FILE|BUILD",
    help="Of a build: beside published figures, those of a JSON file, or another build, with a verdict.",
)
@click.option(
    "--looks", is_flag=True, help="Of a build: read a random sample of images for looks, zeros and saturated values."
)
@click.option("--reference", metavar="NAME", help="Of --by: the reference part of shifts; by default the first.")
@click.option(
    "--images", type=int, default=1000, show_default=True, metavar="N", help="Of --looks: the number of images to read."
)
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Draw histograms.")
@click.option("--recompute", is_flag=True, help="Of a build: read the pixels again instead of the manifest.")
@click.option("--dataset", type=DatasetName(), help="Of a raw folder: its dataset, where it is not recognised.")
@click.option("--variant", metavar="NAME", help="Of a raw folder: another form of its dataset; `info` lists them.")
@runner_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    path: str | Path,
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

    A build records them; for a raw folder, --recompute and --plot the command reads every pixel. --by shows them for
    parts of a build, and the shift of each part from the first. Masked pixels are counted and left out. The mean of dB
    values is not the dB value of the mean power.
    """
    from sar_data.builder.counted import StatsRequest
    from sar_data.sealed.recorded import nonempty_splits, statistics
    from sar_data.sealed.strata import add_row_figures
    from sar_data.system.store import absolute

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
            _print_parts(build, by, split, reference, as_json)
        elif against:
            _print_comparison(build, against, split or "train", as_json)
        else:
            _print_looks(build, split or "train", images, as_json)
        return
    if build and not request.reads:
        title, figures = build.manifest.title, statistics(build, split)
    else:
        title, figures = _read_figures(request, build, computing)
    if as_json:
        documents = {name: document.model_dump(mode="json") for name, document in figures.items()}
        facts = {"path": str(absolute(path)), "title": title, "splits": documents}
        click.echo(json.dumps(facts, indent=1, ensure_ascii=False))
        return
    bands = None
    if build and not request.reads:
        bands, figures = build.manifest.bands, add_row_figures(build, figures)
    for name, document in figures.items():
        console().print(_split_table(f"{title} · {name}", document, bands))
    if build and split is None and (empty := build.manifest.splits.keys() - nonempty_splits(build.manifest)):
        click.echo(f"empty: {', '.join(sorted(empty))}")


def _read_figures(
    request: StatsRequest, build: Build | None, computing: Mapping[str, Any]
) -> tuple[str, dict[str, SplitStatistics]]:
    """Read pixels; return the title and the figures, and draw histograms where the request asks for them."""
    from sar_data.builder.counted import count
    from sar_data.cli.meter import Meter
    from sar_data.sealed.opened import layout_of
    from sar_data.views.histograms import histograms

    size = layout_of(build.manifest).image_bytes() if build else 0
    with crew(**computing) as runner, Meter(size) as meter:
        figures_read = count(request, runner, meter)
    figures = figures_read.figures()
    if request.plot:
        histograms(
            figures_read.statistics, figures_read.bands, f"{figures_read.title} · {', '.join(figures)}", request.plot
        )
    return figures_read.title, figures


def _print_parts(build: Build, by: str, split: str | None, reference: str | None, as_json: bool) -> None:
    """Print the figures of the parts of a build, and the shift of each from the reference."""
    from sar_data.sealed.strata import shifts, strata

    parts = strata(build, by, split)
    shift_of = shifts(parts, reference)
    origin = reference or next(iter(parts))
    if as_json:
        documents = {
            name: {
                "images": part.images,
                "bands": part.figures.model_dump(mode="json")["bands"],
                "shift": {band: asdict(shift) for band, shift in shift_of.get(name, {}).items()},
            }
            for name, part in parts.items()
        }
        facts = {"path": str(build.place), "by": by, "reference": origin, "parts": documents}
        click.echo(json.dumps(facts, indent=1, ensure_ascii=False))
        return
    shown = dict(list(parts.items())[:MOST_PARTS])
    console().print(_strata_table(f"{build.manifest.title} · by {by}", shown, shift_of))
    if more := len(parts) - len(shown):
        click.echo(f"and {more:,} more: --json has all")
    click.echo(f"shift from {origin}: σ of the mean, KS, PSI; percentiles are merged and approximate")


def _print_comparison(build: Build, other: str, split: str, as_json: bool) -> None:
    """Print the figures of a build's split beside others, with the verdict."""
    from rich.table import Table

    from sar_data.sealed.against import against
    from sar_data.statistics.published import published_figures

    comparison = against(build, other if other in published_figures() else resolve_word(other) or other, split)
    if as_json:
        facts = comparison.document() | {"path": str(build.place), "split": split}
        click.echo(json.dumps(facts, indent=1, ensure_ascii=False))
        return
    title = f"{build.manifest.title} · {split}, against {comparison.name}, in {comparison.unit}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, title_style="bold")
    for name in ("band", "mean", "std", "their mean", "their std", "shift σ", "std ratio", "KS", "PSI"):
        table.add_column(name, justify="left" if name == "band" else "right")
    for band, band_figures in comparison.bands.items():
        figures = (band_figures.mean, band_figures.std, band_figures.other_mean, band_figures.other_std)
        shift = comparison.shifts.get(band)
        distances = (f"{shift.ks:.3f}", f"{shift.psi:.3f}") if shift else ("", "")
        table.add_row(
            band,
            *(f"{value:.4g}" for value in figures),
            f"{band_figures.sigma:+.3f}",
            f"{band_figures.ratio:.3f}",
            *distances,
        )
    console().print(table)
    click.echo(f"source: {comparison.source}")
    for sentence in comparison.verdict:
        click.echo(sentence)


def _print_looks(build: Build, split: str, images: int, as_json: bool) -> None:
    """Print looks, zeros and values at the ends of a random sample of images."""
    from rich.table import Table

    from sar_data.sealed.looks import radiometry

    looks = radiometry(build, split, images)
    if as_json:
        bands = {band: asdict(band_looks) for band, band_looks in looks.items()}
        click.echo(json.dumps({"path": str(build.place), "split": split, "bands": bands}, indent=1, ensure_ascii=False))
        return
    read = next(iter(looks.values())).images
    title = f"{build.manifest.title} · {split}, {read:,} images"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, title_style="bold")
    for name in ("band", "looks (ENL)", "windows", "neighbours", "zeros", "at least", "at largest", "border", "pixels"):
        table.add_column(name, justify="left" if name == "band" else "right")
    for band, band_looks in looks.items():
        figures = ("–" if value is None else f"{value:.2f}" for value in (band_looks.enl, band_looks.correlation))
        enl, correlation = figures
        ends = (band_looks.zeros, band_looks.at_min, band_looks.at_max, band_looks.border, band_looks.pixels)
        counts = ("–" if count is None else f"{count:,}" for count in ends)
        table.add_row(band, enl, f"{band_looks.windows:,}", correlation, *counts)
    console().print(table)


def _strata_table(title: str, parts: Mapping[str, Stratum], shift_of: Mapping[str, Mapping[str, Shift]]) -> Table:
    """Return a row a part and band."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, pad_edge=False, title_style="bold")
    for name in ("", "images", "band", "mean", "std", "p5", "p50", "p95", "zeros", "shift σ", "KS", "PSI"):
        table.add_column(name, justify="left" if name in ("", "band") else "right")
    for name, part in parts.items():
        for i, (band, figures) in enumerate(part.figures.bands.items()):
            stored, shift = figures.stored, shift_of.get(name, {}).get(band)
            values = [stored.mean, stored.std, *(stored.percentiles.get(p) for p in ("p5", "p50", "p95"))]
            distances = ("", "", "")
            if shift:
                distances = (
                    "–" if shift.sigma is None else f"{shift.sigma:+.3f}",
                    f"{shift.ks:.3f}",
                    f"{shift.psi:.3f}",
                )
            table.add_row(
                *((name, f"{part.images:,}") if i == 0 else ("", "")),
                band,
                *("–" if value is None else f"{value:.4g}" for value in values),
                f"{figures.zeros or 0:,}",
                *distances,
            )
    return table


def _doubtful_cells(figures: BandStatistics, band: BandDocument | None) -> dict[str, str]:
    """Return the cells about pixels that may be no measurement; for a recorded `band` also unknown ones."""
    counts = {"zeros": figures.zeros, "at min": figures.at_min, "at max": figures.at_max}
    cells = {name: f"{count:,}" for name, count in counts.items() if count is not None}
    if band is not None:
        cells |= {name: "not known" for name in counts if name not in cells}
        share, border = figures.below_noise, band.processing.border_noise if band.processing else "unknown"
        cells["below noise floor"] = "not known" if share is None else f"about {share:.1%}"
        cells["border noise"] = {"removed": "removed before", "none": "none"}.get(border, "not known")
    return cells


def _split_table(title: str, statistics: SplitStatistics, bands: Sequence[BandDocument] | None = None) -> Table:
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
            doubtful = _doubtful_cells(figures, known.get(band)) if domain is figures.stored else {}
            for name in DOUBTFUL:
                rows[name].append(doubtful.get(name, ""))
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
