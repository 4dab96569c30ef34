"""Channels of a batch: bands of a build, and what is derived of two of them.

| written as | is | unit |
|---|---|---|
| VV-VH | the difference of stored values; in dB that is the ratio of powers | that of the first band |
| VV/VH | the ratio of powers | ratio |
| VV+VH | the sum of powers: the span of dual-polarized data | power |
| RVI:VV:VH | 4 VH / (VV + VH) of powers: the radar vegetation index of two polarizations (Trudel et al. 2012) | ratio |

Powers are linear, in a build of any unit. A pixel that one of the bands does not have, or that has no finite
value, is masked.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sar_data.errors import unknown

DIFFERENCE = "{}-{}"


class Formula(NamedTuple):
    """What two bands' powers make: how it is written, its unit, and the function, of numpy's arrays and of tensors."""

    written: str
    unit: str
    of: Callable[[Any, Any], Any]


def _vegetation(like: Any, cross: Any) -> Any:
    return 4 * cross / (like + cross)


VEGETATION = Formula("RVI:{}:{}", "ratio", _vegetation)
FORMULAS = (Formula("{}/{}", "ratio", operator.truediv), Formula("{}+{}", "power", operator.add), VEGETATION)
OPERANDS = re.compile(r"RVI:([^:]+):([^:]+)|([^-/+]+)[-/+](.+)")


class Channel(NamedTuple):
    """A band, or two bands and the formula of their powers; two bands without one are a difference of stored values."""

    first: str
    second: str | None = None
    formula: Formula | None = None

    @property
    def bands(self) -> tuple[str, ...]:
        """The bands that it is made of."""
        return (self.first,) if self.second is None else (self.first, self.second)

    @property
    def name(self) -> str:
        """How it is written."""
        return (self.formula.written if self.formula else DIFFERENCE).format(*self.bands) if self.second else self.first


def channel_of(name: str, bands: Sequence[str]) -> Channel:
    """Return the channel of a name, made of some of a build's bands; raise UsageError where there is none."""
    if name in bands:
        return Channel(name)
    pairs = [(first, second) for first in bands for second in bands if first != second]
    derived = [Channel(*pair, formula) for formula in (None, *FORMULAS) for pair in pairs]
    for channel in derived:
        if channel.name == name:
            return channel
    raise unknown("band", name, [*bands, *(channel.name for channel in derived)])


def operands(name: str) -> tuple[str, ...]:
    """Return the bands that a channel's name contains, whether or not a build has them."""
    match = OPERANDS.fullmatch(name)
    return tuple(part for part in match.groups() if part) if match else (name,)


def is_formula(name: str) -> bool:
    """Say whether a name is written as a formula of powers; its bands may not exist."""
    return len(operands(name)) > 1 and (name.startswith("RVI:") or "-" not in name)


def by_formula(channels: Sequence[str], bands: Sequence[str]) -> list[str]:
    """Return those of some channels that a formula makes of powers, of which a build records no figures."""
    return [name for name in channels if channel_of(name, bands).formula]
