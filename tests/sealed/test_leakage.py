"""The leakage card: five planted leaks of each kind are found, and no other, whatever the order of the rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sar_data.record import Date, Record
from sar_data.sealed.leakage import PAIRS, card, index_share, pair, pixels_share, records_share, sentences
from sar_data.sealed.records import to_table
from sar_data.statistics.thumbnail import CELLS

START = datetime(2020, 5, 1, 5, 30, tzinfo=UTC)
PLANTED = 5
COUNT = 100


def one(number: int, **said: Any) -> Record:
    """Return a record that shares nothing with any of another number."""
    x, y = 50 * (number % 20), 50 * (number // 20)
    facts = {
        "group": f"scene {number}",
        "place": f"tile {number}",
        "time": START + timedelta(hours=number),
        "footprint": (x, y, x + 1, y + 1),
        "crs": "EPSG:3395",
    }
    return Record(key=f"s{number}", files=(), **{**facts, **said})


def table(records: list[Record], split: list[str], pixels: list[str] | None = None) -> pa.Table:
    found = to_table(records).append_column("split", pa.array(split, pa.string()))
    return found.append_column("xxh3", pa.array(pixels or [one.key for one in records], pa.string()))


def leaks(kind: str) -> pa.Table:
    """Return 100 train and 100 test samples, five of which leak in one way alone."""
    train = [one(number) for number in range(COUNT)]
    test = [one(COUNT + number) for number in range(COUNT)]
    pixels = [record.key for record in (*train, *test)]
    for i in range(PLANTED):
        source = train[7 * i]
        said: dict[str, Any] = {
            "touching": {"footprint": tuple(a + b for a, b in zip(source.footprint or (), (1, 1, 1, 1), strict=True))},
            "identical": {"footprint": source.footprint},
            "group": {"group": source.group},
            "place": {"place": source.place},
            "acquisition": {"time": source.time},
            "pass": {"time": (source.time or START) + timedelta(minutes=14)},
        }.get(kind, {})
        test[11 * i] = one(COUNT + 11 * i, **said)
        if kind == "duplicate":
            pixels[COUNT + 11 * i] = pixels[7 * i]
    return table([*train, *test], ["train"] * COUNT + ["test"] * COUNT, pixels)


FOLLOWS = {"identical": {"touching"}, "acquisition": {"pass"}}
"""A leak of one kind that is one of others too; of ground within any distance."""


@pytest.mark.parametrize("kind", ["touching", "identical", "group", "place", "acquisition", "pass", "duplicate"])
def test_five_planted_leaks_are_found_and_no_other(kind: str) -> None:
    rows = leaks(kind)
    found = pair(card(rows, index_share))
    expected = {kind, *FOLLOWS.get(kind, ())}
    if "touching" in expected:
        expected |= {name for name in found if name.startswith("within")}
    assert {name for name, figure in found.items() if figure.value} == expected
    assert all(found[name].value == PLANTED / COUNT and found[name].of == COUNT for name in expected)
    assert pair(card(rows.take(list(range(len(rows)))[::-1]), index_share)) == found


@pytest.mark.parametrize(("gap", "name"), [(1, "within_1"), (1.5, "within_2"), (4, "within_4"), (7.9, "within_8")])
def test_the_distance_to_the_nearest_sample_is_in_extents(gap: float, name: str) -> None:
    train, test = one(0), one(1, footprint=(-1 - gap, 0.5, -gap, 1.5))
    found = pair(card(table([train, test], ["train", "test"]), records_share))
    near = [figure for figure in found if figure.startswith("within") and found[figure].value == 1]
    assert near == [figure for figure in found if figure.startswith("within")][-len(near) :]
    assert near[0] == name
    assert found["touching"].value == 0


def test_each_pair_of_splits_has_its_own_figures() -> None:
    rows = table([one(0), one(1), one(2, place="tile 1"), one(3, place="tile 0")], ["train", "val", "test", "val"])
    found = card(rows, records_share)
    assert {prefix: found[f"{prefix}place"].value for prefix in PAIRS} == {"": 0, "val-train.": 0.5, "test-val.": 1}


def test_what_is_not_known_is_none_and_has_a_reason() -> None:
    rows = table([Record(key=f"s{i}", files=()) for i in range(4)], ["train", "train", "test", "val"])
    found = card(rows, index_share)
    assert {figure.value for name, figure in pair(found).items() if name not in ("key", "duplicate")} == {None}
    *known, last = sentences(pair(found))
    assert known == [
        "0.0 % of 1 test samples have the key of a sample of train",
        "0.0 % of 1 test samples have the same pixels as a sample of train",
    ]
    assert last.startswith(
        "not known: touching, identical, within_1, within_2, within_4, within_8 (the samples have no"
    )
    none = card(rows.filter(pa.array([True, True, False, True])), records_share)["group"]
    assert (none.value, none.reason) == (None, "there are no samples")


def test_a_date_without_a_time_of_day_is_no_acquisition_and_all_dates_of_a_series_count() -> None:
    midnight = datetime(2020, 5, 1, tzinfo=UTC)
    days = [one(i, time=midnight) for i in range(2)]
    assert card(table(days, ["train", "test"]), records_share)["acquisition"].value is None
    series = one(1, time=None, dates=(Date(role="pre", time=START), Date(role="post", time=START + timedelta(days=12))))
    found = card(table([one(0), series], ["train", "test"]), records_share)
    assert (found["acquisition"].value, found["pass"].value) == (1, 1)


def test_near_duplicates_are_counted_of_samples_that_have_a_thumbnail_and_only_of_so_many() -> None:
    random = np.random.default_rng(4)
    pictures: list[bytes | None] = [random.integers(-99, 99, 2 * CELLS, np.int8).tobytes() for _ in range(80)]
    pictures[60], pictures[79] = pictures[3], None
    rows = table([one(i) for i in range(80)], ["train"] * 60 + ["test"] * 20)
    rows = rows.append_column("thumbnail", pa.array(pictures, pa.binary()))
    found = pair(card(rows, pixels_share))["near_duplicate"]
    assert (found.value, found.of, found.reason) == (1 / 19, 19, "1 samples have no thumbnail")
    assert pair(card(rows, partial(pixels_share, most=80)))["near_duplicate"] == found
    reason = pair(card(rows, partial(pixels_share, most=79)))["near_duplicate"].reason
    assert reason == "not looked at: more than 79 samples take a while; `leakage()` compares them"
    blind = pair(card(rows.drop_columns("thumbnail"), pixels_share))["near_duplicate"]
    assert (blind.value, blind.reason) == (None, "the samples have no thumbnail")
