"""Order is a pure function: of seed, epoch, world and rank, and of nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sar_data.errors import UsageError
from sar_data.stream.bits import mix
from sar_data.stream.order import Mix, Order, Pace, drawn, permutation, subset

counts = st.integers(0, 400)
seeds = st.integers(0, 2**64 - 1)


@given(counts, seeds, st.integers(0, 99))
def test_a_permutation_has_every_number_once_and_is_the_same_twice(count: int, seed: int, epoch: int) -> None:
    order = permutation(count, seed, epoch)
    assert sorted(order.tolist()) == list(range(count))
    assert (order == permutation(count, seed, epoch)).all()


def test_the_order_never_changes_between_versions() -> None:
    # States written by an older version must find the same order: these are frozen.
    assert mix(1, 2, 3) == 7702586659592502839
    assert permutation(10, 0, 0).tolist() == FROZEN


def test_every_permutation_is_equally_likely() -> None:
    counts = np.zeros((5, 5))
    for epoch in range(6000):
        counts[np.arange(5), permutation(5, 7, epoch)] += 1
    chi2 = ((counts - 1200) ** 2 / 1200).sum()
    assert chi2 < 45  # 16 degrees of freedom: one in ten thousand is above 45


@given(st.integers(1, 400), seeds, st.floats(0.01, 1), st.floats(0.01, 1))
def test_smaller_shares_are_parts_of_larger_ones(count: int, seed: int, one: float, other: float) -> None:
    small, large = (set(subset(count, share, seed).tolist()) for share in sorted((one, other)))
    assert small <= large
    assert len(large) == max(round(max(one, other) * count), 1)


@given(st.integers(1, 300), seeds, st.integers(1, 6), st.floats(0.01, 1), st.floats(0.01, 1), st.booleans())
def test_a_share_of_each_class_has_them_all_and_smaller_ones_are_parts_of_larger(
    count: int, seed: int, most: int, one: float, other: float, several: bool
) -> None:
    rng = np.random.default_rng(seed % 2**32)
    single = rng.integers(0, most, count)
    classes = (rng.random((count, most)) < 0.1).astype(np.uint8) if several else single
    small, large = (subset(count, share, seed, classes) for share in sorted((one, other)))
    assert set(small.tolist()) <= set(large.tolist())
    assert len(set(small.tolist())) == len(small)
    if several:
        assert (classes[small].any(axis=0) == classes.any(axis=0)).all()
    else:
        found, whole = np.bincount(single[small], minlength=most), np.bincount(single, minlength=most)
        assert (np.abs(found - min(one, other) * whole) <= 1).all()
        assert ((found > 0) == (whole > 0)).all()


def test_a_share_of_nothing_or_of_more_than_all_is_refused() -> None:
    for fraction in (0.0, -0.1, 1.01, math.nan):
        with pytest.raises(UsageError, match="above 0 and at most 1"):
            subset(10, fraction, 0)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=200).filter(lambda w: sum(w) > 1e-6), seeds)
def test_each_sample_is_drawn_its_share_rounded_up_or_down(weights: list[float], seed: int) -> None:
    times = np.bincount(drawn(np.array(weights), seed), minlength=len(weights))
    expected = np.array(weights) * len(weights) / sum(weights)
    assert times.sum() == len(weights)
    assert (np.abs(times - expected) < 1 + 1e-6).all()


@given(st.integers(0, 300), st.integers(1, 20), st.integers(1, 64), seeds)
def test_a_shuffle_of_shards_keeps_few_shards_open_at_once(count: int, length: int, window: int, seed: int) -> None:
    shards = np.arange(count) // length
    order = Order(seed=seed, shuffle="shards", window=window).epoch(3, np.arange(count), shards)
    assert sorted(order.tolist()) == list(range(count))
    first, last = {}, {}
    for place, row in enumerate(order):
        first.setdefault(shards[row], place)
        last[shards[row]] = place
    for place in range(count):
        open_now = sum(first[s] <= place <= last[s] for s in first)
        assert open_now <= max(1, math.ceil(window / length) + 1)


@given(st.integers(1, 200), st.integers(1, 9), st.sampled_from([1, 2, 3, 4, 8]))
def test_ranks_together_take_the_global_order_in_equal_batches(count: int, batch: int, world: int) -> None:
    order = permutation(count, 1, 2)
    paces = [Pace(batch=batch, rank=rank, world=world) for rank in range(world)]
    steps = paces[0].steps(count)
    taken = [row for s in range(steps) for pace in paces for row in pace.share(order, s * pace.step)[0]]
    assert taken == order[: steps * batch * world].tolist()
    assert len(taken) + paces[0].tail(count) == count


@given(counts, st.integers(1, 9), st.sampled_from([1, 2, 3, 4, 8]))
def test_an_evaluation_has_every_sample_once_with_weight_and_equally_many_on_each_rank(
    count: int, batch: int, world: int
) -> None:
    order = np.arange(count)
    seen, padding = [], 0
    for step in range(Pace(batch=batch, world=world, whole=True).steps(count)):
        sizes = set()
        for rank in range(world):
            pace = Pace(batch=batch, rank=rank, world=world, whole=True)
            rows, _, real = pace.share(order, step * pace.step)
            seen += rows[:real].tolist()
            padding += len(rows) - real
            sizes.add(len(rows))
        assert len(sizes) == 1
        assert 0 < sizes.pop() <= batch
    assert seen == order.tolist()
    assert padding < world


def test_a_batch_of_nothing_and_a_rank_outside_of_the_world_are_refused() -> None:
    with pytest.raises(UsageError, match="batch_size: expected at least 1, found 0"):
        Pace(batch=0)
    with pytest.raises(UsageError, match="rank 2 of world 2"):
        Pace(batch=1, rank=2, world=2)


FROZEN = [4, 7, 0, 5, 9, 3, 6, 2, 8, 1]


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5)), min_size=1, max_size=4).filter(
        lambda parts: any(size and share for size, share in parts)
    ),
    seeds,
)
def test_a_mix_draws_each_part_by_its_share_and_none_of_it_again_before_all_of_it(
    parts: list[tuple[int, int]], seed: int
) -> None:
    sizes, shares = ([part[i] for part in parts] for i in (0, 1))
    mix, total = Mix.of(sizes, shares), sum(sizes)
    known = sum(share for size, share in parts if size)
    exact = [total * share / known if size else 0 for size, share in parts]
    assert sum(mix.counts) == total
    assert all(abs(count - right) < 1 for count, right in zip(mix.counts, exact, strict=True))
    epochs = [mix.epoch(epoch, seed) for epoch in range(5)]
    starts = np.cumsum([0, *sizes])
    for part, size in enumerate(sizes):
        drawn = np.concatenate([one[(one >= starts[part]) & (one < starts[part + 1])] for one in epochs]) - starts[part]
        assert len(drawn) == 5 * mix.counts[part]
        for turn in range(len(drawn) // max(size, 1)):
            assert sorted(drawn[turn * size : (turn + 1) * size].tolist()) == list(range(size))
        rest = drawn[len(drawn) - len(drawn) % max(size, 1) :]
        assert len(set(rest.tolist())) == len(rest)


def test_shares_of_a_mix_that_are_none_are_refused() -> None:
    for shares in ((0, 0), (-1, 2), (math.inf, 1), (math.nan, 1)):
        with pytest.raises(UsageError, match="mix: expected finite shares"):
            Mix.of((3, 4), shares)
