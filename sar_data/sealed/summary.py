"""The manifest's statistics and normalization, computed from mergeable sums."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from sar_data.record import IGNORE
from sar_data.sealed.documents import (
    BandStatistics,
    Circular,
    CoMoment,
    DomainStatistics,
    Normalization,
    SplitStatistics,
)
from sar_data.statistics.stats import BandStats, Moments
from sar_data.statistics.units import DB_TO_NEPER, HISTOGRAMS, domains, off_axis

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
# Extremes and percentiles can be converted, because values in both units have the same order.
CONVERSIONS: dict[tuple[str, str], Callable[[float], float | None]] = {
    ("dB", "power"): lambda x: math.exp(x * DB_TO_NEPER),
    ("power", "dB"): lambda x: 10 * math.log10(x) if x > 0 else None,
    ("amplitude", "dB"): lambda x: 20 * math.log10(x) if x > 0 else None,
    ("amplitude", "power"): lambda x: x * x,
}


def summarise(stats: BandStats, bands: tuple[str, ...], *, schema: int = 3) -> SplitStatistics:
    """Return the figures of one split; null where a band has no valid pixel.

    `schema` 2 gives the percentiles that builds of that schema have.
    """
    pairs = [
        CoMoment(
            bands=(bands[i], bands[j]),
            count=int(stats.moments.count[i, j]),
            means=(float(stats.moments.mean[i, j]), float(stats.moments.mean[j, i])),
            variances=None if schema == 2 else _variances(stats.moments, i, j),
            covariance=float(stats.moments.comoment[i, j] / max(stats.moments.count[i, j], 1)),
        )
        for i in range(len(bands))
        for j in range(i + 1, len(bands))
    ]
    return SplitStatistics(bands={name: _band(stats, i, schema) for i, name in enumerate(bands)}, co_moments=pairs)


def _variances(moments: Moments, i: int, j: int) -> tuple[float, float]:
    count = max(int(moments.count[i, j]), 1)
    return float(moments.square[i, j]) / count, float(moments.square[j, i]) / count


def normalization(stats: BandStats, bands: tuple[str, ...]) -> Normalization | None:
    """Return the figures that a loader needs to normalize, of the train split; None where a band has no valid pixel."""
    if not np.diag(stats.moments.count).all():
        return None
    figures = {name: _unit_figures(stats, i) for i, name in enumerate(bands)}
    columns: dict[str, Any] = {
        column: {name: getattr(figure, column) for name, figure in figures.items()}
        for column in ("mean", "std", "min", "max")
    }
    return Normalization(units=dict(zip(bands, stats.units, strict=True)), **columns)


def mask_pixels(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> dict[str, int]:
    """Return the pixels of each class and those ignored, from counts of every mask value, shard by shard."""
    total = np.array(counts, np.int64).reshape(-1, IGNORE + 1).sum(axis=0)
    return {**{name: int(total[i]) for i, name in enumerate(classes)}, "ignored": int(total[IGNORE])}


def _band(stats: BandStats, i: int, schema: int) -> BandStatistics:
    names = domains(stats.units[i])
    return BandStatistics(
        count=int(stats.moments.count[i, i]),
        masked={reason: int(counts[i]) for reason, counts in stats.masked.items()},
        zeros=None if schema == 2 else int(stats.zeros[i]),
        stored=_unit_figures(stats, i, schema),
        power=_domain_figures(stats, i, "power", schema) if "power" in names else None,
        db=_domain_figures(stats, i, "dB", schema) if "dB" in names else None,
        circular=_circular(stats, i) if "cos" in names else None,
    )


def _unit_figures(stats: BandStats, i: int, schema: int = 3) -> DomainStatistics:
    figures = [float(stats.low[i]), float(stats.high[i]), *_percentiles(stats, i, schema)]
    return _figures(stats.units[i], stats.moments, figures, i)


def _domain_figures(stats: BandStats, i: int, domain: str, schema: int) -> DomainStatistics:
    """Return the figures of a band in another domain, of the pixels that have a value there."""
    convert = CONVERSIONS[stats.units[i], domain]
    if not stats.domains[domain].count[i, i]:
        return _figures(domain, stats.domains[domain], [], i)
    if domain == "dB" and schema > 2:
        stats = _positive(stats, i)
    figures = [convert(value) for value in (float(stats.low[i]), float(stats.high[i]), *_percentiles(stats, i))]
    return _figures(domain, stats.domains[domain], figures, i)


def _positive(stats: BandStats, i: int) -> BandStats:
    """Return the statistics of a band's pixels above 0; the others are subtracted from the histogram's underflow."""
    low, histogram = stats.low.copy(), stats.histogram.copy()
    low[i] = stats.least[i]
    histogram[i, 0] -= stats.moments.count[i, i] - stats.domains["dB"].count[i, i]
    return replace(stats, low=low, histogram=histogram)


def _figures(unit: str, moments: Moments, figures: list[Any], i: int) -> DomainStatistics:
    count = int(moments.count[i, i])
    if count == 0:
        return DomainStatistics(unit=unit, count=0, mean=None, std=None, min=None, max=None, percentiles={})
    return DomainStatistics(
        unit=unit,
        count=count,
        mean=float(moments.mean[i, i]),
        std=math.sqrt(max(float(moments.comoment[i, i]) / count, 0.0)),
        min=figures[0],
        max=figures[1],
        percentiles={f"p{p}": value for p, value in zip(PERCENTILES, figures[2:], strict=True)},
    )


def _circular(stats: BandStats, i: int) -> Circular | None:
    """Return mean direction and resultant length of a phase, from its mean cosine and sine."""
    if not stats.moments.count[i, i]:
        return None
    x, y = (float(stats.domains[name].mean[i, i]) for name in ("cos", "sin"))
    return Circular(mean_direction=math.atan2(y, x), resultant_length=math.hypot(x, y))


def _percentiles(stats: BandStats, i: int, schema: int = 3) -> list[float]:
    """Return percentiles, interpolated inside the histogram's bins on the unit's axis, and inside the band's extremes.

    A stretched image has only whole numbers: there the percentile is the least value that so many pixels do not exceed.
    """
    unit, low, high = stats.units[i], float(stats.low[i]), float(stats.high[i])
    if not math.isfinite(low):
        return []
    edges = np.maximum.accumulate(np.clip(np.concatenate([[low], _edges(unit), [high]]), low, high))
    cumulative = np.concatenate([[0], np.cumsum(stats.histogram[i, : len(edges) - 1])])
    if unit == "8-bit" and schema > 2:
        ranks = np.ceil(np.array(PERCENTILES) / 100 * cumulative[-1])
        return [float(place - 2) for place in np.searchsorted(cumulative, ranks)]  # the first bin is below the range
    return [float(v) for v in np.interp(np.array(PERCENTILES) / 100 * cumulative[-1], cumulative, edges)]


@cache
def _edges(unit: str) -> npt.NDArray[np.float64]:
    """Return the edges of a unit's bins, as its values."""
    first, width, bins = HISTOGRAMS[unit]
    return np.array([off_axis(value, unit) for value in (first + width * np.arange(bins + 1)).tolist()])
