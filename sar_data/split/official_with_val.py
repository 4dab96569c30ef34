"""Official lists without val, with whole groups of train moved to val."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sar_data.errors import SplitError
from sar_data.record import Record
from sar_data.split.drawn import place_groups
from sar_data.split.official import Official
from sar_data.split.placement import check_fractions
from sar_data.split.policy import SPLITS, Assignment, Lists


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficialWithVal(Official):
    """Place records by official lists, then move groups of train to val, in the order of their hashes.

    `carve` is the target share of train's records for val; groups stay whole, so that none is in both.
    """

    carve: float = 0.2

    def __post_init__(self) -> None:
        Official.__post_init__(self)
        check_fractions(1 - self.carve, self.carve, 0)

    def assign(self, records: Sequence[Record], *, seed: int, lists: Lists) -> Assignment:
        """Place every usable record; raise SplitError where one of train has no group, and the errors of Official."""
        assigned = Official.assign(self, records, seed=seed, lists=lists)
        groups: list[str | None] = []
        for record, split in zip(records, assigned.split, strict=True):
            if split == "train" and record.group is None:
                raise SplitError(f"record {record.key!r}: expected a group, found none: use a split without `carve`")
            groups.append(record.group if split == "train" else None)
        code = place_groups(Counter(g for g in groups if g is not None), (1 - self.carve, self.carve, 0), seed)
        placed = [old if g is None else SPLITS[code[g]] for old, g in zip(assigned.split, groups, strict=True)]
        return replace(assigned, split=placed)
