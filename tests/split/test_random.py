from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sar_data.split.random import Random

from . import by_key, counts, place, record

keys = st.lists(st.text(min_size=1, max_size=8), unique=True, max_size=60)


@settings(max_examples=50, deadline=None)
@given(old=keys, new=keys, seed=st.integers())
def test_new_data_move_no_placed_record(old: list[str], new: list[str], seed: int) -> None:
    before = [record(key) for key in old]
    after = before + [record(key) for key in new if key not in old]
    grown = by_key(after, place(Random(), after, seed))
    assert by_key(before, place(Random(), before, seed)).items() <= grown.items()


@pytest.mark.parametrize("shares", [(0.8, 0.1, 0.1), (0.5, 0.0, 0.5), (1.0, 0.0, 0.0), (0.34, 0.33, 0.33)])
def test_shares_are_met_within_five_standard_deviations(shares: tuple[float, float, float]) -> None:
    records = [record(f"patch_{i}") for i in range(20_000)]
    found = counts(place(Random(train=shares[0], val=shares[1], test=shares[2]), records, seed=3))
    for name, share in zip(("train", "val", "test"), shares, strict=True):
        assert abs(found[name] / 20_000 - share) <= 5 * math.sqrt(share * (1 - share) / 20_000)


def test_another_seed_gives_another_split_and_a_known_one_stays() -> None:
    records = [record(f"patch_{i}") for i in range(12)]
    letters = [
        "".join(s[1] for s in place(Random(train=0.4, val=0.3, test=0.3), records, seed).split) for seed in (0, 1)
    ]
    assert letters == ["reaaaarreara", "rerrarararer"]
