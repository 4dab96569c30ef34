"""Stratified splits: every class has the same share in train, val and test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from sar_data.errors import SplitError, UsageError
from sar_data.record import Record
from sar_data.split.placement import Codes, assignment, check_fractions, hash_order, usable
from sar_data.split.policy import SPLITS, Assignment, Lists

Ints = npt.NDArray[np.int64]


def stratified_draw(labels: Ints, train: float, seed: int) -> npt.NDArray[np.bool_]:
    """Say which samples train_test_split(train_size=train, stratify=labels, random_state=seed) gives to train.

    Every call to the generator happens in the order of StratifiedShuffleSplit, those without effect included,
    since each moves the state for the next. Raises SplitError where scikit-learn refuses as well.
    """
    classes, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    n_train = math.floor(train * len(labels))
    n_test = len(labels) - n_train
    _check(classes, counts, n_train, n_test)
    if not 0 <= seed < 2**32:
        raise SplitError(f"seed: expected 0 to 4294967295, as numpy's RandomState takes, found {seed}: give another")
    rng = np.random.RandomState(seed)
    quota = approximate_mode(counts, n_train, rng)
    # The rest all goes to test, so this quota is known; the draw is made because ties in it advance the state.
    approximate_mode(counts - quota, n_test, rng)
    chosen = np.zeros(len(labels), dtype=np.bool_)
    members = np.split(np.argsort(inverse, kind="stable"), np.cumsum(counts)[:-1])
    for positions, count in zip(members, quota.tolist(), strict=True):
        chosen[positions[rng.permutation(len(positions))[:count]]] = True
    return chosen


def approximate_mode(counts: Ints, draws: int, rng: np.random.RandomState) -> Ints:
    """Return how many of `draws` come from each class: near the mode of the multivariate hypergeometric.

    Whole parts first, then one more for the largest remainders; among equal remainders the generator chooses.
    """
    expected = counts / counts.sum() * draws
    quota: npt.NDArray[np.float64] = np.floor(expected)
    remainder = expected - quota
    missing = int(draws - quota.sum())
    for value in np.unique(remainder)[::-1]:
        if missing <= 0:
            break
        tied = np.flatnonzero(remainder == value)
        picked = rng.choice(tied, size=min(len(tied), missing), replace=False)
        quota[picked] += 1
        missing -= len(picked)
    whole: Ints = quota.astype(np.int64)
    return whole


def _check(classes: Ints, counts: Ints, n_train: int, n_test: int) -> None:
    remedy = "use `split=stratified` or `split=random`"
    if not len(classes):
        raise SplitError(f"stratified draw: expected records, found none: {remedy}")
    if counts.min() < 2:
        raise SplitError(
            f"stratified draw: expected at least 2 records of each class, "
            f"found 1 of class {int(classes[counts.argmin()])}: {remedy}"
        )
    for name, size in (("train", n_train), ("test", n_test)):
        if size < len(classes):
            raise SplitError(
                f"stratified draw: expected at least one {name} record for each of {len(classes)} classes, "
                f"found room for {size}: choose another fraction, or {remedy}"
            )


TRAIN, TEST = SPLITS.index("train"), SPLITS.index("test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratified:
    """Place samples so that each class of the first task is shared out as the fractions say.

    Iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011, doi:10.1007/978-3-642-23808-6_10), a label
    at a time instead of a sample at a time: the rarest remaining label's samples, in hash order, are apportioned
    by what each split still needs of it. A label is thus exact to one sample, unless rarer labels that occur
    with it have already filled a split. Neighbouring patches land in different splits: see Blocks.
    """

    train: float = 0.8
    val: float = 0.1
    test: float = 0.1

    def __post_init__(self) -> None:
        check_fractions(self.train, self.val, self.test)

    def assign(self, records: Sequence[Record], *, seed: int, lists: Lists) -> Assignment:
        """Place every usable record; raise SplitError where one carries no task's labels."""
        positions = usable(records)
        order = hash_order([records[i].key for i in positions], seed)
        ranked = [_labels(records[positions[j]]) for j in order.tolist()]
        codes = np.empty(len(positions), dtype=np.int8)
        codes[order] = _stratify(_matrix(ranked), np.array([self.train, self.val, self.test]))
        return assignment(records, positions, codes)


@dataclass(frozen=True, slots=True, kw_only=True)
class SklearnStratified:
    """Repeat scikit-learn's train_test_split(arange(n), train_size=train, stratify=labels, random_state=seed).

    Records stand in the order of their first file as sorted(os.walk(root)) with sorted names gives it: by
    folder, then by name. Classes count in canonical order, so a published draw is repeated only where that is
    the order in which its code numbered them. There is no val.
    """

    train: float = 0.8

    def __post_init__(self) -> None:
        if not 0 < self.train < 1:
            raise UsageError(f"split fraction train: expected more than 0 and less than 1, found {self.train}")

    def assign(self, records: Sequence[Record], *, seed: int, lists: Lists) -> Assignment:
        """Place every usable record; raise SplitError for several labels a record or where classes are too few."""
        positions = sorted(usable(records), key=lambda i: _walk(records[i]))
        labels = [_labels(records[i]) for i in positions]
        for i, found in zip(positions, labels, strict=True):
            if len(found) != 1:
                raise SplitError(
                    f"record {records[i].key!r}: expected exactly one label, found {len(found)}: "
                    "this draw is for single labels; use `split=stratified`"
                )
        chosen = stratified_draw(np.array(labels, dtype=np.int64).reshape(-1), self.train, seed)
        return assignment(records, positions, np.where(chosen, TRAIN, TEST).astype(np.int8))


def _labels(record: Record) -> tuple[int, ...]:
    for labels in record.labels.values():
        return labels
    raise SplitError(f"record {record.key!r}: expected the labels of a task, found none: use `split=random`")


def _walk(record: Record) -> tuple[str, str, str]:
    if not record.files:
        raise SplitError(f"record {record.key!r}: expected a file to order it by, found none: use `split=stratified`")
    folder, _, name = min(file.path.rpartition("/") for file in record.files)
    return folder, name, record.key


def _matrix(labels: Sequence[tuple[int, ...]]) -> npt.NDArray[np.bool_]:
    """Return the label sets as [label, sample]."""
    lengths = np.fromiter(map(len, labels), dtype=np.intp, count=len(labels))
    flat = np.fromiter(chain.from_iterable(labels), dtype=np.intp, count=int(lengths.sum()))
    matrix = np.zeros((int(flat.max(initial=-1)) + 1, len(labels)), dtype=np.bool_)
    matrix[flat, np.repeat(np.arange(len(labels)), lengths)] = True
    return matrix


def _stratify(matrix: npt.NDArray[np.bool_], shares: npt.NDArray[np.float64]) -> Codes:
    codes = np.empty(matrix.shape[1], dtype=np.int8)
    waiting = np.ones(matrix.shape[1], dtype=np.bool_)
    left = matrix.sum(axis=1)
    need = shares[:, None] * left
    room = shares * matrix.shape[1]
    while left.any():
        label = int(np.where(left > 0, left, left.max() + 1).argmin())
        members = np.flatnonzero(matrix[label] & waiting)
        quota = _apportion(len(members), need[:, label], room)
        parts = np.split(members, np.cumsum(quota)[:-1])
        for split, part in enumerate(parts):
            codes[part] = split
            found = matrix[:, part].sum(axis=1)
            need[split] -= found
            room[split] -= len(part)
            left -= found
        waiting[members] = False
    rest = np.flatnonzero(waiting)
    codes[rest] = np.repeat(np.arange(len(shares)), _apportion(len(rest), room, room))
    return codes


def _apportion(count: int, need: npt.NDArray[np.float64], room: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Share `count` samples out by need; what rounding leaves goes by remainder, then to the emptiest split."""
    wanted = np.maximum(need, 0)
    exact = count * wanted / wanted.sum() if count else wanted * 0
    quota: npt.NDArray[np.int64] = np.floor(exact).astype(np.int64)
    remainder = np.round(exact - quota, 9)
    for split in np.lexsort((-room, -remainder))[: count - int(quota.sum())]:
        quota[split] += 1
    return quota
