"""Split by what records are: rules on their attributes, where a protocol is a choice of angles, serials or folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sar_data.errors import SplitError
from sar_data.record import Record
from sar_data.split.placing import OUT, assignment, usable
from sar_data.split.policy import SPLITS, Assignment, Lists

Rule = Mapping[str, Sequence[str]]
"""Attribute → the values that it may have; a record obeys a rule if all of its attributes do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Place a record in the split of which it obeys any rule; one that obeys none is left out, with `otherwise`."""

    train: tuple[Rule, ...]
    val: tuple[Rule, ...] = ()
    test: tuple[Rule, ...] = ()
    otherwise: str

    def assign(self, records: Sequence[Record], *, seed: int, lists: Lists) -> Assignment:
        """Place every usable record; the seed plays no part. Raise SplitError where one belongs to two splits."""
        positions = usable(records)
        codes = np.full(len(positions), OUT, dtype=np.int8)
        reasons: dict[int, str] = {}
        for j, i in enumerate(positions):
            homes = [code for code, rules in enumerate((self.train, self.val, self.test)) if _any(rules, records[i])]
            if len(homes) > 1:
                found = ", ".join(SPLITS[code] for code in homes)
                raise SplitError(f"record {records[i].key!r}: expected one split by its attributes, found {found}")
            if homes:
                codes[j] = homes[0]
            else:
                reasons[i] = self.otherwise
        return assignment(records, positions, codes, reasons=reasons)


def _any(rules: Sequence[Rule], record: Record) -> bool:
    return any(all(record.attrs.get(name) in values for name, values in rule.items()) for rule in rules)
