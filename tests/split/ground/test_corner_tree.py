"""Boxes of any sizes are compared without looking at all pairs, and as if all had been looked at."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from sar_data.split.ground import neighbours
from sar_data.split.ground.corner_tree import LEAF, CornerTree
from sar_data.split.ground.neighbours import Boxes, find_near, search

Rows = npt.NDArray[np.intp]
SCALES = {"alike": (1.0, 1.2), "of all sizes": (1e-3, 1e3)}


def boxes(count: int, sizes: tuple[float, float], seed: int) -> Boxes:
    random = np.random.default_rng(seed)
    low = random.uniform(0, 100, (count, 2))
    return np.concatenate([low, low + np.exp(random.uniform(*np.log(sizes), (count, 2)))], axis=1)


@pytest.mark.parametrize("count", [1, LEAF, 2 * LEAF, 1000])
@pytest.mark.parametrize("scale", SCALES)
def test_a_tree_finds_what_looking_at_all_finds(count: int, scale: str) -> None:
    targets, queries = boxes(count, SCALES[scale], 0), boxes(200, SCALES[scale], 1)
    low, high = queries - 5, queries + 5
    inside = ((targets >= low[:, None]) & (targets <= high[:, None])).all(axis=2)
    odd = np.arange(count) % 2 == 1
    found = CornerTree(targets).find(low, high, lambda q, t: odd[t])
    np.testing.assert_array_equal(found, (inside & odd).any(axis=1))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("gap", [0.0, 0.7])
def test_the_tree_answers_as_the_grid_does(monkeypatch: pytest.MonkeyPatch, scale: str, gap: float) -> None:
    queries, targets = boxes(400, SCALES[scale], 2), boxes(50, SCALES[scale], 3)
    monkeypatch.setattr(neighbours, "CROWDED", 10**9)
    by_grid = find_near(queries, targets, gap)
    monkeypatch.setattr(neighbours, "CROWDED", 0)
    np.testing.assert_array_equal(find_near(queries, targets, gap), by_grid)
    assert 0 < by_grid.sum() < len(queries)


def crowd(count: int) -> tuple[Boxes, Boxes]:
    """Return boxes that all lie together, and no two of which are the same."""
    one = np.zeros((count, 4))
    one[:, 2], one[:, 3] = 1 + np.arange(count) * 1e-3, 1
    return one, one + np.array([0, 0, 5e-4, 0])


def among_a_huge_one(count: int) -> tuple[Boxes, Boxes]:
    """Return small boxes that hardly touch, and a huge one that touches none."""
    small = boxes(2 * count, (1e-4, 2e-4), 4)
    return small[:count], np.concatenate([small[count:], [[1e3, 1e3, 1e6, 1e6]]])


@pytest.mark.parametrize("same", [True, False])
def test_few_pairs_are_looked_at_where_a_grid_would_look_at_all(same: bool) -> None:
    count = 4000
    queries, targets = crowd(count) if same else among_a_huge_one(count)
    looked = 0

    def test(q: Rows, t: Rows) -> npt.NDArray[np.bool_]:
        nonlocal looked
        looked += len(q)
        return np.zeros(len(q), np.bool_)

    assert not search(queries, targets, np.zeros(2), test, same=same).any()
    assert looked < 20 * count
