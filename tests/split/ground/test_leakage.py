from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sar_data.errors import SplitError
from sar_data.record import Record
from sar_data.split.ground.footprints import Footprints, find_touching
from sar_data.split.ground.leakage import touching_share
from sar_data.split.ground.neighbours import Boxes, find_near
from sar_data.split.random import Random
from sar_data.split.shares import class_shares
from tests.split import lattice, place, record

NARROWER = ((1, 0, -1, 0), (0, 1, 0, -1))


def brute(queries: Boxes, targets: Boxes, gap: float) -> list[bool]:
    found = []
    for a in queries.tolist():
        hit = False
        for b in targets.tolist():
            slack = [1e-6 * (a[i + 2] - a[i] + b[i + 2] - b[i]) / 2 for i in (0, 1)]
            hit |= all(max(a[i] - b[i + 2], b[i] - a[i + 2]) <= gap + slack[i] for i in (0, 1))
        found.append(hit)
    return found


# Whole numbers make edges and corners meet exactly; the offset tries large UTM coordinates and negative ones.
whole = st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(1, 6), st.integers(1, 6))
boxes = st.lists(whole, max_size=25)


@settings(max_examples=150, deadline=None)
@given(
    first=boxes,
    second=boxes,
    gap=st.sampled_from([0.0, 1.0, 2.5]),
    offset=st.sampled_from([0.0, -17.0, 5e6]),
    scale=st.sampled_from([1.0, 0.1, 1200.0]),
)
def test_neighbours_are_those_of_brute_force(
    first: list[tuple[int, ...]], second: list[tuple[int, ...]], gap: float, offset: float, scale: float
) -> None:
    sides = []
    for chosen in (first, second):
        raw = np.array(chosen, dtype=float).reshape(-1, 4) * scale + [offset, -offset, 0, 0]
        raw[:, 2:] += raw[:, :2]
        sides.append(raw)
    queries, targets = sides
    assert find_near(queries, targets, (gap * scale, gap * scale)).tolist() == brute(queries, targets, gap * scale)


def test_boxes_of_very_different_size_are_still_exact() -> None:
    rng = np.random.default_rng(5)
    corner = rng.uniform(0, 1000, (400, 2))
    sized = np.hstack([corner, corner + rng.lognormal(0, 2, (400, 2))])
    assert find_near(sized[:200], sized[200:]).tolist() == brute(sized[:200], sized[200:], 0)


@pytest.mark.parametrize(("shift", "touches"), [(0.0, True), (0.5e-6, True), (2e-6, False), (1.0, False), (-0.5, True)])
def test_an_edge_or_a_corner_touches_within_a_millionth_of_the_extent(shift: float, touches: bool) -> None:
    for dx, dy in ((1 + shift, 0.0), (0.0, 1 + shift), (1 + shift, 1 + shift)):
        records = [record("a", footprint=(0, 0, 1, 1)), record("b", footprint=(dx, dy, dx + 1, dy + 1))]
        assert touching_share(records, ["train", "test"]) == float(touches)


@pytest.mark.parametrize("seed", range(3))
def test_a_random_split_of_a_lattice_leaks_everywhere(seed: int) -> None:
    records = lattice(90, 90)
    share = touching_share(records, place(Random(train=0.8, val=0, test=0.2), records, seed).split)
    assert share is not None
    assert share > 0.999


def test_in_a_random_split_nearly_every_patch_touches_a_train_patch() -> None:
    """Of four neighbours each is test with a chance of 0.2: 1 - 0.2 ** 4 = 99.84 % have one in train."""
    records = lattice(90, 90)
    whole = Footprints.of(records)
    # Narrower boxes touch across one pair of edges alone, and no corner.
    narrow = [Footprints(whole.boxes + 10 * np.array(edge), whole.code, whole.frames) for edge in NARROWER]
    shares = []
    for seed in range(5):
        split = np.array(place(Random(train=0.8, val=0, test=0.2), records, seed).split)
        sides = [[ground.take(split == name) for name in ("test", "train")] for ground in narrow]
        shares.append(np.mean(find_touching(*sides[0]) | find_touching(*sides[1])))
    assert abs(np.mean(shares) - 0.998) < 0.003


def test_the_share_counts_test_patches_and_no_others() -> None:
    records = [record(f"{x}", footprint=(x, 0, x + 1, 1)) for x in range(6)]
    assert touching_share(records, ["train", "test", "test", "val", "unused", "train"]) == 0.5


def test_patches_of_another_crs_do_not_touch() -> None:
    records = [record("a", footprint=(0, 0, 1, 1), crs="EPSG:1"), record("b", footprint=(0, 0, 1, 1), crs="EPSG:2")]
    assert touching_share(records, ["train", "test"]) == 0.0


def test_leakage_is_unknown_and_never_zero_without_georeference() -> None:
    sound = record("a", footprint=(0, 0, 1, 1))
    for blind in (record("b"), record("b", footprint=(0, 0, 1, 1), crs=None)):
        assert touching_share([sound, blind], ["train", "test"]) is None
        assert touching_share([sound, blind], ["test", "train"]) is None
        assert touching_share([sound, blind, record("c", footprint=(5, 5, 6, 6))], ["test", "unused", "train"]) == 0.0


def test_leakage_is_unknown_without_test_patches() -> None:
    assert touching_share([record("a", footprint=(0, 0, 1, 1))], ["train"]) is None
    assert touching_share([], []) is None


def test_an_impossible_footprint_is_named() -> None:
    with pytest.raises(SplitError, match="record 'b': expected a footprint"):
        touching_share([record("a", footprint=(0, 0, 1, 1)), record("b", footprint=(1, 1, 0, 0))], ["train", "test"])


def test_class_shares_are_of_each_split_alone() -> None:
    records = [record("a", 0, 2), record("b", 0), record("c", 1), record("d", 2)]
    shares = class_shares(records, ["train", "train", "test", "unused"], ("x", "y", "z"))
    assert shares == {"train": [1.0, 0.0, 0.5], "val": [0.0, 0.0, 0.0], "test": [0.0, 1.0, 0.0]}


def test_class_shares_of_a_named_task_are_of_that_task() -> None:
    two = Record(key="a", files=(), labels={"coarse": (0,), "fine": (1, 2)})
    assert class_shares([two], ["train"], "abc", task="fine")["train"] == [0.0, 1.0, 1.0]
    assert class_shares([two], ["train"], "abc")["train"] == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("label", [3, -1])
def test_a_label_outside_the_classes_is_an_error(label: int) -> None:
    with pytest.raises(SplitError, match=f"split val: expected labels below 3, the number of classes, found {label}"):
        class_shares([record("a", label)], ["val"], "abc")
