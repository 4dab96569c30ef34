"""Steps of augmentation as a user names them: NAME or NAME:NUMBER, such as "flips", "crop:0.8", "speckle:4"."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from sar_data.errors import UsageError, unknown
from sar_data.stream.normalize import STRETCHES
from sar_data.train.augment.symmetry import EXCHANGE, TURN


class Number(NamedTuple):
    """The number of a step: its meaning, its default, and a limit in words with a function that tests it."""

    meaning: str
    default: float
    limit: str = ""
    fits: Callable[[float], bool] = lambda _: True


class Step(NamedTuple):
    """A step: what it does, and its number, None where it takes none.

    Before a `physical` step images are in physical units, with masked pixels NaN, and are normalized after it. A step
    of `evaluation` is done there too, at the midpoint of its random range.
    """

    does: str
    number: Number | None = None
    physical: bool = False
    evaluation: bool = False


STEPS = {
    "speckle": Step("multiplies power by Gamma(L′, 1/L′)", Number("looks L′ of the added speckle", 8.0), physical=True),
    EXCHANGE: Step("exchanges two dates in half of the samples"),
    "drae": Step(
        "SAR-HUB's tone mapping",
        Number("the largest percentile of the stretch", 2.0, "below 50", lambda percent: percent < 50),
        physical=True,
        evaluation=True,
    ),
    "crop": Step(
        "random resized crop", Number("the smallest share of the area", 0.08, "at most 1", lambda share: share <= 1)
    ),
    "flips": Step("the flips that the build declares"),
    "azimuth-flip": Step("flips along azimuth"),
    "range-flip": Step("flips along range"),
    "hflip": Step("flips x, as in published recipes"),
    "vflip": Step("flips y, as in published recipes"),
    TURN: Step("turns by 0, 90, 180 or 270 degrees"),
    "rotate": Step("turns by a small angle, as in published recipes", Number("the largest angle in degrees", 10.0)),
    "mixup": Step("mixes neighbours of a batch", Number("alpha of Beta(alpha, alpha)", 0.8)),
}
"""Steps by name, in the order in which they are done: the one list for parsing, messages and the page of training."""


def parse(names: Iterable[str]) -> dict[str, float]:
    """Return the number of each step, 0 for one that has none; UsageError for names and numbers that do not exist."""
    values = dict[str, float]()
    for text in names:
        name, colon, number = text.strip().partition(":")
        if name not in STEPS:
            raise unknown("augmentation", name, list(STEPS))
        takes = STEPS[name].number
        try:
            value = float(number) if colon else takes.default if takes else 0.0
        except ValueError:
            value = -1.0
        if colon and not (takes and 0 < value < float("inf")):
            expected = "a number above 0" if takes else "no number"
            raise UsageError(f"augmentation {text!r}: expected {name} with {expected}, found {number!r}")
        if name in values:
            raise UsageError(f"augmentation {name!r} is named twice")
        if takes and not takes.fits(value):
            raise UsageError(f"{name}:{value}: expected {takes.meaning}, {takes.limit}")
        values[name] = value
    return values


def physical(names: Iterable[str], normalize: str | None) -> bool:
    """Say whether images must come in physical units, masked pixels NaN, and be normalized only after augmentation."""
    return normalize in STRETCHES and any(STEPS[name].physical for name in parse(names))


def of_evaluation(names: Iterable[str]) -> tuple[str, ...]:
    """Return the steps, as they are named, that are done in evaluation too."""
    return tuple(name for name in names if any(STEPS[step].evaluation for step in parse([name])))
