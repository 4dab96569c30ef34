"""Steps of augmentation as a user names them: NAME or NAME:NUMBER, such as "flips", "crop:0.8", "speckle:4"."""

from __future__ import annotations

from collections.abc import Iterable

from sar_data.errors import UsageError, unknown
from sar_data.stream.normalize import STRETCHES
from sar_data.train.augment import symmetry

# What a step's number is, and what it is by default.
NUMBERS = {
    "crop": 0.08,  # random resized crop: the smallest share of the area
    "rotate": 10.0,  # as published: the largest angle in degrees
    "speckle": 8.0,  # looks L′ of the added speckle
    "drae": 2.0,  # tone mapping: the largest percentile of the stretch
    "mixup": 0.8,  # alpha of Beta(alpha, alpha)
}


def parsed(names: Iterable[str]) -> dict[str, float]:
    """Return the number of each step, 0 for one that has none; UsageError for names and numbers that do not exist."""
    found = {}
    for text in names:
        name, colon, number = text.strip().partition(":")
        if name not in NUMBERS and name not in symmetry.NAMES:
            raise unknown("augmentation", name, [*NUMBERS, *symmetry.NAMES])
        try:
            value = float(number) if colon else NUMBERS.get(name, 0.0)
        except ValueError:
            value = -1.0
        if colon and not (name in NUMBERS and 0 < value < float("inf")):
            takes = "a number above 0" if name in NUMBERS else "no number"
            raise UsageError(f"augmentation {text!r}: expected {name} with {takes}, found {number!r}")
        if name in found:
            raise UsageError(f"augmentation {name!r} is named twice")
        found[name] = value
    if found.get("crop", 0) > 1:
        raise UsageError(f"crop:{found['crop']}: expected the smallest share of the area, at most 1")
    if found.get("drae", 0) >= 50:
        raise UsageError(f"drae:{found['drae']}: expected the largest percentile of the stretch, below 50")
    return found


def physical(names: Iterable[str], normalize: str | None) -> bool:
    """Say whether images must come in physical units, masked pixels NaN, and be normalized only after augmentation."""
    return normalize in STRETCHES and not {"speckle", "drae"}.isdisjoint(parsed(names))
