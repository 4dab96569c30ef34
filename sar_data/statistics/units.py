"""Units: the axis of a unit's histogram, and the further domains in which its figures are given.

Calibrated units have figures in dB and in power, since the mean of dB is not the dB of the mean. A stretched image has
figures in its own unit only. A phase has those of a direction (Mardia and Jupp 2000: mean direction, resultant length).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.floating]

DB_TO_NEPER = math.log(10) / 10  # power = exp(dB * ln 10 / 10)
# First edge, bin width and number of bins on the unit's axis; "1" is a z-score, "minmax" a fraction of a range.
HISTOGRAMS = {
    "dB": (-100.0, 0.01, 16000),
    "1": (-80.0, 0.01, 16000),
    "minmax": (-1.0, 0.0002, 15000),
    "power": (-100.0, 0.01, 16000),  # in dB
    "amplitude": (-60.0, 0.01, 16000),  # in dB: a 16-bit DN reaches 96
    "DN": (-20.0, 0.0025, 16000),  # of asinh: steps of 0.25 % for large values, of 0.0025 near zero
    "8-bit": (-0.5, 1.0, 256),
    "phase": (-4.0, 0.0005, 16000),
}
LINEAR = frozenset({"dB", "1", "minmax", "8-bit", "phase"})  # units that are their own axis


def axis(values: Values, unit: str) -> Values:
    """Return values on the axis of their unit's histogram; a value outside the axis, such as the dB of 0, is -inf."""
    if unit in ("power", "amplitude"):
        with np.errstate(divide="ignore", invalid="ignore"):
            db = (10 if unit == "power" else 20) * np.log10(values)
        return np.where(values > 0, db, -np.inf)
    return np.arcsinh(values) if unit == "DN" else values


def off_axis(value: float, unit: str) -> float:
    """Return the value of a unit that lies at `value` on its axis."""
    if unit in ("power", "amplitude"):
        return float(10 ** (value / (10 if unit == "power" else 20)))
    return math.sinh(value) if unit == "DN" else value


def _decibels(factor: float) -> Callable[[Values], Values]:
    def convert(values: Values) -> Values:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(values > 0, factor * np.log10(values), np.nan)

    return convert


# Unit → domain → function that returns values in it, NaN where there is none. A compiled loop sums the power of dB.
DOMAINS: dict[str, dict[str, Callable[[Values], Values]]] = {
    "power": {"dB": _decibels(10)},
    "amplitude": {"dB": _decibels(20), "power": np.square},
    "phase": {"cos": np.cos, "sin": np.sin},
}


def domains(unit: str) -> tuple[str, ...]:
    """Return the further domains of a unit's figures."""
    return ("power",) if unit == "dB" else tuple(DOMAINS.get(unit, ()))
