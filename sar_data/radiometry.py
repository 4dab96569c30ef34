"""Values from one unit to another: dB, linear power and amplitude are three ways to write the same backscatter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, get_args

from sar_data.errors import UsageError
from sar_data.naming import few
from sar_data.spec import Unit

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
Convertible = Literal["dB", "power", "amplitude"]
CONVERTIBLE: tuple[str, ...] = get_args(Convertible)
SPELLED: dict[str, str] = {name.casefold(): name for name in get_args(Unit)}
DECIBELS = {"power": 10.0, "amplitude": 20.0}
"""Unit → what its logarithm to base 10 is multiplied by."""


def spelled(unit: str) -> str:
    """Return a unit as it is spelled here, whatever its case; one that is none stays as it is."""
    return SPELLED.get(unit.casefold(), unit)


def units_after(units: Sequence[str], wanted: str | None) -> tuple[str, ...]:
    """Return the bands' units once those that can be are converted; raise UsageError where none of them can be."""
    if wanted is None or set(units) == {wanted}:
        return tuple(units)
    if wanted not in CONVERTIBLE or not set(units) & set(CONVERTIBLE):
        known = ", ".join(CONVERTIBLE)
        found = few(list(dict.fromkeys(units)))
        raise UsageError(f"`unit={wanted}`: expected a conversion among {known}, found values in {found}")
    return tuple(wanted if unit in CONVERTIBLE else unit for unit in units)


def converted(values: Floats, unit: str, wanted: str) -> Floats:
    """Return float32 values of one unit in another; NaN where there is none.

    Zero and less have no dB, less than zero no root, and what is infinite is no value in any unit.
    """
    import numpy as np  # whoever names a unit, as a request does, needs no arrays

    if unit == wanted:
        return values
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if wanted == "dB":
            found = np.where(values > 0, np.float32(DECIBELS[unit]) * np.log10(values), np.float32(np.nan))
        elif unit == "dB":
            found = np.power(np.float32(10), values / np.float32(DECIBELS[wanted]))
        elif wanted == "power":
            found = np.where(values >= 0, np.square(values), np.float32(np.nan))
        else:
            found = np.where(values >= 0, np.sqrt(values), np.float32(np.nan))
        return np.where(np.isfinite(found), found, np.float32(np.nan)).astype(np.float32)
