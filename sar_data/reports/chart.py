"""The geometry of charts: from values to coordinates, round ticks, lines as SVG paths."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sar_data.reports.page import drawn

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Axis:
    """Values from `low` to `high` as coordinates from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return the coordinate of a value, rounded to what an eye tells apart."""
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 1)

    def of(self, values: Floats) -> Floats:
        """Return the coordinates of values."""
        return self.start + (values - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[tuple[float, str]]:
        """Return coordinates and texts of at most so many round values."""
        step = _round_step((self.high - self.low) / most)
        digits = next(n for n in range(16) if abs(round(step, n) - step) < 1e-9 * step or n == 15)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [(self.at(i * step), format_minus(f"{i * step:.{digits}f}")) for i in range(first, last + 1)]


def _round_step(least: float) -> float:
    """Return 1, 2, 2.5 or 5 times a power of ten, not below `least`."""
    power = 10.0 ** math.floor(math.log10(max(least, 1e-30)))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= least * (1 - 1e-9))


def format_minus(text: str) -> str:
    """Return a number with the sign that print has for minus, and none before zero."""
    return text.replace("-", "−") if float(text.replace(",", "")) else text.lstrip("-")


def path(points: Floats, *, close: bool = False) -> str:
    """Return the SVG path through points [point, 2]: lines of steps, to a tenth."""
    tenths = np.rint(10 * points).astype(np.int64)
    (x, y), steps = tenths[0], np.diff(tenths, axis=0)
    return drawn(f"M{_tenth(x)} {_tenth(y)}l{' '.join(_moves(steps))}{'z' if close else ''}")


def _moves(steps: npt.NDArray[np.int64]) -> Iterator[str]:
    for dx, dy in steps.tolist():
        if dx or dy:
            yield f"{_tenth(dx)} {_tenth(dy)}"


def _tenth(value: int) -> str:
    return f"{value / 10:g}"


def stairs(heights: Floats, edges: Floats) -> Floats:
    """Return the outline [point, 2] of bars of `heights` [bin] between `edges` [bin + 1], on their baseline 0."""
    x = np.repeat(edges, 2)
    y = np.concatenate([[0.0], np.repeat(heights, 2), [0.0]])
    return np.column_stack([x, y])
