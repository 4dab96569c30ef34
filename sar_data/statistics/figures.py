"""The statistical figures of one image and band, from which those of a split, a class or a season are merged."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sar_data.statistics.quantiles import FRACTIONS
from sar_data.statistics.stats import REASONS

Figures = npt.NDArray[np.float64]
"""float64 [band, FIGURES], or [FIGURES] of one band; NaN where there is none."""
DOMAINS = ("power", "dB", "cos", "sin")  # beside the stored unit, which has no name
MOMENTS = ("count", "mean", "variance")
QUANTILE_NAMES = tuple(f"p{100 * fraction:02.0f}" for fraction in FRACTIONS)
ENDS = ("at_min", "at_max")  # pixels that have the least, the largest value; older builds do not have these columns
FIGURES = (
    *MOMENTS,
    *("min", "max", "zeros", *REASONS, *QUANTILE_NAMES),
    *(f"{domain.lower()}_{name}" for domain in DOMAINS for name in MOMENTS),
    *ENDS,
)
ZEROS = FIGURES.index("zeros")
MIN, MAX = FIGURES.index("min"), FIGURES.index("max")
MASKED = slice(FIGURES.index(REASONS[0]), FIGURES.index(REASONS[-1]) + 1)
QUANTILES = slice(FIGURES.index(QUANTILE_NAMES[0]), FIGURES.index(QUANTILE_NAMES[-1]) + 1)
AT_ENDS = slice(FIGURES.index(ENDS[0]), FIGURES.index(ENDS[-1]) + 1)
_PLACES = {domain: FIGURES.index(f"{domain.lower()}_count" if domain else "count") for domain in ("", *DOMAINS)}


def set_moments(figures: Figures, domain: str, count: Any, mean: Any, variance: Any) -> None:
    """Set count, mean and variance (divided by the count) of a domain, of all bands or of one."""
    place = _PLACES[domain]
    figures[..., place], figures[..., place + 1], figures[..., place + 2] = count, mean, variance


def set_values(figures: Figures, domain: str, values: npt.NDArray[Any]) -> None:
    """Set the moments of a domain from its values; without values there is a count of 0 and no mean."""
    if not len(values):
        figures[_PLACES[domain]] = 0
        return
    exact = values.astype(np.float64)
    set_moments(figures, domain, len(exact), exact.mean(), exact.var())
