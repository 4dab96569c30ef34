"""Tiles of Sentinel-2, which are named after squares of the Military Grid Reference System: where their corner lies.

A tile is 109.8 km wide. Its upper left corner is that of a square of 100 km in a zone of UTM, moved outwards to whole
multiples of 60 m, in which pixels of 10, 20 and 60 m agree; northwards they count from the equator.
"""

from __future__ import annotations

import functools
import re

_TILE = re.compile(r"T?(\d{1,2})([C-HJ-NP-X])([A-HJ-NP-Z])([A-HJ-NP-V])")
_BANDS = "CDEFGHJKLMNPQRSTUVWX"  # of 8 degrees of latitude from 80 degrees south on; X has 12
_COLUMNS = ("STUVWXYZ", "ABCDEFGH", "JKLMNPQR")  # by zone modulo 3, from 100 km east on
_ROWS = "ABCDEFGHJKLMNPQRSTUV"  # of 100 km, again and again; even zones begin at F
_METRES_A_DEGREE = 110_600  # of a meridian near the equator, in UTM: no less than elsewhere by more than 1 %
SQUARE, CYCLE, STEP = 100_000, 2_000_000, 60


@functools.lru_cache(maxsize=4096)
def tile_corner(tile: str) -> tuple[str, float, float]:
    """Return the coordinate system of a tile such as 33UUP, and x and y of its upper left corner in metres.

    Raises ValueError for what names no tile.
    """
    match = _TILE.fullmatch(tile)
    if match is None or not 1 <= (zone := int(match[1])) <= 60 or match[3] not in _COLUMNS[zone % 3]:
        raise ValueError(f"expected the name of a tile such as 33UUP, found {tile[:20]!r}")
    band, east = _BANDS.index(match[2]), SQUARE * (1 + _COLUMNS[zone % 3].index(match[3]))
    north = SQUARE * ((_ROWS.index(match[4]) - (0 if zone % 2 else 5)) % len(_ROWS))
    # Rows repeat every 2,000 km: the one meant is the first that ends above the lower edge of the band.
    south = 0 if match[2] >= "N" else 10_000_000
    lowest = (8 * band - 80) * _METRES_A_DEGREE + south
    while north + 2 * SQUARE <= lowest:
        north += CYCLE
    top = south - (south - north - SQUARE) // STEP * STEP
    return f"EPSG:{327 if south else 326}{zone:02}", float(east // STEP * STEP), float(top)
