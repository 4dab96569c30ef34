"""Stratified splits: every class has the same share in train, val and test."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sar_data.errors import SplitError, UsageError
from sar_data.record import Record
from sar_data.split.balance import labels_of, stratify_samples
from sar_data.split.drawn import Drawn, kept_codes, kept_notes
from sar_data.split.placement import assignment, hash_order, usable
from sar_data.split.policy import SPLITS, Assignment, Lists

Ints = npt.NDArray[np.int64]


def stratified_draw(labels: Ints, train: float, seed: int) -> npt.NDArray[np.bool_]:
    """Say which samples train_test_split(train_size=train, stratify=labels, random_state=seed) gives to train.

    Every call of the random generator happens in the order of StratifiedShuffleSplit, also calls without effect, since
    each changes the state for the next. Raises SplitError where scikit-learn fails as well.
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
    result: Ints = quota.astype(np.int64)
    return result


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
class Stratified(Drawn):
    """Place samples so that each class of the first task is shared out as the fractions say.

    Neighbouring patches land in different splits: `stratified` of Group and Blocks shares out whole units.
    """

    def draw(self, records: Sequence[Record], seed: int, kept: Mapping[str, str]) -> Assignment:
        """Place every usable record; raise SplitError where one carries no task's labels."""
        positions = usable(records)
        placed = [records[i] for i in positions]
        order = hash_order([record.key for record in placed], seed)
        ranked = [labels_of(placed[j]) for j in order.tolist()]
        codes = np.empty(len(positions), dtype=np.int8)
        codes[order] = stratify_samples(ranked, self.bins, kept_codes(placed, kept)[order])
        return assignment(records, positions, self.homes[codes], notes=kept_notes(records, kept))


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
        labels = [labels_of(records[i]) for i in positions]
        for i, record_labels in zip(positions, labels, strict=True):
            if len(record_labels) != 1:
                raise SplitError(
                    f"record {records[i].key!r}: expected exactly one label, found {len(record_labels)}: "
                    "this draw is for single labels; use `split=stratified`"
                )
        chosen = stratified_draw(np.array(labels, dtype=np.int64).reshape(-1), self.train, seed)
        return assignment(records, positions, np.where(chosen, TRAIN, TEST).astype(np.int8))


def _walk(record: Record) -> tuple[str, str, str]:
    if not record.files:
        raise SplitError(f"record {record.key!r}: expected a file to order it by, found none: use `split=stratified`")
    folder, _, name = min(file.path.rpartition("/") for file in record.files)
    return folder, name, record.key
