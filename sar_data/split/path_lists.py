"""Split by lists of `path label` lines that were written for a copy of the files on another machine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xxhash

from sar_data.errors import MissingList, SplitError
from sar_data.record import Record
from sar_data.split.placement import OUT, assignment, usable
from sar_data.split.policy import SPLITS, Assignment, Lists
from sar_data.text import decode


@dataclass(frozen=True, slots=True, kw_only=True)
class PathLists:
    """Place records by the match of `pattern` in each line of the lists `train`, `val` (may be None) and `test`.

    The name in a line is made of the pattern's groups, joined by "/"; that of a record is `attrs[alias_attr]`, or its
    key. A record in no list is left out.
    """

    train: str
    val: str | None
    test: str
    pattern: str
    alias_attr: str = "list_name"

    def check_lists(self, lists: Lists) -> None:
        """Raise MissingList where a list is missing."""
        for file in (self.train, self.val, self.test):
            if file is not None and lists.find(file) is None:
                raise MissingList(
                    f"expected the list {file}, found none in {lists.where()}: fetch it and say where with "
                    "`lists=…`, or use `split=random`"
                )

    def assign(self, records: Sequence[Record], *, seed: int, lists: Lists) -> Assignment:
        """Place every usable record; the seed has no effect.

        Raises MissingList where a list is missing, and SplitError where a line has no name, where a name is in two
        lists, and where the lists name none of the records.
        """
        self.check_lists(lists)
        code_of: dict[str, int] = {}
        notes: dict[str, dict[str, int | str]] = {}
        for code, file in enumerate((self.train, self.val, self.test)):
            if file is None:
                continue
            data = lists.find(file) or b""
            names = _read_names(file, data, self.pattern)
            for name in names:
                if code_of.setdefault(name, code) != code:
                    raise SplitError(
                        f"{file}: expected {name!r} in one list, found it in that of {SPLITS[code_of[name]]} too: "
                        "fetch the lists again"
                    )
            notes[file] = {"rows": len(names), "xxh3_128": xxhash.xxh3_128_hexdigest(data)}
        positions = usable(records)
        record_names = [records[i].attrs.get(self.alias_attr, records[i].key) for i in positions]
        codes = np.array([code_of.get(name, OUT) for name in record_names], dtype=np.int8)
        if len(record_names) and (codes == OUT).all():
            raise SplitError(
                f"{', '.join(notes)}: {len(code_of)} names such as {next(iter(code_of), None)!r}: expected to find "
                "records by them, found only others such as "
                f"{record_names[0]!r}: give this dataset's lists with `lists=…`"
            )
        reasons = {i: "in no list" for i, code in zip(positions, codes.tolist(), strict=True) if code == OUT}
        absent = len(code_of.keys() - set(record_names))
        return assignment(records, positions, codes, reasons=reasons, notes={"lists": notes, "names_absent": absent})


def _read_names(file: str, data: bytes, pattern: str) -> list[str]:
    """Return the name in each line that is not blank."""
    names = []
    for number, line in enumerate(decode(data).splitlines(), 1):
        if not line.strip():
            continue
        match = re.search(pattern, line)
        if match is None:
            raise SplitError(f"{file}, line {number}: expected a name that {pattern} finds, found {line[:120]!r}")
        names.append("/".join(group for group in match.groups() if group is not None))
    return names
