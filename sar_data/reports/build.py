"""The report of a build: what it holds and how it was made, from its manifest, its tables and a few images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
import pydantic

from sar_data.errors import UsageError
from sar_data.reports import chosen, facts, leaks, radiometry, shift, splits
from sar_data.reports.chart import format_minus
from sar_data.reports.ground import WIDTH, draw_map
from sar_data.reports.page import render
from sar_data.reports.pictures import legend, pictures
from sar_data.reports.rows import Rows, read
from sar_data.reports.words import Language, Words, language_of
from sar_data.sealed.leakage import UNSEEN
from sar_data.sealed.names import first_flaw
from sar_data.sealed.opened import Build
from sar_data.split.policy import SPLITS
from sar_data.system import durable, strict_json
from sar_data.system.regular import read_regular

ENDING, MEASURED = ".report.html", ".bench.json"
MOST_LINES = 50  # of quarantined records
Rate = Annotated[float, pydantic.Field(gt=0, le=1e12)]


def report(build: Build, out: Path | None = None, language: str = "en") -> Path:
    """Write the report of a build to the HTML file `out`, by default beside the build, and return its path.

    It is a function of the build, of what was measured of it (`BUILD.bench.json`) and of the language. Raises
    UsageError for another name or language, BuildError for a build that cannot be read, TargetError where `out` cannot
    be written.
    """
    path = out or beside(build.path)
    check_name(path)
    durable.write(path, page(build, language_of(language)))
    return path


def beside(folder: Path) -> Path:
    """Return where the report of a folder is by default: beside it, since it is no part of what is sealed."""
    whole = folder.absolute()
    return whole.with_name(whole.name + ENDING)


def check_name(out: Path) -> None:
    """Raise UsageError for a file that is not called an HTML page."""
    if out.suffix.lower() != ".html":
        raise UsageError(f"`out={out}`: expected a file name ending in .html, found {out.suffix or 'no ending'}")


def page(build: Build, language: Language) -> bytes:
    """Return the report of a build."""
    manifest, t, rows = build.manifest, Words(language), read(build)
    parts = shift.by_split(manifest, rows)
    card = leaks.card(manifest, rows)
    classes, oddest = chosen.of_classes(rows), chosen.oddest(manifest, rows)
    keys = [key for sheet in (*classes, *oddest) for key in sheet.keys]
    keys += [key for pair in card.pairs for key in (pair.judged, pair.other)]
    shown, note = pictures(build, _of(rows, keys))
    return render(
        "build.html",
        language,
        manifest=manifest,
        name=build.path.name,
        in_short=facts.in_short(manifest, t),
        data=facts.data(manifest, t),
        making=facts.making(manifest, t),
        sources=facts.sources(manifest),
        hashes=facts.hashes(manifest),
        recipe=facts.recipe(manifest),
        splitting=facts.splitting(manifest, t),
        pixels=facts.pixels(manifest, t),
        normalized=facts.normalization(manifest, t),
        is_baked=facts.normalizing(manifest) is not None,
        counts={name: manifest.splits[name].count for name in SPLITS if name in manifest.splits},
        bars=splits.bars(manifest),
        card=card,
        unseen=UNSEEN,
        map=draw_map(rows.index),
        map_width=WIDTH,
        histograms=radiometry.histograms(manifest, parts),
        histogram=(radiometry.WIDTH, radiometry.HEIGHT, radiometry.LEFT, radiometry.BOTTOM),
        figures=radiometry.figures(manifest),
        figure=digits,
        signed=format_minus,
        masked=radiometry.count_masked(manifest),
        drawn=(len(rows.drawn), len(rows.index)),
        strata=shift.strata(manifest, rows),
        classes=classes,
        oddest=oddest,
        pictures=shown,
        note=note,
        legend=legend(manifest),
        most_lines=MOST_LINES,
        most_bands=radiometry.MOST_BANDS,
        more_bands=max(len(manifest.bands) - radiometry.MOST_BANDS, 0),
        throughput=throughput(build.path),
    )


def digits(value: float | None) -> str:
    """Return a figure with four digits that count."""
    if value is None:
        return "–"
    return format_minus(f"{value:,.0f}" if abs(value) >= 1e4 or value == 0 else f"{value:#.4g}")


def _of(rows: Rows, keys: list[str]) -> pa.Table:
    """Return the rows of some keys, in the order of the index."""
    asked = pc.is_in(rows.index["key"], pa.array(sorted(set(keys)), pa.string()))
    return rows.index.filter(asked)


class _Measured(pydantic.BaseModel):
    """What is shown of a measurement: samples a second, ours and those of a memory map, and the first batch."""

    model_config = pydantic.ConfigDict(strict=True)

    rate: Rate
    reference: Rate
    first_batch_s: Annotated[float, pydantic.Field(ge=0, le=1e9)]


def throughput(folder: Path) -> dict[str, Any] | None:
    """Return what `sar-data bench` measured, where its JSON was kept beside the build."""
    path = folder.absolute().with_name(folder.absolute().name + MEASURED)
    if not path.exists():
        return None
    try:
        return _Measured.model_validate(strict_json.loads(read_regular(path))).model_dump()
    except ValueError as error:  # pydantic's among them
        why = first_flaw(error) if isinstance(error, pydantic.ValidationError) else error
        raise UsageError(f"{path}: expected what `bench` prints as JSON, found another document: {why}") from error
