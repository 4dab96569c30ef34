"""What names and times of Sentinel-1 products say about the orbit."""

from __future__ import annotations

import functools
import re
from datetime import datetime

_PRODUCT = re.compile(r"(S1[A-D])_\w\w_\w{4}_\w{4}_\d{8}T\d{6}_\d{8}T\d{6}_(\d{6})_[0-9A-F]{6}_[0-9A-F]{4}")
# An absolute orbit number in which the satellite flew relative orbit 1 (ESA, naming convention of Sentinel-1 products).
_FIRST = {"S1A": 73, "S1B": 27, "S1C": 172, "S1D": 42}
# Sentinel-1C was moved in June 2026: its last product before has orbit 8018 (isce2, pull request 28130).
_LAST_BEFORE, _FIRST_AFTER = 8018, 99


@functools.lru_cache
def relative_orbit(product: str) -> int:
    """Return the relative orbit (1 to 175) of a product id; raise ValueError where it is none of Sentinel-1."""
    match = _PRODUCT.fullmatch(product)
    if match is None:
        raise ValueError(f"expected the id of a product of Sentinel-1 A to D, found {product[:120]!r}")
    satellite, orbit = match[1], int(match[2])
    first = _FIRST_AFTER if satellite == "S1C" and orbit > _LAST_BEFORE else _FIRST[satellite]
    return (orbit - first) % 175 + 1


def orbit_pass(time: datetime, longitude: float) -> str:
    """Return "descending" or "ascending" from a UTC time and degrees east, right to some hours of local time.

    The orbit is sun-synchronous: it crosses the equator southwards at 6 h and northwards at 18 h local solar time.
    """
    solar_hour = (time.hour + time.minute / 60 + longitude / 15) % 24
    return "descending" if solar_hour < 12 else "ascending"


@functools.lru_cache
def utm_zone(wkt: str) -> tuple[str, int]:
    """Return ("EPSG:32633", 15), the CRS and its central meridian in degrees east; raise ValueError if not UTM."""
    # The last authority of a WKT is that of the whole; those before it are of the parts.
    match = re.search(r'AUTHORITY\["EPSG","(32[67](\d\d))"\]\]\s*$', wkt)
    if match is None:
        raise ValueError(f"expected WKT that ends in the EPSG code of a UTM zone, found {wkt[-60:]!r}")
    return f"EPSG:{match[1]}", 6 * int(match[2]) - 183
