"""Mergeable band statistics: counts, moments, extremes and histograms, added shard by shard in plan order.

Shards are merged one after the other (Chan, Golub & LeVeque 1983), so that the result has the same bits for any
number of workers.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from sar_data.errors import BuildError
from sar_data.statistics.units import HISTOGRAMS, domains

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

REASONS = ("nodata", "nan", "inf")
"""Reasons why a pixel is masked: the source marks it as no data, it is NaN in the source, or it is infinite."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, mean, centred square and centred co-moment of every pair of bands, over the pixels that are valid in both.

    All are [band, band]; mean[i, j] and square[i, j] are of band i where band j is valid too, so the diagonals are
    the bands' own figures.
    """

    count: Counts
    mean: Floats
    square: Floats
    comoment: Floats

    def __add__(self, other: Moments) -> Moments:
        count = self.count + other.count
        total = np.maximum(count, 1)
        delta = other.mean - self.mean
        weight = self.count * (other.count / total)
        mean = np.where(self.count == 0, other.mean, self.mean + delta * (other.count / total))
        square = self.square + other.square + delta * delta * weight
        return Moments(count, mean, square, self.comoment + other.comoment + delta * delta.T * weight)

    @classmethod
    def none(cls, bands: int) -> Moments:
        """Return the moments of no pixel."""
        return cls(np.zeros((bands, bands), np.int64), *(np.zeros((bands, bands)) for _ in range(3)))

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name).tolist() for name in ("count", "mean", "square", "comoment")}

    @classmethod
    def from_json(cls, parts: dict[str, Any]) -> Moments:
        others = (np.array(parts[name], np.float64) for name in ("mean", "square", "comoment"))
        return cls(np.array(parts["count"], np.int64), *others)


@dataclass(frozen=True, slots=True)
class BandStats:
    """Mergeable statistics of some samples of bands in `units`.

    `domains` has for each further domain, such as power for dB, the moments of its bands (only the diagonals). `low`
    and `high` are [band]. `zeros` [band] counts the pixels that are exactly 0. `least` [band] is the least value above
    0 of a band with the domain dB, and infinite for other bands. `histogram` is [band, 1 + bins + 1] on the axis of the
    unit, with underflow and overflow at its ends; the unit with most bins decides its width. `masked[reason]` counts
    pixels [band].
    """

    units: tuple[str, ...]
    samples: int
    moments: Moments
    domains: dict[str, Moments]
    low: Floats
    high: Floats
    least: Floats
    zeros: Counts
    histogram: Counts
    masked: dict[str, Counts]

    @classmethod
    def none(cls, units: Sequence[str]) -> BandStats:
        """Return the statistics of no sample."""
        bands = len(units)
        return cls(
            tuple(units),
            0,
            Moments.none(bands),
            {name: Moments.none(bands) for name in _domains(units)},
            np.full(bands, np.inf),
            np.full(bands, -np.inf),
            np.full(bands, np.inf),
            np.zeros(bands, np.int64),
            empty_histogram(units),
            {reason: np.zeros(bands, np.int64) for reason in REASONS},
        )

    def __add__(self, other: BandStats) -> BandStats:
        if self.units != other.units:
            raise BuildError(f"cannot merge statistics in {', '.join(self.units)} and {', '.join(other.units)}")
        return BandStats(
            self.units,
            self.samples + other.samples,
            self.moments + other.moments,
            {name: moments + other.domains[name] for name, moments in self.domains.items()},
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            np.minimum(self.least, other.least),
            self.zeros + other.zeros,
            self.histogram + other.histogram,
            {reason: self.masked[reason] + other.masked[reason] for reason in REASONS},
        )

    def to_json(self) -> dict[str, Any]:
        """Return a JSON document with exact floats; of the histogram it has the bins that are not empty.

        These are base64 of int64, because writing and reading them as digits would be slow.
        """
        bins = np.flatnonzero(self.histogram)
        return {
            "units": list(self.units),
            "samples": self.samples,
            "moments": self.moments.to_json(),
            "domains": {name: moments.to_json() for name, moments in self.domains.items()},
            # The extremes of a band without a valid pixel are infinite; JSON has no infinity.
            **{
                name: [float(value) if np.isfinite(value) else None for value in extreme]
                for name, extreme in (("low", self.low), ("high", self.high), ("least", self.least))
            },
            "zeros": self.zeros.tolist(),
            "histogram": [b64encode(part.tobytes()).decode() for part in (bins, self.histogram.ravel()[bins])],
            "masked": {reason: counts.tolist() for reason, counts in self.masked.items()},
        }

    @classmethod
    def from_json(cls, parts: dict[str, Any]) -> BandStats:
        """Return the statistics that `to_json` wrote, to the last bit."""
        histogram = empty_histogram(parts["units"])
        bins, counts = (np.frombuffer(b64decode(part), np.int64) for part in parts["histogram"])
        histogram.ravel()[bins] = counts
        return cls(
            tuple(parts["units"]),
            parts["samples"],
            Moments.from_json(parts["moments"]),
            {name: Moments.from_json(moments) for name, moments in parts["domains"].items()},
            np.array([np.inf if v is None else v for v in parts["low"]], np.float64),
            np.array([-np.inf if v is None else v for v in parts["high"]], np.float64),
            np.array([np.inf if v is None else v for v in parts["least"]], np.float64),
            np.array(parts["zeros"], np.int64),
            histogram,
            {reason: np.array(parts["masked"][reason], np.int64) for reason in REASONS},
        )


def _domains(units: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(name for unit in units for name in domains(unit)))


def empty_histogram(units: Sequence[str]) -> Counts:
    """Return zeros [band, 1 + bins + 1], wide enough for every unit."""
    return np.zeros((len(units), max(HISTOGRAMS[unit][2] for unit in units) + 2), np.int64)


def merge(parts: Iterable[BandStats], units: Sequence[str]) -> BandStats:
    """Return the statistics of all parts, merged from first to last; without parts, those of no sample."""
    return reduce(lambda a, b: a + b, parts, BandStats.none(units))
