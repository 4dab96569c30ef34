from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sar_data.errors import SplitError, UsageError
from sar_data.record import Record
from sar_data.split.blocks import Blocks
from sar_data.split.ground import frames
from sar_data.split.ground.leakage import touching_share
from sar_data.split.parse import parse

from . import Footprint, counts, lattice, place, record

LATTICE = lattice(90, 90)


def scattered(draw: st.DataObject, n: int) -> list[Record]:
    rng = np.random.default_rng(draw.draw(st.integers(0, 9999)))
    corners = rng.uniform(0, 40, (n, 2))
    sides = rng.uniform(0.5, 3, (n, 2))
    return [
        record(f"{i}", footprint=(x, y, x + w, y + h), crs=f"EPSG:{i % 2}")
        for i, ((x, y), (w, h)) in enumerate(zip(corners.tolist(), sides.tolist(), strict=True))
    ]


@settings(max_examples=40, deadline=None)
@given(data=st.data(), size=st.integers(2, 12), buffer=st.integers(1, 3))
def test_with_a_buffer_no_test_or_val_patch_touches_another_split(data: st.DataObject, size: int, buffer: int) -> None:
    records = scattered(data, 60)
    policy = Blocks(size=size, buffer=buffer, train=0.6, val=0.2, test=0.2)
    try:
        result = place(policy, records)
    except SplitError:
        # A wide buffer among few patches may leave none to train on, which is an error of its own.
        return
    assert touching_share(records, result.split) in (0.0, None)
    val_as_test = [{"val": "test", "test": "train"}.get(s, s) for s in result.split]
    assert touching_share(records, val_as_test) in (0.0, None)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 9999), buffer=st.integers(1, 2), grow=st.booleans())
def test_with_a_buffer_nothing_touches_across_two_zones(seed: int, buffer: int, grow: bool) -> None:
    rng = np.random.default_rng(seed)
    records = []
    for i in range(80):
        zone = ("EPSG:32632", "EPSG:32633")[i % 2]
        spot = np.array([[12 + rng.normal(0, 0.08), 47 + rng.normal(0, 0.05)]])
        ((x, y),) = frames.from_degrees(zone, spot).tolist()
        records.append(record(f"{i}", footprint=(x, y, x + 1200, y + 1200), crs=zone))
    policy = Blocks(size=3, buffer=buffer, train=0.6, val=0.2, test=0.2)
    try:
        before = place(policy, records[:50], seed)
        kept = {one.key: split for one, split in zip(records[:50], before.split, strict=True)} if grow else {}
        made = policy.keep(records, kept=kept, seed=seed)
    except SplitError:
        return  # a wide buffer among few patches may leave none to train on
    assert touching_share(records, made.split) in (0.0, None)
    val_as_test = [{"val": "test", "test": "train"}.get(s, s) for s in made.split]
    assert touching_share(records, val_as_test) in (0.0, None)


@pytest.mark.parametrize("buffer", [1, 2, 3])
def test_the_gap_is_as_wide_as_the_buffer_and_no_wider(buffer: int) -> None:
    result = place(Blocks(size=10, buffer=buffer), LATTICE)
    grid = np.array(result.split).reshape(90, 90)
    places = {name: np.argwhere(grid == name) for name in ("train", "val", "test")}
    nearest = min(
        int(np.abs(one[:, None] - two[None]).max(axis=2).min())
        for one, two in ((places["train"], places["test"]), (places["train"], places["val"]))
    )
    assert nearest == buffer + 1


@pytest.mark.parametrize(("size", "cost", "leak"), [(5, 13.1, 52.0), (10, 5.9, 27.0), (15, 3.6, 17.5), (30, 1.7, 7.4)])
def test_a_full_lattice_has_the_known_cost_and_leakage(size: int, cost: float, leak: float) -> None:
    costs, leaks = [], []
    for seed in range(12):
        costs.append(counts(place(Blocks(size=size, train=0.8, val=0, test=0.2), LATTICE, seed))["unused"] / 81)
        open_split = place(Blocks(size=size, buffer=0, train=0.8, val=0, test=0.2), LATTICE, seed).split
        leaks.append(100 * (touching_share(LATTICE, open_split) or math.nan))
    assert np.mean(costs) == pytest.approx(cost, rel=0.15)
    assert np.mean(leaks) == pytest.approx(leak, rel=0.15)


def test_val_and_train_give_way_to_test_and_give_the_reason() -> None:
    open_split = place(Blocks(buffer=0), LATTICE).split
    closed = place(Blocks(buffer=1), LATTICE)
    assert [s == "test" for s in open_split] == [s == "test" for s in closed.split]
    assert "unused" not in open_split
    assert {(o, r) for o, r in zip(open_split, closed.reason, strict=True) if r} == {
        ("train", "buffer: within 1 patch of test"),
        ("train", "buffer: within 1 patch of val"),
        ("val", "buffer: within 1 patch of test"),
    }


def test_a_wider_buffer_names_its_width() -> None:
    reasons = place(Blocks(buffer=2, val=0, test=0.2), LATTICE).reason
    assert set(reasons) == {None, "buffer: within 2 patches of test"}


def test_a_block_is_never_divided() -> None:
    grid = np.array(place(Blocks(size=10, buffer=0), LATTICE).split).reshape(9, 10, 9, 10)
    assert np.all(grid == grid[:, :1, :, :1])


def test_places_in_different_crs_are_different_blocks() -> None:
    records = [record(f"{i}", footprint=(0, 0, 1, 1), crs=f"EPSG:{i}") for i in range(20)]
    assert set(place(Blocks(), records).split) == {"train", "val", "test"}


@pytest.mark.parametrize(("footprint", "crs", "missing"), [(None, "EPSG:1", "footprint"), ((0, 0, 1, 1), None, "crs")])
def test_a_record_without_georeference_stops_the_split(
    footprint: Footprint | None, crs: str | None, missing: str
) -> None:
    with pytest.raises(SplitError, match=rf"'a': expected a footprint and its crs, found no {missing}: use `split=g"):
        place(Blocks(), [record("a", footprint=footprint, crs=crs)])


@pytest.mark.parametrize("footprint", [(1, 0, 1, 1), (0, 2, 1, 1), (0, 0, math.inf, 1), (0, math.nan, 1, 1)])
def test_an_impossible_footprint_stops_the_split(footprint: Footprint) -> None:
    with pytest.raises(SplitError, match=r"'a': expected a footprint .* with min < max, found"):
        place(Blocks(), [record("a", footprint=footprint)])


def test_a_buffer_that_leaves_no_train_patch_is_an_error() -> None:
    with pytest.raises(
        SplitError, match=r"expected train patches, found none left of 16 .* use a smaller size, buffer=0"
    ):
        place(Blocks(size=1, buffer=3, train=0.5, val=0, test=0.5), lattice(4, 4))


@pytest.mark.parametrize(
    ("size", "buffer", "message"), [(0, 1, "size: expected at least 1"), (5, -1, "0 patches or more")]
)
def test_blocks_need_a_size_and_no_negative_buffer(size: int, buffer: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Blocks(size=size, buffer=buffer)


def test_records_of_another_frame_of_reference_are_left_out() -> None:
    records = [*lattice(9, 9), record("other", footprint=(0, 0, 1, 1), crs="EPSG:32632")]
    name, policy = parse("blocks:frame=EPSG:32633,size=3,buffer=0", {"blocks": Blocks()})
    made = place(policy, records)
    assert (name, made.split[-1], made.reason[-1]) == ("blocks", "unused", "not in EPSG:32633")
    assert "unused" not in made.split[:-1]
    assert place(Blocks(size=3, buffer=0), records).split[-1] != "unused"
