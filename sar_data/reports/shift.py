"""Strata: the parts of a build that differ in class, pass, season and the like, and how far each is from the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sar_data.errors import UsageError
from sar_data.reports.radiometry import MOST_BANDS
from sar_data.reports.rows import Rows
from sar_data.sealed.manifest import Manifest
from sar_data.sealed.strata import BY, Shift, Stratum, divide, shifts

MOST_PARTS = 10  # of one table
MOST_ATTRIBUTES = 4
FEW = range(2, 13)  # values of an attribute that is worth a table
LEFT_OUT = ("month", "year", "place", "group")  # of BY: as a rule of too many parts


@dataclass(frozen=True)
class Strata:
    """Parts of a build by what they differ in: images, and mean and shift of each band, None of the first part."""

    by: str
    parts: dict[str, tuple[int, dict[str, tuple[float | None, Shift | None]]]]
    more: int


def by_split(manifest: Manifest, rows: Rows) -> dict[str, Stratum]:
    """Return the figures of a draw of each split; none without samples.parquet."""
    if rows.drawn_samples is None or not len(rows.drawn):
        return {}
    return divide(rows.drawn, rows.drawn_samples, manifest, "split")


def strata(manifest: Manifest, rows: Rows) -> list[Strata]:
    """Return a table for all that the build knows of its images and in which they differ."""
    if rows.drawn_samples is None or not len(rows.drawn):
        return []
    names = [name for name in BY if name not in LEFT_OUT and (name != "platform" or "attrs" in rows.drawn.column_names)]
    tables = []
    for by in (*names, *_attributes(rows)):
        try:
            parts = divide(rows.drawn, rows.drawn_samples, manifest, by)
        except UsageError:  # nothing known of any image
            continue
        if len(parts) > 1:
            tables.append(_table(by, parts))
    return tables


def _attributes(rows: Rows) -> list[str]:
    """Return the attributes of the index that have a few values each and part the images in another way than others."""
    if "attrs" not in rows.drawn.column_names:
        return []
    table = [{pair["name"]: pair["value"] for pair in row} for row in rows.drawn["attrs"].to_pylist()]
    parted = {_parts(rows.drawn[name].to_pylist()) for name in ("group", "place", "relative_orbit")}
    names = []
    for name in dict.fromkeys(name for row in table for name in row):
        values = [row.get(name) for row in table]
        if len(set(values)) in FEW and name not in BY and _parts(values) not in parted:
            parted.add(_parts(values))
            names.append(name)
    return names[:MOST_ATTRIBUTES]


def _parts(values: Sequence[object]) -> tuple[int, ...]:
    """Return the number of the part of each value: the same for names that part a table alike."""
    numbers: dict[object, int] = {}
    return tuple(numbers.setdefault(value, len(numbers)) for value in values)


def _table(by: str, parts: dict[str, Stratum]) -> Strata:
    moved = shifts(parts)
    shown = {
        name: (
            part.images,
            {
                band: (figures.stored.centre, moved[name].get(band) if name in moved else None)
                for band, figures in list(part.figures.bands.items())[:MOST_BANDS]
            },
        )
        for name, part in list(parts.items())[:MOST_PARTS]
    }
    return Strata(by, shown, len(parts) - len(shown))
