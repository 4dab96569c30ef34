"""What the name of a BigEarthNet patch tells: its acquisition and when, its tile, and by column and row its place."""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache

from sar_data.labels.mgrs import tile_corner
from sar_data.record import Record

SIDE_M = 1200  # of a patch; columns and rows count from a tile's upper left corner
NAME = re.compile(
    r"(S1[AB]_IW_GRDH_1SDV_(\d{8}T\d{6})|S2[AB]_MSIL2A_(\d{8}T\d{6})_N\d{4}_R\d{3})"
    r"_T?(\d{2}[A-Z]{3})_(\d{1,2})_(\d{1,2})"
)


def named(key: str) -> Record | None:
    """Return the record of a patch of Sentinel-1, or of Sentinel-2 as v2.0 names it, by its name alone.

    None for other names: those of Sentinel-2 in v1.0 do not tell the tile.
    """
    if (match := NAME.fullmatch(key)) is None:
        return None
    acquisition, radar, optical, tile, column, row = match.groups()
    try:
        crs, x, y = tile_corner(tile)
        time = _time(radar or optical)
    except ValueError:
        return None
    west, north = x + SIDE_M * int(column), y - SIDE_M * int(row)
    footprint = (west, north - SIDE_M, west + SIDE_M, north)
    return Record(key=key, files=(), group=acquisition, place=tile, time=time, crs=crs, footprint=footprint)


@lru_cache(maxsize=4096)
def _time(start: str) -> datetime:
    return datetime.strptime(f"{start}+0000", "%Y%m%dT%H%M%S%z")
