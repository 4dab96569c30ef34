"""Group split: what belongs together (a scene, a place, a ship's track) goes to one split as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sar_data.errors import SplitError
from sar_data.record import Record
from sar_data.split.placement import assignment, check_fractions, hash_order, usable
from sar_data.split.policy import Assignment, Lists


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Place whole groups, in the order of their hashes, where most samples are still missing.

    The first group goes to train, so train is never empty. Few or very unequal groups miss the shares: val or
    test may stay empty.
    """

    train: float = 0.8
    val: float = 0.1
    test: float = 0.1

    def __post_init__(self) -> None:
        check_fractions(self.train, self.val, self.test)

    def assign(self, records: Sequence[Record], *, seed: int, lists: Lists) -> Assignment:
        """Place every usable record with its group; raise SplitError where a record has none."""
        positions = usable(records)
        groups: list[str] = []
        for i in positions:
            group = records[i].group
            if group is None:
                raise SplitError(
                    f"record {records[i].key!r}: expected a group, found none: "
                    "use `split=random` or `split=stratified`, or let the pipeline's scan set Record.group"
                )
            groups.append(group)
        code = place_groups(Counter(groups), (self.train, self.val, self.test), seed)
        codes = np.fromiter((code[group] for group in groups), dtype=np.int8, count=len(groups))
        return assignment(records, positions, codes, notes={"groups": len(code)})


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
