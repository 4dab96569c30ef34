"""The order of samples: a pure function of seed and epoch, cut into steps by batch size, world and rank.

Random bits are those of bits.py, integers below a bound Lemire's (2019), the shuffle is Fisher and Yates'.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sar_data.errors import UsageError
from sar_data.stream.bits import GOLDEN, U64, Purpose, finish_one, mix
from sar_data.system.native import compile_loop

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@compile_loop("void(i8[::1], u8)")
def _shuffle(values: Any, state: Any) -> None:
    for i in range(len(values) - 1, 0, -1):
        bound = np.uint64(i + 1)
        while True:
            state += np.uint64(GOLDEN)
            product = (finish_one(state) >> np.uint64(32)) * bound
            low = product & np.uint64(0xFFFFFFFF)
            if low >= bound or low >= (np.uint64(1 << 32) - bound) % bound:
                break
        j = np.int64(product >> np.uint64(32))
        values[i], values[j] = values[j], values[i]


def permutation(count: int, *stream: int) -> Rows:
    """Return a random permutation of 0 … count - 1; another one for other integers in `stream`."""
    values = np.arange(count, dtype=np.int64)
    _shuffle(values, np.uint64(mix(*stream)))
    return values


def subset(count: int, fraction: float, seed: int, classes: npt.NDArray[Any] | None = None) -> Rows:
    """Return a random share of 0 … count - 1, ascending and without repetition; a smaller share is part of a larger.

    With `classes`, a number [sample] or ones [sample, class], at least one sample of each class that occurs is in it:
    of single classes the share of each class is taken, of several at once the first that have a class are added.
    """
    if not 0 < fraction <= 1:
        raise UsageError(f"fraction: expected a number above 0 and at most 1, found {fraction}")
    order = permutation(count, Purpose.SUBSET, seed)
    if classes is None:
        return np.sort(order[: max(round(fraction * count), min(count, 1))])
    ranked = classes[order]
    if ranked.ndim == 1:
        members = [np.flatnonzero(ranked == label) for label in np.unique(ranked)]
        return np.sort(order[np.concatenate([own[: max(round(fraction * len(own)), 1)] for own in members])])
    chosen = np.zeros(count, np.bool_)
    chosen[: max(round(fraction * count), min(count, 1))] = True
    chosen[ranked.argmax(axis=0)[ranked.any(axis=0)]] = True  # the first of each class in the order
    return np.sort(order[chosen])


def drawn(weights: Floats, *stream: int) -> Rows:
    """Return as many indices as there are weights, each drawn in proportion to its weight, rounded up or down.

    Systematic sampling (Madow 1949): no sample comes more than one time more or less often than its share, and neither
    do all the samples of one weight, such as those of a class, together.
    """
    count = len(weights)
    first = permutation(count, Purpose.DRAW, *stream)
    first = first[np.argsort(weights[first], kind="stable")]
    edges = np.cumsum(weights[first])
    start = mix(Purpose.OFFSET, *stream) / (U64 + 1)
    ticks = (np.arange(count) + start) * (edges[-1] / count)
    chosen: Rows = first[np.minimum(np.searchsorted(edges, ticks, side="right"), count - 1)]
    return chosen


@dataclass(frozen=True, slots=True)
class Mix:
    """Of parts of some `sizes`, which lie one after the other, how many samples of each an epoch draws.

    Every part has an order of its own, and goes on in it from epoch to epoch: no sample comes again before all of its
    part have come. An epoch draws as many samples as there are.
    """

    sizes: tuple[int, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, sizes: Sequence[int], shares: Sequence[float]) -> Mix:
        """Share an epoch out in proportion, by largest remainders; raise UsageError for shares that are none."""
        parts = np.array(shares, np.float64) * (np.array(sizes) > 0)
        if not (np.isfinite(parts).all() and (parts >= 0).all() and parts.sum() > 0):
            raise UsageError(f"mix: expected finite shares, none below 0 and one above it, found {list(shares)}")
        exact = parts / parts.sum() * sum(sizes)
        counts = np.floor(exact).astype(np.int64)
        counts[np.argsort(counts - exact, kind="stable")[: sum(sizes) - int(counts.sum())]] += 1
        return cls(tuple(sizes), tuple(counts.tolist()))

    def epoch(self, epoch: int, seed: int) -> Rows:
        """Return what an epoch draws, as numbers through all parts: parts shuffled, each in its own order."""
        whose = np.repeat(np.arange(len(self.counts)), self.counts)
        whose = whose[permutation(len(whose), Purpose.SHUFFLE, seed, epoch)]
        order, start = np.empty_like(whose), 0
        for part, (size, count) in enumerate(zip(self.sizes, self.counts, strict=True)):
            if count:
                turn, first = divmod(epoch * count, size)
                turns = range(turn, turn + math.ceil((first + count) / size))
                orders = np.concatenate([permutation(size, Purpose.TURN, seed, part, number) for number in turns])
                order[whose == part] = start + orders[first : first + count]
            start += size
        return order


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """How an epoch is ordered.

    `shuffle` is "samples" (a true permutation), "shards" (shards in random order, samples shuffled among neighbouring
    shards that hold `window` samples together: little memory, few files at once) or None (as stored).
    """

    seed: int = 0
    shuffle: str | None = "samples"
    window: int = 4096

    def epoch(self, epoch: int, rows: Rows, shards: Rows, draws: Floats | Mix | None = None) -> Rows:
        """Return `rows` in this epoch's order, drawn by weights or in a mix if `draws` says so.

        `shards` has the shard of each, which only the order by shards needs.
        """
        taken = None
        if isinstance(draws, Mix):
            taken = draws.epoch(epoch, self.seed)
            if self.shuffle == "samples":
                return rows[taken]
        elif draws is not None and len(rows):
            taken = drawn(draws, self.seed, epoch)
        if self.shuffle == "samples":
            places = permutation(len(rows), Purpose.SHUFFLE, self.seed, epoch)
            return rows[places if taken is None else taken[places]]
        taken = np.arange(len(rows)) if taken is None else np.sort(taken)
        if self.shuffle == "shards":
            taken = self._by_shards(epoch, taken, shards[taken])
        return rows[taken]

    def _by_shards(self, epoch: int, taken: Rows, shards: Rows) -> Rows:
        """Shuffle what is `taken`, whose shards ascend."""
        starts = np.flatnonzero(np.r_[True, shards[1:] != shards[:-1]][: len(shards)])
        parts = np.split(taken, starts[1:])
        windows: list[list[Rows]] = []
        room = 0
        for i in permutation(len(starts), Purpose.SHARDS, self.seed, epoch):
            if room < len(parts[i]):
                windows.append([])
                room = self.window
            windows[-1].append(parts[i])
            room -= len(parts[i])
        mixes = [np.concatenate(window) for window in windows]
        shuffled = [mix[permutation(len(mix), Purpose.SHUFFLE, self.seed, epoch, i)] for i, mix in enumerate(mixes)]
        return np.concatenate([np.empty(0, np.int64), *shuffled])


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How an order is cut into steps: `batch` samples a rank and step.

    In training every rank takes `batch` samples in every step, and the tail that does not fill a step is left out. In
    evaluation (`whole`) every sample comes once; the last step is shared out evenly, padded with weight 0 by at most
    world - 1 repetitions.
    """

    batch: int
    rank: int = 0
    world: int = 1
    whole: bool = False

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise UsageError(f"batch_size: expected at least 1, found {self.batch}")
        if not 0 <= self.rank < self.world:
            raise UsageError(f"rank {self.rank} of world {self.world}: expected 0 <= rank < world")

    @property
    def step(self) -> int:
        """Samples that all ranks take together in one step."""
        return self.batch * self.world

    def steps(self, left: int) -> int:
        """Return how many steps the `left` samples make."""
        return math.ceil(left / self.step) if self.whole else left // self.step

    def tail(self, left: int) -> int:
        """Return how many of the `left` samples no step takes."""
        return 0 if self.whole else left % self.step

    def share(self, order: Rows, position: int) -> tuple[Rows, int, int]:
        """Return this rank's rows of the step at `position`, where they begin, and how many are not padding."""
        taken = order[position : position + self.step]
        each = math.ceil(len(taken) / self.world)
        mine = taken[self.rank * each : (self.rank + 1) * each]
        first = position + self.rank * each
        return np.concatenate([mine, np.repeat(taken[-1:], each - len(mine))]), first, len(mine)
