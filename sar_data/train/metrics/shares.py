"""Shares and means whose denominator may be 0, and their output as a number or None."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def share(part: Any, whole: Any) -> Any:
    """Return part / whole, NaN where the whole is 0."""
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=np.asarray(whole) > 0)


def mean(values: Any, there: npt.NDArray[np.bool_]) -> Any:
    """Return the mean along the last axis of the values where `there` is true, NaN where there is none."""
    return share(np.where(there, values, 0.0).sum(axis=-1), there.sum(axis=-1))


def margins(counts: npt.NDArray[Any]) -> tuple[Floats, Floats, Floats]:
    """Return right answers, support and claims by class [..., class] of confusion counts [..., target, predicted].

    Leading axes stay: a single matrix gives [class], resampled matrices [resample, class].
    """
    values = counts.astype(np.float64)
    return np.diagonal(values, axis1=-2, axis2=-1), values.sum(axis=-1), values.sum(axis=-2)


def number(value: Any) -> float | None:
    """Return a float, None where the value is not finite."""
    return float(value) if np.isfinite(value) else None


def by_class(classes: Sequence[str], *, support: Floats, **columns: Floats) -> dict[str, dict[str, Any]]:
    """Return {class: {name: value}} of arrays by class, with each class's count of samples or pixels."""
    return {
        name: {**{what: number(values[i]) for what, values in columns.items()}, "support": int(support[i])}
        for i, name in enumerate(classes)
    }


def absent(support: Floats, classes: Sequence[str]) -> list[str]:
    """Return the names of the classes without support."""
    return [name for name, count in zip(classes, support, strict=True) if not count]
