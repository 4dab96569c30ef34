"""Split by rules on attributes, for protocols that choose by angle, serial number or folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sar_data.errors import SplitError
from sar_data.record import Record
from sar_data.split.placement import OUT, assignment, usable
from sar_data.split.policy import SPLITS, Assignment, Lists


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeRules:
    """Place a record in the split of which it meets any rule; one that meets none is left out for `otherwise`.

    A rule is "class=BMP2 serial=9563|c21 depression=17": each attribute that it names has one of the values.
    """

    train: tuple[str, ...]
    val: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    otherwise: str

    def assign(self, records: Sequence[Record], *, seed: int, lists: Lists) -> Assignment:
        """Place every usable record; the seed plays no part. Raise SplitError where one belongs to two splits."""
        positions = usable(records)
        codes = np.full(len(positions), OUT, dtype=np.int8)
        reasons: dict[int, str] = {}
        parsed = [[_parse_rule(rule) for rule in rules] for rules in (self.train, self.val, self.test)]
        for j, i in enumerate(positions):
            attrs = records[i].attrs
            homes = [code for code, rules in enumerate(parsed) if any(_obeys(attrs, rule) for rule in rules)]
            if len(homes) > 1:
                names = ", ".join(SPLITS[code] for code in homes)
                raise SplitError(
                    f"record {records[i].key!r}: expected one split by its attributes, found {names}: correct the rules"
                )
            if homes:
                codes[j] = homes[0]
            else:
                reasons[i] = self.otherwise
        return assignment(records, positions, codes, reasons=reasons)


def _parse_rule(rule: str) -> dict[str, list[str]]:
    try:
        return {name: values.split("|") for name, values in (part.split("=") for part in rule.split())}
    except ValueError:
        raise SplitError(f"rule: expected name=value|value …, found {rule!r}: correct it") from None


def _obeys(attrs: Mapping[str, str], rule: Mapping[str, Sequence[str]]) -> bool:
    return all(attrs.get(name) in values for name, values in rule.items())
