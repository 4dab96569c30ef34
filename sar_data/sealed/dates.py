"""The dates of the images of a build: in words, and the figures of each, for which pixels are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from sar_data.errors import UsageError
from sar_data.formats.storage import physical
from sar_data.sealed.opened import Build, layout_of
from sar_data.sealed.places import places
from sar_data.sealed.samples import samples_table
from sar_data.statistics.tally import Tally, survey
from sar_data.statistics.thumbnail import CELLS


def describe(date: Mapping[str, Any]) -> str:
    """Return role, day, platform and relative orbit of a date of an index row, as far as they are known."""
    day = date["time"] and f"{date['time']:%Y-%m-%d}"
    return " ".join(str(part) for part in (date["role"], day, date["platform"], date["relative_orbit"]) if part)


def samples_by_date(build: Build, index: pa.Table) -> dict[str, pa.Table]:
    """Return what samples.parquet has of all dates, for each date of packed index rows: by its role, or its number.

    A date that an image lacks, all NaN, has no row. Raises UsageError where images have one date, BuildError for an
    image that cannot be read.
    """
    layout, scale = layout_of(build.manifest), build.manifest.storage.scale
    if layout.frames == 1:
        raise UsageError("by='date': expected a build of several dates an image, found one of a single date")
    names = _roles(index, layout.frames) or [str(i + 1) for i in range(layout.frames)]
    tallies = {name: Tally(layout.units) for name in names}
    rows: dict[str, list[int]] = {name: [] for name in names}
    with build.reader() as reader:
        for row, place in enumerate(places(index)):
            image = physical(reader.read(place), scale)[..., : place.shape[0], : place.shape[1]]
            for name, frame in zip(names, image, strict=True):
                if np.isfinite(frame).any():
                    tallies[name].add(survey(frame))
                    rows[name].append(row)
    tables = {}
    for name in (name for name in names if rows[name]):
        blank = np.zeros((len(rows[name]), len(layout.bands), CELLS), np.int8)
        tables[name] = samples_table(index.take(rows[name]), layout.bands, tallies[name].figures(), blank)
    return tables


def _roles(index: pa.Table, frames: int) -> list[str]:
    """Return the roles of the dates, [] where some image has others, or one of them twice or none."""
    roles = {tuple(date["role"] for date in row or ()) for row in index["dates"].to_pylist()}
    names = list(roles.pop()) if len(roles) == 1 else []
    return names if all(names) and len({*names}) == frames == len(names) else []
