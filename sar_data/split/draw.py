"""The stratified draw of scikit-learn's train_test_split, from its documented algorithm, on numpy alone."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from sar_data.errors import SplitError

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
    remedy = "use --split stratified or --split random"
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
