"""From mergeable sums to the figures people read: the manifest's statistics and its normalisation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sar_data.manifest import (
    BandStatistics,
    CoMoment,
    DomainStatistics,
    Normalisation,
    SplitStatistics,
)
from sar_data.stats import DB_TO_NEPER, HISTOGRAMS, BandStats, Moments

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
POWER_UNIT = "power"


def summarise(stats: BandStats, bands: tuple[str, ...]) -> SplitStatistics:
    """Return the figures of one split; null where a band has no valid pixel."""
    pairs = [
        CoMoment(
            bands=(bands[i], bands[j]),
            count=int(stats.moments.count[i, j]),
            means=(float(stats.moments.mean[i, j]), float(stats.moments.mean[j, i])),
            covariance=float(stats.moments.comoment[i, j] / max(stats.moments.count[i, j], 1)),
        )
        for i in range(len(bands))
        for j in range(i + 1, len(bands))
    ]
    return SplitStatistics(bands={name: _band(stats, i) for i, name in enumerate(bands)}, co_moments=pairs)


def normalisation(stats: BandStats, bands: tuple[str, ...]) -> Normalisation | None:
    """Return what a loader needs to normalise, from the train split; None where a band has no valid pixel."""
    if not np.diag(stats.moments.count).all():
        return None
    figures = {name: _domain(stats.unit, stats.moments, stats, i) for i, name in enumerate(bands)}
    columns: dict[str, Any] = {
        column: {name: getattr(figure, column) for name, figure in figures.items()}
        for column in ("mean", "std", "min", "max")
    }
    return Normalisation(unit=stats.unit, **columns)


def _band(stats: BandStats, i: int) -> BandStatistics:
    stored = _domain(stats.unit, stats.moments, stats, i)
    power = None
    if stats.power is not None:
        power = _domain(POWER_UNIT, stats.power, stats, i)
    masked = {reason: int(counts[i]) for reason, counts in stats.masked.items()}
    return BandStatistics(count=int(stats.moments.count[i, i]), masked=masked, stored=stored, power=power)


def _domain(unit: str, moments: Moments, stats: BandStats, i: int) -> DomainStatistics:
    count = int(moments.count[i, i])
    if count == 0:
        return DomainStatistics(unit=unit, mean=None, std=None, min=None, max=None, percentiles={})
    figures = [float(stats.low[i]), float(stats.high[i]), *_percentiles(stats, i)]
    if unit == POWER_UNIT:  # monotonic, so extremes and percentiles map
        figures = [math.exp(figure * DB_TO_NEPER) for figure in figures]
    return DomainStatistics(
        unit=unit,
        mean=float(moments.mean[i, i]),
        std=math.sqrt(max(float(moments.comoment[i, i]) / count, 0.0)),
        min=figures[0],
        max=figures[1],
        percentiles={f"p{p}": value for p, value in zip(PERCENTILES, figures[2:], strict=True)},
    )


def _percentiles(stats: BandStats, i: int) -> list[float]:
    """Interpolate inside the histogram's bins; never outside the band's extremes."""
    first, width, bins = HISTOGRAMS[stats.unit]
    edges = np.concatenate([[stats.low[i]], first + width * np.arange(bins + 1), [stats.high[i]]])
    edges = np.maximum.accumulate(np.clip(edges, stats.low[i], stats.high[i]))
    cumulative = np.concatenate([[0], np.cumsum(stats.histogram[i])])
    return [float(v) for v in np.interp(np.array(PERCENTILES) / 100 * cumulative[-1], cumulative, edges)]
