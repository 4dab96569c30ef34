"""The table beside a container: labels and split of its samples, by their keys (ConfigILM's metadata.parquet)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sar_data.containers.layouts import LABEL_FIELDS, SPLIT_FIELDS
from sar_data.errors import BadRecord, Reading
from sar_data.labels.discovery import walk
from sar_data.labels.splits import SPLIT_WORDS
from sar_data.labels.table import read_table
from sar_data.labels.words import words_of_cell
from sar_data.naming import few
from sar_data.spec import Tree
from sar_data.system.parquet import check_size

SUFFIXES = (".parquet", ".csv", ".tsv")
TRIED = 256  # keys that are looked up in a table
ENOUGH = 0.5  # share of them that a table of these samples has


@dataclass(frozen=True, slots=True)
class SideTable:
    """`rows` has the row of each key, `columns` others by name; labels and split are None where there is none."""

    path: str
    key: str
    rows: dict[str, int]
    columns: dict[str, list[Any]]
    labels: tuple[str, list[Any]] | None
    split: tuple[str, list[Any]] | None

    def sentence(self) -> str:
        used = [f"{part[0]} is the {what}" for what, part in (("label", self.labels), ("split", self.split)) if part]
        return f"{self.path}: {self.key} is the key, {few(used)}"

    def labels_of(self, key: str, column: str = "") -> tuple[str, ...] | None:
        """Return the labels of a key, or those in another column; None where the table has none."""
        value = self.value(key, column) if column else self._cell(key, self.labels and self.labels[1])
        return None if value is None else words_of_cell(value)

    def value(self, key: str, column: str) -> Any:
        """Return the value of a key in another column, None where the table has none."""
        return self._cell(key, self.columns.get(column))

    def _cell(self, key: str, values: list[Any] | None) -> Any:
        return None if values is None or (row := self.rows.get(key)) is None else values[row]

    def split_of(self, key: str) -> str | None:
        """Return the split of a key; raise BadRecord for a word that is none."""
        if self.split is None or (row := self.rows.get(key)) is None or (word := self.split[1][row]) is None:
            return None
        return split_word(str(word), f"{self.path}, {key}")


def split_word(word: str, where: str) -> str:
    """Return the split that a word means; raise BadRecord, naming `where`, for another word."""
    if (split := SPLIT_WORDS.get(word.strip().lower())) is None:
        raise BadRecord(where, f"expected the split train, val or test, found {word[:40]!r}")
    return split


def side_table(
    tree: Tree, names: Sequence[str], files: Sequence[str], others: Sequence[str]
) -> tuple[SideTable | None, tuple[str, ...]]:
    """Return the table that names most of some keys, and the paths of others that name some; None without one.

    `files` are those of the container itself, `others` the names of further columns that are kept. Raises BadRecord
    for a table that cannot be read.
    """
    keys = names[:: max(1, len(names) // TRIED)][:TRIED]
    tables: list[tuple[int, str, str, dict[str, list[Any]]]] = []
    for path in walk(tree, below=2):
        if path.lower().endswith(SUFFIXES) and path not in files:
            columns = _columns(tree, path)
            counts = {name: len(set(keys).intersection(_words(values))) for name, values in columns.items()}
            name = max(counts, key=counts.__getitem__, default=None)
            if name is not None and counts[name]:
                tables.append((counts[name], path, name, columns))
    tables.sort(key=lambda match: (-match[0], match[1]))
    best = [
        _table(path, name, columns, others) for count, path, name, columns in tables[:1] if count >= ENOUGH * len(keys)
    ]
    return (best[0] if best else None), tuple(path for _, path, *_ in tables[len(best) :])


def field_of(names: Sequence[str], words: Sequence[str], where: str) -> str | None:
    """Return the first of some words that is a column, in any case of letters; raise BadRecord where two are it."""
    for word in words:
        if len(same := [name for name in names if name.lower() == word]) > 1:
            raise BadRecord(where, f"expected one column {word}, found {few(same)}: remove all but one")
        if same:
            return same[0]
    return None


def _words(values: Sequence[Any]) -> list[str]:
    return [value for value in values if isinstance(value, str)]


def _columns(tree: Tree, path: str) -> dict[str, list[Any]]:
    data = tree.read(path)
    with Reading(path, "a table"):
        if not path.lower().endswith(".parquet"):
            rows = read_table(path, data, [])
            return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}
        source = pa.BufferReader(data)
        check_size(source, len(data))
        table = pq.read_table(source)
        table.validate(full=True)
        kinds = {name: table.schema.field(name).type for name in table.column_names}
        return {name: table[name].to_pylist() for name, kind in kinds.items() if _is_word(kind)}


def _is_word(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _is_word(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind))


def _table(path: str, key: str, columns: dict[str, list[Any]], others: Sequence[str]) -> SideTable:
    names = [name for name in columns if name != key]
    label, split = (field_of(names, words, path) for words in (LABEL_FIELDS, SPLIT_FIELDS))
    labels, splits = ((name, columns[name]) if name else None for name in (label, split))
    rows: dict[str, int] = {}
    for row, word in enumerate(columns[key]):
        if isinstance(word, str) and (first := rows.setdefault(word, row)) != row:
            for name, values in filter(None, (labels, splits)):
                if values[row] != values[first]:
                    both = few([str(values[first]), str(values[row])])
                    raise BadRecord(path, f"{key} {word:.80}: expected one {name}, found {both}: keep one row a key")
    return SideTable(path, key, rows, {name: columns[name] for name in others if name in names}, labels, splits)
