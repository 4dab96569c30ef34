"""Published means and standard deviations of bands, from published.toml, which lists their sources."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple

Figures = Mapping[str, tuple[float, float]]
"""Band → mean and standard deviation."""


class PublishedFigures(NamedTuple):
    """Figures of bands in one unit, the publication that gives them, and their known errors."""

    unit: str
    bands: Figures
    source: str
    wrong: str = ""


@cache
def published_figures() -> dict[str, PublishedFigures]:
    """Return the figures of published.toml by name."""
    rows = tomllib.loads((files("sar_data.statistics") / "published.toml").read_text("utf-8"))
    return {
        name: PublishedFigures(
            row["unit"],
            {band: (float(pair[0]), float(pair[1])) for band, pair in row.items() if isinstance(pair, list)},
            row["source"],
            row.get("wrong", ""),
        )
        for name, row in rows.items()
    }
