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


def spell_unit(unit: str) -> str:
    """Return a unit in the project's spelling, given any case; a word that is no unit stays as it is."""
    return SPELLED.get(unit.casefold(), unit)


def units_after(units: Sequence[str], target: str | None) -> tuple[str, ...]:
    """Return the bands' units once those that can be are converted; raise UsageError where none of them can be."""
    if target is None or set(units) == {target}:
        return tuple(units)
    if target not in CONVERTIBLE or not set(units) & set(CONVERTIBLE):
        known = ", ".join(CONVERTIBLE)
        present = few(list(dict.fromkeys(units)))
        raise UsageError(f"`unit={target}`: expected a conversion among {known}, found values in {present}")
    return tuple(target if unit in CONVERTIBLE else unit for unit in units)


def convert_unit(values: Floats, unit: str, target: str) -> Floats:
    """Return float32 values of one unit in another; NaN where there is none.

    Zero and less have no dB, less than zero no root, and what is infinite is no value in any unit.
    """
    import numpy as np  # whoever names a unit, as a request does, needs no arrays

    if unit == target:
        return values
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if target == "dB":
            values_after = np.where(values > 0, np.float32(DECIBELS[unit]) * np.log10(values), np.float32(np.nan))
        elif unit == "dB":
            values_after = np.power(np.float32(10), values / np.float32(DECIBELS[target]))
        elif target == "power":
            values_after = np.where(values >= 0, np.square(values), np.float32(np.nan))
        else:
            values_after = np.where(values >= 0, np.sqrt(values), np.float32(np.nan))
        return np.where(np.isfinite(values_after), values_after, np.float32(np.nan)).astype(np.float32)
