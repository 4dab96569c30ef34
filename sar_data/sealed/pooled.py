"""The common figures of one split of several builds, from the figures that each build recorded.

Moments are those of all pixels, up to rounding; percentiles are those of the joint sketch of all images.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sar_data.errors import BuildError, UsageError
from sar_data.sealed.documents import CoMoment, DomainStatistics, SplitStatistics
from sar_data.sealed.strata import Stratum
from sar_data.sealed.summary import CONVERSIONS, PERCENTILES
from sar_data.statistics.sketch import merge_sketches

Floats = npt.NDArray[np.float64]


def pooled_band(recorded: Sequence[SplitStatistics], band: str, unit: str) -> DomainStatistics:
    """Return the figures of a band over all builds in a unit, without percentiles.

    Raises BuildError where a build has none in this unit.
    """
    in_unit: list[DomainStatistics] = []
    for figures in (part.bands[band] for part in recorded):
        domains = (figures.stored, figures.db, figures.power)
        in_unit += [domain for domain in domains if domain is not None and domain.unit == unit][:1]
    known = [domain for domain in in_unit if domain.count]
    if len(in_unit) < len(recorded) or not known:
        raise BuildError(f"{band}: expected figures in {unit} of every build's train split, found them of some")
    counts = np.array([domain.count for domain in known], np.float64)
    means = np.array([[domain.mean] for domain in known], np.float64)
    variances = np.array([[[(domain.std or 0.0) ** 2]] for domain in known], np.float64)
    mean, variance = pooled_moments(counts, means, variances)
    lows, highs = ([value for domain in known if (value := getattr(domain, end)) is not None] for end in ("min", "max"))
    return DomainStatistics(
        unit=unit,
        count=int(counts.sum()),
        mean=float(mean[0]),
        std=float(np.sqrt(variance[0, 0])),
        min=min(lows) if len(lows) == len(known) else None,
        max=max(highs) if len(highs) == len(known) else None,
        percentiles={},
    )


def pooled_percentiles(parts: Sequence[Stratum], band: str, unit: str) -> dict[str, float | None]:
    """Return the percentiles of a band over all images, in a unit.

    Raises UsageError where the builds have different stored units.
    """
    known = [(sketch, part.figures.bands[band].count) for part in parts if (sketch := part.sketches[band]) is not None]
    stored = sorted({sketch.unit for sketch, _ in known})
    if len(stored) != 1:
        raise UsageError(
            f"percentiles of {band}: expected builds of one stored unit, found {', '.join(stored) or 'none'}: "
            "`convert(unit=…)` bakes one"
        )
    whole = merge_sketches(known)
    convert = float if whole.unit == unit else CONVERSIONS[whole.unit, unit]
    return {f"p{percent}": convert(whole.quantile(percent / 100)) for percent in PERCENTILES}


def pooled_comoment(recorded: Sequence[SplitStatistics], bands: tuple[str, str]) -> CoMoment:
    """Return means, variances and covariance of two bands of all builds, in the stored unit.

    Raises BuildError where a build has none of them.
    """
    counts, means, covariances = [], [], []
    for part in recorded:
        pair = next((pair for pair in part.co_moments if set(pair.bands) == set(bands)), None)
        if pair is None:
            raise BuildError(f"{'-'.join(bands)}: expected co-moments of every build's train split, found none of some")
        a, b = (pair.bands.index(name) for name in bands)
        variances = pair.variances or [(part.bands[name].stored.std or 0.0) ** 2 for name in pair.bands]  # schema 2
        counts.append(float(pair.count))
        means.append([pair.means[a], pair.means[b]])
        covariances.append([[variances[a], pair.covariance], [pair.covariance, variances[b]]])
    mean, covariance = pooled_moments(np.array(counts), np.array(means), np.array(covariances))
    return CoMoment(
        bands=bands,
        count=int(sum(counts)),
        means=(float(mean[0]), float(mean[1])),
        variances=(float(covariance[0, 0]), float(covariance[1, 1])),
        covariance=float(covariance[0, 1]),
    )


def pooled_moments(counts: Floats, means: Floats, covariances: Floats) -> tuple[Floats, Floats]:
    """Return mean [k] and covariance [k, k] of all pixels, from those of parts.

    `counts` are [part], `means` [part, k] and `covariances` [part, k, k], divided by the count.
    """
    shares = counts / max(counts.sum(), 1.0)
    mean = shares @ means
    away = means - mean
    return mean, np.einsum("p,pij->ij", shares, covariances + away[:, :, None] * away[:, None, :])
