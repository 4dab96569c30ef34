"""Grid cells of Major-TOM, for records that have coordinates and no other unit of ground."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from sar_data.record import Record
from sar_data.split.ground import frames
from sar_data.split.ground.footprints import Footprints

KILOMETRES = 10.0
"""The side of a cell in Major-TOM."""


def with_cells(records: Sequence[Record]) -> list[Record]:
    """Return the records; those without a place get the cell of the centre of their footprint, where known.

    Raises SplitError where a footprint is empty, reversed or not finite.
    """
    rows = [i for i, record in enumerate(records) if record.place is None and record.footprint is not None]
    centres = Footprints.of([records[i] for i in rows]).degrees
    completed = list(records)
    for i, name in zip(rows, cells(centres), strict=True):
        if name is not None:
            completed[i] = replace(records[i], place=name)
    return completed


def cell_of(frame: str, footprint: tuple[float, float, float, float], kilometres: float = KILOMETRES) -> str | None:
    """Return the cell of the centre of a footprint; None where the frame has no known position on the earth."""
    if not frames.is_on_earth(frame):
        return None
    west, south, east, north = footprint
    return cells(frames.to_degrees(frame, np.array([[(west + east) / 2, (south + north) / 2]])), kilometres)[0]


def cells(degrees: npt.NDArray[np.float64], kilometres: float = KILOMETRES) -> list[str | None]:
    """Return the cell of each (longitude, latitude), such as "521U_29R"; None for NaN.

    Rows count from the equator up (U) and down (D), columns from the meridian of Greenwich to the right (R) and left
    (L); a row has as many columns as make them at most `kilometres` wide at its lower edge (Francis and Czerkawski
    2024, Major TOM: Expandable Datasets for Earth Observation, arXiv:2402.12095).
    """
    radius = frames.EQUATOR / 1000
    height = 180 / math.ceil(math.pi * radius / kilometres)
    longitude, latitude = degrees.T
    known = np.isfinite(longitude) & np.isfinite(latitude)
    row = np.floor(np.where(known, latitude, 0) / height)
    around = 2 * math.pi * radius * np.cos(np.radians(row * height))
    width = 360 / np.maximum(np.ceil(around / kilometres), 1)
    column = np.floor(np.where(known, longitude, 0) / width)
    return [
        f"{abs(r)}{'U' if r >= 0 else 'D'}_{abs(c)}{'R' if c >= 0 else 'L'}" if sound else None
        for r, c, sound in zip(row.astype(int).tolist(), column.astype(int).tolist(), known.tolist(), strict=True)
    ]
