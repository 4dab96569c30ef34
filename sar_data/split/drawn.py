"""What all random policies share: shares or folds, whole units, and growing data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sar_data.errors import SplitError, UsageError
from sar_data.record import Record
from sar_data.split.balance import FREE, Counts, Shares, labels_of, stratify_units
from sar_data.split.placement import Codes, check_fractions, hash_order
from sar_data.split.policy import SPLITS, Assignment, Lists, optional_parameter

TRAIN, VAL, TEST = range(3)
MOST_FOLDS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn(ABC):
    """A random policy: by the shares of train, val and test, or by `folds`.

    With folds the samples are divided into equal parts, the same for every `fold`, which counts from 0: part `fold` is
    test, the next one val unless `val` is 0, and all others are train; the shares have no other effect.
    """

    train: float = 0.8
    val: float = 0.1
    test: float = 0.1
    folds: int | None = optional_parameter(None)
    fold: int = optional_parameter(0)

    def __post_init__(self) -> None:
        if self.folds is None:
            check_fractions(self.train, self.val, self.test)
        least = 3 if self.val else 2
        if self.folds is not None and not least <= self.folds <= MOST_FOLDS:
            why = "train, val and test" if self.val else "train and test"
            raise UsageError(f"split folds: expected {least} (for {why}) to {MOST_FOLDS}, found {self.folds}")
        if not 0 <= self.fold < (self.folds or 1):
            counted = f"0 to {self.folds - 1}" if self.folds else "none without folds"
            raise UsageError(f"split fold: expected {counted}, found {self.fold}")

    @property
    def bins(self) -> Shares:
        """The share of each part."""
        if self.folds is None:
            return np.array([self.train, self.val, self.test])
        return np.full(self.folds, 1 / self.folds)

    @property
    def homes(self) -> Codes:
        """The split of each part, as an index into SPLITS."""
        if self.folds is None:
            return np.arange(3, dtype=np.int8)
        homes = np.full(self.folds, TRAIN, dtype=np.int8)
        if self.val:
            homes[(self.fold + 1) % self.folds] = VAL
        homes[self.fold] = TEST
        return homes

    def assign(self, records: Sequence[Record], *, seed: int, lists: Lists) -> Assignment:
        """Place every usable record; raise SplitError where that cannot be done."""
        return self.draw(records, seed, {})

    def keep(self, records: Sequence[Record], *, kept: Mapping[str, str], seed: int) -> Assignment:
        """Place every usable record, those of `kept` (key → split) where they were.

        A new record of a placed unit goes to the split of that unit. New units fill the splits with too few samples.
        Raises SplitError where the kept records of a unit are in several splits, and the errors of `assign`; UsageError
        with folds, because a build has only one of the splits.
        """
        self.check_keep()
        return self.draw(records, seed, kept)

    def check_keep(self) -> None:
        """Raise UsageError where a split cannot be kept."""
        if self.folds is not None:
            raise UsageError(f"`folds={self.folds}`: expected shares where the split of a build is kept, found folds")

    @abstractmethod
    def draw(self, records: Sequence[Record], seed: int, kept: Mapping[str, str]) -> Assignment:
        """Place every usable record, as `keep` says."""


def kept_codes(records: Sequence[Record], kept: Mapping[str, str]) -> Codes:
    """Return the kept split of each record, FREE for the others."""
    if not kept:
        return np.full(len(records), FREE, dtype=np.int8)
    code = {name: i for i, name in enumerate(SPLITS)}
    codes = (code.get(kept.get(record.key, ""), FREE) for record in records)
    return np.fromiter(codes, dtype=np.int8, count=len(records))


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeUnits(Drawn):
    """A policy that places whole units; with `stratified` it balances the classes of the first task.

    Without it, units go in the order of their hashes to the split with the fewest samples for its share.
    """

    stratified: bool = optional_parameter(False)

    def place(self, names: Sequence[str], records: Sequence[Record], before: Codes, seed: int) -> tuple[Codes, int]:
        """Return the split of each record, given the name of its unit, and the number of units."""
        number = {name: i for i, name in enumerate(dict.fromkeys(names))}
        unit = np.fromiter((number[name] for name in names), dtype=np.int64, count=len(names))
        units, sizes = list(number), np.bincount(unit, minlength=len(number))
        if units and self.folds is not None and len(units) < self.folds:
            raise SplitError(f"split folds: expected at least {self.folds} units, found {len(units)}")
        settled = _codes_of_kept_units(unit, units, before)
        order = hash_order(units, seed)
        if self.stratified:
            codes = stratify_units(unit, [labels_of(record) for record in records], self.bins, order, settled)
        else:
            codes = fill_parts(sizes, self.bins, order, settled)
        placed = self.homes[codes][unit]
        if len(placed) and not np.any(placed == TRAIN):
            raise SplitError(f"expected train samples, found none in {len(units)} units: take smaller units or shares")
        return placed, len(units)


def _codes_of_kept_units(unit: Counts, units: Sequence[str], before: Codes) -> Codes:
    """Return the split of each unit with a kept record, FREE for the others."""
    codes = np.full(len(units), FREE, dtype=np.int8)
    for code in range(len(SPLITS)):
        members = np.unique(unit[before == code])
        torn = members[codes[members] != FREE]
        if len(torn):
            where = f"{SPLITS[codes[torn[0]]]} and {SPLITS[code]}"
            raise SplitError(
                f"{units[torn[0]]}: expected its records in one split of the build that is kept, found {where} "
                f"({len(torn):,} such): keep a build whose split has the same units"
            )
        codes[members] = code
    return codes


def place_groups(sizes: Mapping[str, int], shares: Sequence[float], seed: int) -> dict[str, int]:
    """Return the part of each group, given the number of samples of each; see `fill_parts`."""
    names = list(sizes)
    free = np.full(len(names), FREE, dtype=np.int8)
    codes = fill_parts(
        np.fromiter(sizes.values(), np.int64, len(names)), np.array(shares), hash_order(names, seed), free
    )
    return dict(zip(names, codes.tolist(), strict=True))


def fill_parts(sizes: Counts, shares: Shares, order: Codes | Counts, before: Codes) -> Codes:
    """Return the part of each unit, given their sizes; `before` has the parts of the placed ones.

    In their order, each unit goes to the part that lacks most samples, on a tie to the first. The very first unit
    always goes to the first part, so that train is never empty.
    """
    codes = before.copy()
    lack = (shares * sizes.sum()).tolist()
    for unit in np.flatnonzero(before != FREE).tolist():
        lack[before[unit]] -= int(sizes[unit])
    has_units = bool((before != FREE).any())
    for unit in order.tolist():
        if codes[unit] == FREE:
            code = lack.index(max(lack)) if has_units else 0
            codes[unit], has_units = code, True
            lack[code] -= int(sizes[unit])
    return codes


def kept_notes(records: Sequence[Record], kept: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """Return for the manifest how many records of a kept split are present, new and gone; {} where none is kept."""
    if not kept:
        return {}
    present = Counter(record.key in kept for record in records)
    return {"kept": {"records": present[True], "new": present[False], "gone": len(kept) - present[True]}}
