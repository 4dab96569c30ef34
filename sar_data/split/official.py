"""Official split: the lists that the dataset's authors published decide; nothing is guessed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import xxhash

from sar_data.errors import MissingList, SplitError, UsageError
from sar_data.record import Record
from sar_data.split.placement import OUT, assignment, usable
from sar_data.split.policy import Assignment, Lists
from sar_data.text import decode

# A heading is made of words such as "patch" or "s2v1_name". Anything with two digits in a row may be a damaged
# name, which must stop the split rather than pass for a heading.
_HEADING = re.compile(r"(?!.*\d\d)[A-Za-z_][\w .:-]*")

# Patterns with these parts may match a line break, or change inside a larger pattern: they are applied line by line.
_MAY_SPAN_LINES = re.compile(r"\\[^dw.-]|\[\^|\(\?(?!:)|\n")

Row = tuple[str, ...]


def read_names(name: str, data: bytes, pattern: re.Pattern[str], *, columns: tuple[int, ...] = (1, 2)) -> list[Row]:
    """Return the rows of the list `name` as tuples of names that match `pattern` as a whole.

    A byte order mark, any line ends, blank lines, blanks around names and one heading are allowed; `columns` are the
    allowed numbers of columns. Raises SplitError with list and line for anything else.
    """
    text = decode(data)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    plain = _plain(text.rstrip("\n"), pattern, columns)
    if plain is not None:
        return plain
    lines = text.split("\n")
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    rows = (_row(name, number, line, pattern, columns, number == first) for number, line in enumerate(lines))
    return [row for row in rows if row]


def _plain(body: str, pattern: re.Pattern[str], columns: tuple[int, ...]) -> list[Row] | None:
    """Return the rows of a list in plain form, or None: then each line is parsed.

    One match of the whole text is several times as fast as half a million matches of one line.
    """
    if not body or _MAY_SPAN_LINES.search(pattern.pattern):
        return None
    cells = body.replace(",", "\n") + "\n"
    if not re.fullmatch(rf"(?:(?:{pattern.pattern})\n)*+", cells):
        return None
    lines = body.split("\n")
    rows: list[Row] = [tuple(line.split(",")) for line in lines] if "," in body else list(zip(lines, strict=True))
    return rows if set(map(len, rows)) <= set(columns) else None


def _row(
    name: str, number: int, line: str, pattern: re.Pattern[str], columns: tuple[int, ...], may_be_heading: bool
) -> Row:
    """Return the names of a line, () for a blank line or the heading, or raise SplitError."""
    if not line.strip():
        return ()
    cells = tuple(cell.strip() for cell in line.split(","))
    wrong = [cell for cell in cells if not pattern.fullmatch(cell)]
    if len(cells) in columns and not wrong:
        return cells
    if may_be_heading and len(wrong) == len(cells) and all(map(_HEADING.fullmatch, cells)):
        return ()
    where = f"{name}, line {number + 1}"
    if len(cells) not in columns:
        allowed = " or ".join(map(str, columns))
        raise SplitError(
            f"{where}: expected columns: {allowed}, found {len(cells)} in {line[:120]!r}: correct the line"
        )
    raise SplitError(
        f"{where}: expected a name that matches {pattern.pattern}, found {wrong[0][:120]!r}: "
        "fetch the list again, or correct the line"
    )


UNLISTED = "in no official list"


@dataclass(frozen=True, slots=True, kw_only=True)
class Official:
    """Place records by official lists of names; exclusion lists say which records are left out, and why.

    `train`, `val` (None: there is none) and `test` name the required lists; `exclude` maps optional exclusion
    lists to reasons. The names are keys, or aliases: `attrs[alias_attr]`, or where a record has none, the first
    column of the optional list `mapping`, whose second column is the key. `id_pattern` is the form of every
    name, on either side; with the loose default a heading passes for the name of an absent record. `subset` says
    that the lists were drawn from a part of the dataset, so that a record in none of them is no mistake.
    """

    train: str = "train.csv"
    val: str | None = "val.csv"
    test: str = "test.csv"
    exclude: Mapping[str, str] | tuple[tuple[str, str], ...] = ()
    alias_attr: str = "s2_name"
    mapping: str | None = "s1s2_mapping.csv"
    id_pattern: str = r"[^\s,]+"
    subset: bool = False

    def __post_init__(self) -> None:
        # A mapping is allowed, but cannot be hashed and could be changed by its owner.
        object.__setattr__(self, "exclude", tuple(dict(self.exclude).items()))
        names = [self.train, self.val, self.test, self.mapping, *dict(self.exclude)]
        listed = [name for name in names if name is not None]
        if len(set(listed)) != len(listed):
            raise UsageError(f"official lists: expected each name once, found {', '.join(listed)}: name other lists")
        try:
            re.compile(self.id_pattern)
        except re.error as error:
            raise UsageError(f"id_pattern: expected a regular expression, found {self.id_pattern!r}: {error}") from None

    @property
    def required(self) -> tuple[str, ...]:
        """The names of the required lists."""
        return tuple(name for name in (self.train, self.val, self.test) if name is not None)

    def check_lists(self, lists: Lists) -> None:
        """Raise MissingList where a required list is missing."""
        if absent := [name for name in self.required if lists.find(name) is None]:
            raise MissingList(
                f"official split: expected the lists {', '.join(self.required)}, found no {', no '.join(absent)} in "
                f"{lists.where()}: fetch them and say where with `lists=…`, or use `split=random`"
            )

    def assign(self, records: Sequence[Record], *, seed: int, lists: Lists) -> Assignment:
        """Place every usable record by the lists; the seed has no effect.

        A record in no list is unused where an exclusion list is absent, or with `subset`; else it is bad. Raises
        MissingList where a required list is missing, and SplitError where lists are malformed, contradict each other,
        or name none of the records.
        """
        self.check_lists(lists)
        files = _ListFiles(lists, re.compile(self.id_pattern))
        required = {name: code for code, name in enumerate((self.train, self.val, self.test)) if name is not None}
        reasons_of = dict(self.exclude)
        placed = _read_required(files, self.required)
        excluded = _read_exclusions(files, list(reasons_of), placed)
        positions = usable(records)
        aliases, mapped = self._aliases([records[i] for i in positions], files)
        complete = not self.subset and all(name in files.notes for name in reasons_of)
        matched = dict.fromkeys((*required, *reasons_of), 0)
        codes = np.full(len(positions), OUT, dtype=np.int8)
        reasons: dict[int, str] = {}
        bad: dict[str, str] = {}
        for j, (i, alias) in enumerate(zip(positions, aliases, strict=True)):
            key = records[i].key
            matches = _lists_of(key, alias, placed, excluded)
            for name in matches:
                matched[name] += 1
            if matches and matches[0] in required:
                codes[j] = required[matches[0]]
            elif matches:
                reasons[i] = "; ".join(reasons_of[name] for name in matches)
            elif complete:
                reasons[i] = bad[key] = f"in none of the official lists {', '.join(required)}{self._hint(alias)}"
            else:
                reasons[i] = UNLISTED
        if positions and not any(matched.values()):
            raise SplitError(
                f"official lists {', '.join(required)}: expected the names of {len(positions)} records such as "
                f"{records[positions[0]].key!r}, found none, but names such as {next(iter(placed), None)!r}"
                f"{self._hint(aliases[0])}: give this dataset's lists with `lists=…`, or use `split=random`"
            )
        notes = {name: {**note, "matched": matched.get(name, mapped)} for name, note in files.notes.items()}
        return assignment(records, positions, codes, reasons=reasons, bad=bad, notes={"lists": notes})

    def _aliases(self, records: Sequence[Record], files: _ListFiles) -> tuple[list[str | None], int]:
        """Return the alias of each record, and the number of those that only the mapping has."""
        aliases = [record.attrs.get(self.alias_attr) for record in records]
        # The mapping has a row for every sample: it is read only where a record has no alias of its own.
        if self.mapping is None or None not in aliases:
            return aliases, 0
        alias_of: dict[str, str] = {}
        for alias, key in files.read(self.mapping, columns=(2,)) or ():
            if alias_of.setdefault(key, alias) != alias:
                raise SplitError(
                    f"{self.mapping}: expected one name beside {key!r:.80}, found {alias_of[key]!r:.80} and "
                    f"{alias!r:.80}: fetch the list again"
                )
        completed = [
            alias_of.get(record.key) if alias is None else alias for record, alias in zip(records, aliases, strict=True)
        ]
        return completed, aliases.count(None) - completed.count(None)

    def _hint(self, alias: str | None) -> str:
        if alias is not None or self.mapping is None:
            return ""
        return f" (it has no {self.alias_attr}, and {self.mapping} does not give one)"


class _ListFiles:
    """The lists that were read, with the facts about each for the manifest."""

    def __init__(self, lists: Lists, pattern: re.Pattern[str]) -> None:
        self.lists = lists
        self.pattern = pattern
        self.notes: dict[str, dict[str, Any]] = {}

    def read(self, name: str, *, columns: tuple[int, ...] = (1, 2)) -> list[Row] | None:
        """Return the rows of a list, or None where it is missing."""
        data = self.lists.find(name)
        if data is None:
            return None
        rows = read_names(name, data, self.pattern, columns=columns)
        self.notes[name] = {"rows": len(rows), "xxh3_128": xxhash.xxh3_128_hexdigest(data)}
        return rows


def _read_required(files: _ListFiles, required: Sequence[str]) -> dict[str, str]:
    """Return for every name the required list that contains it."""
    rows_of = {name: files.read(name) for name in required}
    placed: dict[str, str] = {}
    for name, rows in rows_of.items():
        own = dict.fromkeys(chain.from_iterable(rows or ()), name)
        twice = placed.keys() & own.keys()
        if twice:
            name_twice = min(twice)
            raise SplitError(
                f"official lists: expected {name_twice!r} in one list, found it in {placed[name_twice]} and {name} "
                f"({len(twice)} such names): fetch the lists again"
            )
        placed.update(own)
    return placed


def _read_exclusions(
    files: _ListFiles, optional: Sequence[str], placed: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """Return for every excluded name the exclusion lists that contain it, in their order."""
    excluded: dict[str, tuple[str, ...]] = {}
    for name in optional:
        own = set(chain.from_iterable(files.read(name) or ()))
        twice = placed.keys() & own
        if twice:
            listed_name = min(twice)
            raise SplitError(
                f"official lists: expected {listed_name!r} in one list, found it in {placed[listed_name]} and in the "
                f"exclusion list {name} ({len(twice)} such names): fetch the lists again"
            )
        for listed_name in own:
            excluded[listed_name] = (*excluded.get(listed_name, ()), name)
    return excluded


def _lists_of(
    key: str, alias: str | None, placed: Mapping[str, str], excluded: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """Return the lists that name a record: one required list, or exclusion lists, or none."""
    homes: list[str] = []
    outs: list[str] = []
    for name in (key, alias) if alias is not None else (key,):
        if name in placed and placed[name] not in homes:
            homes.append(placed[name])
        if name in excluded:
            outs += [out for out in excluded[name] if out not in outs]
    if len(homes) + bool(outs) > 1:
        raise SplitError(
            f"record {key!r}, also named {alias!r}: expected in one list, found in {', '.join(homes + outs)}: "
            "correct its other name, or fetch the lists again"
        )
    return tuple(homes or outs)
