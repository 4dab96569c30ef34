"""The figures of one split of several builds together, from what each build recorded.

Moments are those of all pixels at once, up to rounding; percentiles are of the joint sketch of all images.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sar_data.errors import BuildError, UsageError
from sar_data.sealed.documents import CoMoment, DomainStatistics, SplitStatistics
from sar_data.sealed.strata import Stratum
from sar_data.sealed.summary import PERCENTILES, TOLD
from sar_data.statistics.sketch import merge_sketches

Floats = npt.NDArray[np.float64]


def pooled_band(recorded: Sequence[SplitStatistics], band: str, unit: str) -> DomainStatistics:
    """Return the figures of a band of all builds in a unit, without percentiles; BuildError where a build has none."""
    domains = [(one.stored, one.db, one.power) for one in (part.bands[band] for part in recorded)]
    told = [one for own in domains if (one := next((d for d in own if d and d.unit == unit), None)) is not None]
    known = [one for one in told if one.count]
    if len(told) < len(recorded) or not known:
        raise BuildError(f"{band}: expected figures in {unit} of every build's train split, found them of some")
    counts = np.array([one.count for one in known], np.float64)
    means = np.array([[one.mean] for one in known], np.float64)
    variances = np.array([[[(one.std or 0.0) ** 2]] for one in known], np.float64)
    mean, variance = pooled_moments(counts, means, variances)
    lows, highs = ([value for one in known if (value := getattr(one, end)) is not None] for end in ("min", "max"))
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
    """Return the percentiles of a band over all images, in a unit; UsageError where builds are stored in several."""
    known = [(one, part.figures.bands[band].count) for part in parts if (one := part.sketches[band]) is not None]
    stored = sorted({one.unit for one, _ in known})
    if len(stored) != 1:
        raise UsageError(
            f"percentiles of {band}: expected builds of one stored unit, found {', '.join(stored) or 'none'}: "
            "`convert(unit=…)` bakes one"
        )
    whole = merge_sketches(known)
    told = float if whole.unit == unit else TOLD[whole.unit, unit]
    return {f"p{percent}": told(whole.quantile(percent / 100)) for percent in PERCENTILES}


def pooled_comoment(recorded: Sequence[SplitStatistics], bands: tuple[str, str]) -> CoMoment:
    """Return means, variances and covariance of two bands of all builds, in the stored unit.

    Raises BuildError where a build has none of them.
    """
    counts, means, covariances = [], [], []
    for part in recorded:
        one = next((one for one in part.co_moments if set(one.bands) == set(bands)), None)
        if one is None:
            raise BuildError(f"{'-'.join(bands)}: expected co-moments of every build's train split, found none of some")
        a, b = (one.bands.index(name) for name in bands)
        alone = [(part.bands[name].stored.std or 0.0) ** 2 for name in one.bands]
        variances = one.variances or alone  # builds of schema 2 have none
        counts.append(float(one.count))
        means.append([one.means[a], one.means[b]])
        covariances.append([[variances[a], one.covariance], [one.covariance, variances[b]]])
    mean, found = pooled_moments(np.array(counts), np.array(means), np.array(covariances))
    return CoMoment(
        bands=bands,
        count=int(sum(counts)),
        means=(float(mean[0]), float(mean[1])),
        variances=(float(found[0, 0]), float(found[1, 1])),
        covariance=float(found[0, 1]),
    )


def pooled_moments(counts: Floats, means: Floats, covariances: Floats) -> tuple[Floats, Floats]:
    """Return mean [k] and covariance [k, k] of all pixels, of parts' counts [part], means [part, k] and covariances.

    Covariances, [part, k, k], are divided by the count.
    """
    shares = counts / max(counts.sum(), 1.0)
    mean = shares @ means
    away = means - mean
    return mean, np.einsum("p,pij->ij", shares, covariances + away[:, :, None] * away[:, None, :])
