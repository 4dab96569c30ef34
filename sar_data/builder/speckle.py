"""Speckle filters on power, by local statistics.

- lee: J.-S. Lee 1980, "Digital image enhancement and noise filtering by use of local statistics": in a square window.
- refined-lee: J.-S. Lee 1981, "Refined filtering of image noise using local statistics": in the half of a 7 × 7 window
  on the side of an edge to which the pixel belongs.

Both write a pixel as mean + k (pixel - mean), k = var(x) / var, var(x) = max(0, (var - mean² / L) / (1 + 1 / L)), with
L looks. Pixels without data take no part and stay so; beyond the border of an image there are none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from sar_data.errors import UsageError, unknown
from sar_data.system.native import compile_loop

Floats = npt.NDArray[np.float32]
FILTERS = ("lee", "refined-lee")
REFINED = 7  # pixels of a side of the refined filter's window
PLANE = numba.types.Array(numba.f4, 2, "C", readonly=True)


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter, the side of its window in pixels, and the looks of the images that it filters."""

    name: str
    window: int
    looks: float

    @property
    def parameters(self) -> dict[str, Any]:
        """What is recorded of it."""
        return {"filter": self.name, "window": self.window, "looks": self.looks, "domain": "power"}

    def apply(self, power: Floats) -> Floats:
        """Return float32 [y, x] of power filtered; what is not finite stays as it is."""
        plane = np.ascontiguousarray(power, np.float32)
        out = np.empty_like(plane)
        if self.name == "lee":
            _lee(plane, self.window, self.looks, out)
        else:
            _filter_refined(plane, self.looks, out)
        return out


def parse(text: str) -> Filter:
    """Return the filter of words such as lee:looks=4.4 or lee:window=5,looks=4.4; raise UsageError for others.

    The looks are those of the product that the images were cut from: about 4.4 for Sentinel-1's IW GRD, 1 for SLC.
    """
    name, _, rest = text.partition(":")
    if name not in FILTERS:
        raise unknown("speckle filter", name, FILTERS)
    given = dict(part.split("=", 1) for part in rest.split(",") if "=" in part)
    if unexpected := sorted(given.keys() - {"window", "looks"}):
        raise UsageError(f"`speckle={text}`: expected window and looks, found {unexpected[0]}")
    if "looks" not in given:
        raise UsageError(f"`speckle={text}`: expected the looks of the images, as in {name}:looks=4.4")
    try:
        window, looks = int(given.get("window", REFINED)), float(given["looks"])
    except ValueError:
        raise UsageError(f"`speckle={text}`: expected numbers, as in {name}:window=7,looks=4.4") from None
    if not (math.isfinite(looks) and looks > 0):
        raise UsageError(f"`speckle={text}`: expected looks above 0, found {looks:g}")
    if window % 2 == 0 or not 3 <= window <= 31 or (name == "refined-lee" and window != REFINED):
        sides = str(REFINED) if name == "refined-lee" else "an odd number from 3 to 31"
        raise UsageError(f"`speckle={text}`: expected a window of {sides}, found {window}")
    return Filter(name, window, looks)


@compile_loop(numba.f4(numba.f8, numba.i8, numba.f8, numba.f8, numba.f8))
def _estimate(pixel: Any, n: Any, total: Any, square: Any, looks: Any) -> Any:
    """Return what a pixel becomes by the sums of the n pixels around it, and of their squares."""
    mean = total / n
    variance = max(0.0, square / n - mean * mean)
    signal = max(0.0, (variance - mean * mean / looks) / (1 + 1 / looks))
    share = signal / variance if variance > 0 else 0.0
    return np.float32(mean + share * (pixel - mean))


@compile_loop(numba.void(PLANE, numba.i8, numba.f8, numba.f4[:, ::1]))
def _lee(plane: Any, side: Any, looks: Any, out: Any) -> None:
    height, width = plane.shape
    reach = side // 2
    for y in range(height):
        for x in range(width):
            if not np.isfinite(plane[y, x]):
                out[y, x] = plane[y, x]
                continue
            n, total, square = 0, 0.0, 0.0
            for v in range(max(0, y - reach), min(height, y + reach + 1)):
                for u in range(max(0, x - reach), min(width, x + reach + 1)):
                    value = np.float64(plane[v, u])
                    if np.isfinite(value):
                        n += 1
                        total += value
                        square += value * value
            out[y, x] = _estimate(np.float64(plane[y, x]), n, total, square, looks)


@compile_loop(numba.f8(PLANE, numba.i8, numba.i8, numba.f8))
def _mean(plane: Any, y: Any, x: Any, otherwise: Any) -> Any:
    """Return the mean of 3 × 3 pixels, or what stands for it where none has data."""
    height, width = plane.shape
    n, total = 0, 0.0
    for v in range(max(0, y - 1), min(height, y + 2)):
        for u in range(max(0, x - 1), min(width, x + 2)):
            if np.isfinite(plane[v, u]):
                n += 1
                total += np.float64(plane[v, u])
    return total / n if n else otherwise


@compile_loop(numba.void(PLANE, numba.f8, numba.f4[:, ::1]))
def _filter_refined(plane: Any, looks: Any, out: Any) -> None:
    height, width = plane.shape
    means = np.empty((3, 3))
    for y in range(height):
        for x in range(width):
            if not np.isfinite(plane[y, x]):
                out[y, x] = plane[y, x]
                continue
            centre = np.float64(plane[y, x])
            for i in range(3):  # of the nine parts of 3 × 3 pixels, two apart
                for j in range(3):
                    means[i, j] = _mean(plane, y + 2 * i - 2, x + 2 * j - 2, centre)
            # How strong an edge is, and on which side of it the middle lies: (a, b) is the normal towards that side.
            a, b, strongest = 0, 0, -1.0
            for k in range(4):
                p, q = (0, 1) if k == 0 else ((1, 0) if k == 1 else ((1, 1) if k == 2 else (1, -1)))
                first, last = 0.0, 0.0
                for i in range(3):
                    for j in range(3):
                        along = p * (i - 1) + q * (j - 1)
                        if along > 0:
                            last += means[i, j]
                        elif along < 0:
                            first += means[i, j]
                if abs(last - first) > strongest:
                    strongest = abs(last - first)
                    before, after = means[1 - p, 1 - q], means[1 + p, 1 + q]
                    towards = 1 if abs(after - means[1, 1]) <= abs(before - means[1, 1]) else -1
                    a, b = p * towards, q * towards
            n, total, square = 0, 0.0, 0.0
            for v in range(max(0, y - 3), min(height, y + 4)):
                for u in range(max(0, x - 3), min(width, x + 4)):
                    value = np.float64(plane[v, u])
                    if np.isfinite(value) and a * (v - y) + b * (u - x) >= 0:
                        n += 1
                        total += value
                        square += value * value
            out[y, x] = _estimate(centre, n, total, square, looks)
