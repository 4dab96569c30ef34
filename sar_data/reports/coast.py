"""A coarse outline of the land, of the public domain, to draw samples over."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

Ring = npt.NDArray[np.float64]
"""Longitude and latitude in degrees [point, 2]; the last point is the first."""


@cache
def land() -> tuple[Ring, ...]:
    """Return the rings of the land, lakes as rings inside of rings."""
    lines = (Path(__file__).parent / "land.txt").read_text().splitlines()
    steps = (np.array(line.split(), np.int64).reshape(-1, 2) for line in lines if not line.startswith("#"))
    return tuple(np.cumsum(ring_steps, axis=0) / 10 for ring_steps in steps)
