"""Official split: the lists that a dataset's authors published decide, and nothing is guessed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xxhash

from sar_data.errors import MissingList, SplitError, UsageError
from sar_data.record import Record
from sar_data.split.names import Row, read_names
from sar_data.split.placing import OUT, assignment, usable
from sar_data.split.policy import SPLITS, Assignment, Lists


@dataclass(frozen=True, slots=True, kw_only=True)
class Official:
    """Place records by official lists of names; exclusion lists say which records the split leaves out, and why.

    `train`, `val` (None: there is none) and `test` name the required lists; `exclude` maps the names of optional
    exclusion lists to a reason. A list's names are keys, or aliases: the value of `attrs[alias_attr]`, or where a
    record has none, the first column of the optional list `mapping`, whose second column is the key.
    `id_pattern` is the form of every name; without a stricter one, a heading passes for a name without record.
    """

    train: str = "train.csv"
    val: str | None = "val.csv"
    test: str = "test.csv"
    exclude: Mapping[str, str] | tuple[tuple[str, str], ...] = ()
    alias_attr: str = "s2_name"
    mapping: str | None = "s1s2_mapping.csv"
    id_pattern: str = r"[^\s,]+"

    def __post_init__(self) -> None:
        # A mapping is welcome but cannot be hashed, and could be changed from outside.
        pairs = self.exclude.items() if isinstance(self.exclude, Mapping) else self.exclude
        object.__setattr__(self, "exclude", tuple((name, reason) for name, reason in pairs))
        try:
            re.compile(self.id_pattern)
        except re.error as error:
            raise UsageError(f"id_pattern: expected a regular expression, found {self.id_pattern!r}: {error}") from None

    def assign(self, records: Sequence[Record], *, seed: int, lists: Lists) -> Assignment:
        """Place every usable record by the lists; the seed plays no part.

        Raises MissingList where a required list is nowhere, and SplitError where lists are malformed, contradict
        each other, or name none of the records.
        """
        shelf = _Shelf(lists, re.compile(self.id_pattern))
        placed = self._placed(shelf)
        excluded = self._excluded(shelf, placed)
        absent = [name for name, _ in dict(self.exclude).items() if name not in shelf.notes]
        positions = usable(records)
        aliases = self._aliases([records[i] for i in positions], shelf)
        missing = f"in none of the official lists {', '.join(self._splits().values())}"
        codes = np.full(len(positions), OUT, dtype=np.int8)
        reasons: dict[int, str] = {}
        bad: dict[str, str] = {}
        matched: Counter[str] = Counter()
        for j, (i, alias) in enumerate(zip(positions, aliases, strict=True)):
            key = records[i].key
            found = {source[name] for source in (placed,) for name in (key, alias) if name in source}
            left_out = {name: reason for source in (key, alias) for name, reason in excluded.get(source, {}).items()}
            if len(found) + bool(left_out) > 1:
                raise SplitError(f"record {key!r}: expected in one list, found under its key and its alias in {found}")
            ...
        return assignment(records, positions, codes, reasons=reasons, bad=bad, notes={"lists": shelf.notes})
