"""The compiled statistics count values outside of the bins at their end, and refuse arrays that do not fit together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sar_data.statistics.kernel import Bins, measure


def arguments() -> dict[str, Any]:
    return {
        "flat": np.zeros((2, 100), np.float32),
        "centre": np.zeros(2),
        "bins": Bins(-1.0, 10.0, np.zeros((2, 22), np.int64)),
        "decibels": True,
    }


def test_values_outside_of_the_bins_are_counted_at_their_end() -> None:
    given = arguments()
    values = [np.nan, np.inf, -np.inf, 1e30, -1e30, -1.05, -0.95, 0.95, 1.05, 3e9, -3e9]
    given["flat"][:] = np.resize(np.array(values, np.float32), 100)
    margins = np.full((4, 22), 7, np.int64)
    margins[1:3] = 0
    measure(**given | {"bins": Bins(-1.0, 10.0, margins[1:3])})
    assert (margins[[0, 3]] == 7).all()
    assert margins[1:3].sum() == 200
    assert margins[1:3, 20].tolist() == [9, 9]  # of 0.95


@pytest.mark.parametrize(
    "change",
    [
        *({"centre": np.zeros(size)} for size in (0, 1, 3)),
        *({"bins": Bins(0.0, 1.0, np.zeros(shape, np.int64))} for shape in ((1, 22), (3, 22), (2, 2), (2, 0))),
        *({"flat": np.zeros(shape, np.float32)} for shape in ((3, 100), (0, 100), (2, 0))),
    ],
)
def test_centres_and_bins_of_other_bands_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected centres and bins"):
        measure(**arguments() | change)


@pytest.mark.parametrize(
    "change",
    [
        {"flat": np.zeros((2, 100))},
        {"flat": np.zeros((2, 200), np.float32)[:, ::2]},
        {"flat": np.asfortranarray(np.zeros((2, 100), np.float32))},
        {"centre": np.zeros(2, np.float32)},
        {"bins": Bins(0.0, 1.0, np.zeros((2, 22), np.int32))},
    ],
)
def test_arrays_of_another_type_or_order_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="No matching definition"):
        measure(**arguments() | change)
