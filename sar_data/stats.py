"""Band statistics in the same pass that packs the pixels: tallied per shard, merged in shard order.

Values are centred on the first sample's mean, a float32, and accumulated in float64, so that a shard's sums depend
on its pixels alone; shards are then merged in plan order (Chan, Golub & LeVeque 1983), so that the result has the
same bits for any number of workers. BLAS is avoided on purpose: its order of summation depends on its threads.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from sar_data.errors import BuildError
from sar_data.record import Image

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

REASONS = ("nan", "inf")
DB_TO_NEPER = math.log(10) / 10  # power = exp(dB * ln 10 / 10)
# First edge, bin width and number of bins, by unit; "1" is a z-score, "minmax" a fraction of the train range.
HISTOGRAMS = {"dB": (-100.0, 0.01, 16000), "1": (-80.0, 0.01, 16000), "minmax": (-1.0, 0.0002, 15000)}


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, mean and centred co-moment of every pair of bands, over the pixels valid in both.

    All are [band, band]; mean[i, j] is the mean of band i where band j is valid too, so the diagonals are the
    bands' own figures.
    """

    count: Counts
    mean: Floats
    comoment: Floats

    def __add__(self, other: Moments) -> Moments:
        count = self.count + other.count
        total = np.maximum(count, 1)
        delta = other.mean - self.mean
        weight = self.count * (other.count / total)
        mean = np.where(self.count == 0, other.mean, self.mean + delta * (other.count / total))
        return Moments(count, mean, self.comoment + other.comoment + delta * delta.T * weight)


@dataclass(frozen=True, slots=True)
class BandStats:
    """Mergeable statistics of some samples: `power` is None unless the unit is dB.

    `low`, `high` are [band]; `histogram` is [band, 1 + bins + 1] with under- and overflow at its ends;
    `masked[reason]` counts pixels [band].
    """

    unit: str
    samples: int
    moments: Moments
    power: Moments | None
    low: Floats
    high: Floats
    histogram: Counts
    masked: dict[str, Counts]

    def __add__(self, other: BandStats) -> BandStats:
        if self.unit != other.unit:
            raise BuildError(f"cannot merge statistics in {self.unit} and {other.unit}")
        return BandStats(
            self.unit,
            self.samples + other.samples,
            self.moments + other.moments,
            self.power + other.power if self.power is not None and other.power is not None else None,
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            self.histogram + other.histogram,
            {reason: self.masked[reason] + other.masked[reason] for reason in REASONS},
        )

    def to_json(self) -> dict[str, Any]:
        """Return a JSON document; floats survive exactly, the histogram is stored by its occupied bins."""
        bins = [np.flatnonzero(row) for row in self.histogram]
        parts: dict[str, Any] = {"unit": self.unit, "samples": self.samples}
        for name, moments in (("moments", self.moments), ("power", self.power)):
            parts[name] = moments and {k: getattr(moments, k).tolist() for k in ("count", "mean", "comoment")}
        # JSON has no infinity, which is what a band without any valid pixel has for its extremes.
        for name, extreme in (("low", self.low), ("high", self.high)):
            parts[name] = [float(value) if np.isfinite(value) else None for value in extreme]
        parts["histogram"] = [
            {"bin": b.tolist(), "count": row[b].tolist()} for b, row in zip(bins, self.histogram, strict=True)
        ]
        parts["masked"] = {reason: counts.tolist() for reason, counts in self.masked.items()}
        return parts

    @classmethod
    def from_json(cls, parts: dict[str, Any]) -> BandStats:
        """Return what `to_json` was called on, to the last bit."""

        def moments(part: dict[str, Any]) -> Moments:
            return Moments(
                np.array(part["count"], np.int64), np.array(part["mean"]), np.array(part["comoment"], np.float64)
            )

        histogram = np.zeros((len(parts["histogram"]), HISTOGRAMS[parts["unit"]][2] + 2), np.int64)
        for row, sparse in zip(histogram, parts["histogram"], strict=True):
            row[sparse["bin"]] = sparse["count"]
        return cls(
            parts["unit"],
            parts["samples"],
            moments(parts["moments"]),
            moments(parts["power"]) if parts["power"] else None,
            np.array([np.inf if v is None else v for v in parts["low"]], np.float64),
            np.array([-np.inf if v is None else v for v in parts["high"]], np.float64),
            histogram,
            {reason: np.array(parts["masked"][reason], np.int64) for reason in REASONS},
        )


def merge(parts: Iterable[BandStats], bands: int, unit: str) -> BandStats:
    """Return the statistics of all parts, merged from first to last; of none, those of no sample."""
    return reduce(lambda a, b: a + b, parts, Tally(bands, unit).finish())


@dataclass(frozen=True, slots=True)
class Survey:
    """The first look at an image: [band, pixel] values, the bands' extremes, and what is masked.

    `valid` and `masked` (reason → pixels [band]) are empty where every pixel is valid, which costs two passes.
    """

    flat: Image
    low: Image
    high: Image
    least: float
    most: float
    valid: npt.NDArray[np.bool_] | None = None
    masked: dict[str, Counts] = field(default_factory=dict)


def survey(image: Image) -> Survey:
    """Look at one [band, y, x] floating-point image."""
    flat = np.ascontiguousarray(image, np.float32).reshape(len(image), -1)
    low, high = flat.min(axis=1), flat.max(axis=1)
    least, most = float(low.min()), float(high.max())
    if math.isfinite(least) and math.isfinite(most):  # one NaN would be both of them, an infinity one
        return Survey(flat, low, high, least, most)
    valid = np.isfinite(flat)
    low, high = np.where(valid, flat, np.inf).min(axis=1), np.where(valid, flat, -np.inf).max(axis=1)
    masked = {"nan": np.isnan(flat).sum(axis=1), "inf": np.isinf(flat).sum(axis=1)}
    return Survey(flat, low, high, float(low.min()), float(high.max()), valid, masked)


class Tally:
    """Adds up the statistics of one shard, a sample at a time, while its pixels are in the cache."""

    def __init__(self, bands: int, unit: str) -> None:
        self.unit = unit
        self._first, self._width, self._bins = HISTOGRAMS[unit]
        self._samples = 0
        self._centre: Floats | None = None
        self._count = np.zeros((bands, bands), np.int64)
        self._pixels, self._linear = 0, np.zeros(bands)  # of whole images, where every pair of bands has every pixel
        self._sum, self._square = np.zeros((bands, bands)), np.zeros((bands, bands))
        self._power_sum, self._power_square = np.zeros(bands), np.zeros(bands)
        self._low, self._high = np.full(bands, np.inf), np.full(bands, -np.inf)
        self._histogram = np.zeros((bands, self._bins + 2), np.int64)
        self._masked = {reason: np.zeros(bands, np.int64) for reason in REASONS}

    def add(self, survey: Survey) -> None:
        """Add one surveyed image."""
        for reason in REASONS if survey.masked else ():
            self._masked[reason] += survey.masked[reason]
        self._samples += 1
        np.minimum(self._low, survey.low, out=self._low)
        np.maximum(self._high, survey.high, out=self._high)
        if self._centre is None:
            valid = np.True_ if survey.valid is None else survey.valid
            count = np.maximum(np.broadcast_to(valid, survey.flat.shape).sum(axis=1), 1)
            centre = np.where(valid, survey.flat, 0).sum(axis=1, dtype=np.float64) / count
            self._centre = centre.astype(np.float32).astype(np.float64)
        inside = self._first <= survey.least and survey.most < self._first + self._width * self._bins
        if survey.valid is None and inside:
            self._add_whole(survey.flat, self._centre)
        else:
            valid = np.ones(survey.flat.shape, np.bool_) if survey.valid is None else survey.valid
            self._add_masked(survey.flat, self._centre, valid)

    def _add_whole(self, flat: Image, centre: Floats) -> None:
        from sar_data import kernel  # numba takes 0.3 s to import, which reading a manifest need not pay

        self._pixels += flat.shape[1]
        kernel.add_moments(flat, centre, self._linear, self._square)
        if self.unit == "dB":
            kernel.add_power(flat, centre, self._power_sum, self._power_square)
        kernel.add_histogram(flat, self._first, 1 / self._width, self._histogram)

    def _add_masked(self, flat: Image, centre: Floats, valid: npt.NDArray[np.bool_]) -> None:
        """Add an image with masked or extreme pixels, which is rare: plain numpy."""
        centred = np.where(valid, flat, centre[:, None]) - centre[:, None]
        weight = valid.astype(np.float64)
        self._count += np.einsum("ip,jp->ij", weight, weight).astype(np.int64)
        self._sum += np.einsum("ip,jp->ij", centred, weight)
        self._square += np.einsum("ip,jp->ij", centred, centred)
        if self.unit == "dB":
            power = np.expm1(centred * DB_TO_NEPER)
            self._power_sum += power.sum(axis=1)
            self._power_square += np.einsum("ip,ip->i", power, power)
        for values, mask, row in zip(flat, valid, self._histogram, strict=True):
            scaled = (values[mask] - np.float32(self._first)) * np.float32(1 / self._width)
            bins = np.floor(np.clip(scaled, -1, self._bins)).astype(np.intp) + 1
            row += np.bincount(bins, minlength=self._bins + 2)

    def finish(self) -> BandStats:
        """Return the statistics of what was added."""
        bands = len(self._low)
        centre = np.zeros(bands) if self._centre is None else self._centre
        counted, linear = self._count + self._pixels, self._sum + self._linear[:, None]
        shift = linear / np.maximum(counted, 1)
        # Where no pixel was valid in both bands, the centre is no mean of anything.
        mean = np.where(counted, centre[:, None] + shift, 0.0)
        moments = Moments(counted, mean, self._square - linear * shift.T)
        power = None
        if self.unit == "dB":
            count, scale = np.diag(counted), np.exp(centre * DB_TO_NEPER)
            excess = self._power_sum / np.maximum(count, 1)
            power = Moments(
                np.diag(count),
                np.diag(np.where(count, scale * (1 + excess), 0.0)),
                np.diag(scale**2 * (self._power_square - self._power_sum * excess)),
            )
        return BandStats(self.unit, self._samples, moments, power, self._low, self._high, self._histogram, self._masked)
