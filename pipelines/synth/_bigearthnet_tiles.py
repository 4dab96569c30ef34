"""Real tiles of Sentinel-2's grid, where the patches of one lie, and the overflights that saw it."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from datetime import datetime, timedelta

SIDE = 91  # patches along a tile
AUSTRIA = (1, 2, 10, 11, 17, 19, 20, 22, 23, 24, 31, 39)
IRELAND = (1, 10, 11, 17, 26, 28, 29, 34, 37, 39, 42)
PORTUGAL = (0, 6, 12, 14, 16, 21, 22, 25, 27, 35, 40, 42)
FINLAND = (1, 11, 20, 23, 24, 28, 30, 34, 38, 39)
# MGRS tile, UTM zone, south-west corner of its 100 km square, classes.
TILES = (
    ("33UUP", 33, 300_000, 5_300_000, AUSTRIA),
    ("29SND", 29, 500_000, 4_300_000, PORTUGAL),
    ("35VPK", 35, 600_000, 6_900_000, FINLAND),
    ("29UPU", 29, 600_000, 5_800_000, IRELAND),
    ("33UVP", 33, 400_000, 5_300_000, AUSTRIA),
    ("29SNC", 29, 500_000, 4_200_000, PORTUGAL),
    ("35VNK", 35, 500_000, 6_900_000, FINLAND),
    ("29UNU", 29, 500_000, 5_800_000, IRELAND),
)


def square(position: int) -> tuple[int, int]:
    """Return column and row of the n-th patch of a tile: every first n*n patches are a square."""
    side = math.isqrt(position)
    rest = position - side * side
    return (side, rest) if rest <= side else (rest - side - 1, side)


@dataclass(frozen=True, slots=True)
class Scene:
    name: str
    partner: str
    product: str
    time: datetime


@functools.lru_cache(256)
def scene_of(at: int, zone: int, overflight: int) -> Scene:
    """Return an overflight of a tile: 6 or 18 h local solar time, every 12 days, S1B six days apart from S1A."""
    satellite, first = ("S1B", 6122) if (at + overflight) % 3 == 2 else ("S1A", 17018)
    offset_h = (6 * zone - 183) / 15
    epoch = datetime(2017, 6, 13, 16, 50, 43) + timedelta(days=6 * (satellite == "S1B"))
    day = datetime(2017, 6, 13) + timedelta(days=37 * at % 240 + 12 * overflight + 6 * (satellite == "S1B"))
    time = day + timedelta(hours=(6 if at % 2 else 18) - offset_h, minutes=at, seconds=overflight % 60)
    orbit = first + math.floor((time - epoch) / timedelta(days=12) * 175)
    span = f"{time:%Y%m%dT%H%M%S}_{time + timedelta(seconds=25):%Y%m%dT%H%M%S}"
    product = f"{satellite}_IW_GRDH_1SDV_{span}_{orbit:06d}_{orbit * 7:06X}_{orbit * 40503 % 65536:04X}"
    # Published Sentinel-2 names lost the zero of 09 h, and some of those count 60 and 61 seconds.
    clock = {29: "11", 33: "10", 35: "9"}[zone] + f"{33 + at}" + ("61" if zone == 35 and overflight % 2 else "60")
    if zone != 35:
        clock = f"{clock[:4]}{21 + overflight % 30}"
    partner = f"S2{'AB'[overflight % 2]}_MSIL2A_{time + timedelta(days=1):%Y%m%d}T{clock}"
    return Scene(f"{satellite}_IW_GRDH_1SDV_{time:%Y%m%dT%H%M%S}", partner, product, time)
