"""Student's t for degrees of freedom of 1 or more, by quadrature, without a dependency.

With t = √df · tan φ the density is proportional to cos(φ)^(df - 1), which is smooth on [0, π/2].
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

ANGLES = np.linspace(0, np.pi / 2, 4001)


def quantile(level: float, df: float) -> float:
    """Return the t for which a share `level` of Student's distribution lies between -t and t."""
    return math.sqrt(df) * math.tan(float(np.interp(1 - level, _beyond(df)[::-1], ANGLES[::-1])))


def probability(t: float, df: float) -> float:
    """Return the two-sided probability of values at least as far from 0 as t."""
    return float(np.interp(math.atan(abs(t) / math.sqrt(df)), ANGLES, _beyond(df)))


def _beyond(df: float) -> npt.NDArray[np.float64]:
    """Return the two-sided probability of values beyond each of ANGLES."""
    density = np.cos(ANGLES) ** (df - 1)
    pieces = (density[1:] + density[:-1]) / 2
    tail = np.append(np.cumsum(pieces[::-1])[::-1], 0.0)
    whole: npt.NDArray[np.float64] = tail / tail[0]
    return whole
