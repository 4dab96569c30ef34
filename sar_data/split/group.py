"""Group split: what belongs together (a scene, a place, a ship's track) goes to one split as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sar_data.errors import SplitError, unknown
from sar_data.record import Record
from sar_data.split.placement import assignment, check_fractions, hash_order, usable
from sar_data.split.policy import Assignment, Lists, added

FIELDS = {"group": "group", "acquisition": "group", "place": "place"}
"""What a split may go by → the field of a record that says it; any other word is an attribute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Place whole groups, in the order of their hashes, where most samples are still missing.

    `by` says what is not torn apart: "group" or "acquisition" (a scene, one flight), "place" (a unit of ground, such as
    a tile of the MGRS, a city, a ship's MMSI), or the name of an attribute. Acquisitions of one place lie in different
    groups, so that a group split of a dataset that sees places again and again tests on ground that it trained on:
    group:by=place does not. Places may still touch each other, which Blocks alone prevents. The first group goes to
    train, so train is never empty. Few or very unequal groups miss the shares: val or test may stay empty.
    """

    by: str = added("group")
    train: float = 0.8
    val: float = 0.1
    test: float = 0.1

    def __post_init__(self) -> None:
        check_fractions(self.train, self.val, self.test)

    def assign(self, records: Sequence[Record], *, seed: int, lists: Lists) -> Assignment:
        """Place every usable record with its group; raise SplitError where a record has none."""
        positions = usable(records)
        groups = units_by(self.by, [records[i] for i in positions])
        code = place_groups(Counter(groups), (self.train, self.val, self.test), seed)
        codes = np.fromiter((code[group] for group in groups), dtype=np.int8, count=len(groups))
        return assignment(records, positions, codes, notes={"groups": len(code)})


def units_by(by: str, records: Sequence[Record]) -> list[str]:
    """Return what each record belongs to, by a field or an attribute.

    Raises UsageError where no record says it, and SplitError where only some do.
    """
    field = FIELDS.get(by)
    found = [getattr(one, field) if field else one.attrs.get(by) for one in records]
    units = [one for one in found if one is not None]
    if len(units) == len(found):
        return units
    if not units and not field:
        raise unknown("unit of a group split", by, [*FIELDS, *records[0].attrs])
    raise SplitError(
        f"record {records[found.index(None)].key!r}: expected a {by}, found none: "
        "use `split=random` or `split=stratified`, or let the pipeline's scan say it"
    )


def place_groups(sizes: Mapping[str, int], shares: tuple[float, float, float], seed: int) -> dict[str, int]:
    """Return the index into SPLITS for each group, given the number of samples of each.

    In hash order, each group goes to the split that lacks most samples; between equals to the first of train,
    val, test. The first group goes to train whatever the shares.
    """
    names = list(sizes)
    total = sum(sizes.values())
    train, val, test = (share * total for share in shares)
    code: dict[str, int] = {}
    for i in hash_order(names, seed).tolist():
        name = names[i]
        size = sizes[name]
        if not code or (train >= val and train >= test):
            code[name], train = 0, train - size
        elif val >= test:
            code[name], val = 1, val - size
        else:
            code[name], test = 2, test - size
    return code
