"""The first screen of a report for other places: its answers, histograms and samples as Markdown with its pictures."""

from __future__ import annotations

import base64

from sar_data.errors import SarDataError
from sar_data.reports import facts, radiometry, shift
from sar_data.reports.page import render
from sar_data.reports.rows import read
from sar_data.reports.words import Words
from sar_data.sealed.opened import Build
from sar_data.sealed.recorded import nonempty_splits
from sar_data.text import markdown
from sar_data.views import contact_sheet
from sar_data.views.figure import encode

SAMPLES, DOTS, QUALITY = 6, 100, 75  # of the contact sheet: patches, dots an inch, of JPEG
COLOURS = {"train": "#1f6aa5", "val": "#a35c00", "test": "#b3322c"}  # as in the page


def answers(build: Build) -> dict[str, str]:
    """Return the report's first answers and the terms of the split, as Markdown."""
    manifest, words = build.manifest, Words("en")
    terms = [row for row in facts.splitting(manifest, words) if row[0] not in ("Policy", "Seed")]
    rows = [*facts.in_short(manifest, words), *terms]
    return {markdown(name): markdown(text) for name, text in rows}


def pictures(build: Build) -> str:
    """Return histograms by split, and a contact sheet of the first split that has samples, as Markdown.

    The pictures are inside, as addresses of data. What cannot be drawn is left out.
    """
    parts = []
    try:
        charts = radiometry.histograms(build.manifest, shift.by_split(build.manifest, read(build)))
        size = (radiometry.WIDTH, radiometry.HEIGHT, radiometry.LEFT, radiometry.BOTTOM)
        for chart in charts:
            svg = render("histogram.svg", "en", one=chart, size=size, colours=COLOURS)
            parts.append(_image(f"Histogram of {chart.band} in {chart.unit}", "svg+xml", svg))
        sheet, _ = contact_sheet.draw(build, split=next(iter(nonempty_splits(build.manifest))), count=SAMPLES)
        jpeg = encode(sheet, ".jpg", dpi=DOTS, pil_kwargs={"quality": QUALITY})
        parts.append(_image("\n\nSamples", "jpeg", jpeg))
    except SarDataError:  # a build without samples.parquet, or whose shards are gone
        pass
    return " ".join(parts)


def _image(text: str, kind: str, data: bytes) -> str:
    before = "\n\n" if text.startswith("\n") else ""
    return f"{before}![{markdown(text.strip())}](data:image/{kind};base64,{base64.b64encode(data).decode()})"
