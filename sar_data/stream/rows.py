"""The rows of one split as columns: what a loader needs of index.parquet, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sar_data.errors import BuildError, UsageError
from sar_data.sealed.files import Files
from sar_data.sealed.index import INDEX_NAME
from sar_data.sealed.index_bounds import check_bounds
from sar_data.sealed.index_file import read_index
from sar_data.sealed.manifest import Manifest
from sar_data.sealed.opened import layout_of
from sar_data.sealed.parquet_file import check_columns

Integers = npt.NDArray[np.int64]
COLUMNS = ("key", "split", "shard")
MOST_NAMES = 3  # of missing keys, in a message


@dataclass(frozen=True, slots=True)
class Rows:
    """One split's packed rows in shard order, which is the same in every container of the same content.

    `shard` says in which a sample lies; `table` has the other columns that were asked for.
    """

    key: pa.StringArray
    shard: Integers
    table: pa.Table

    def __len__(self) -> int:
        return len(self.key)

    def column(self, name: str) -> pa.Array:
        """Return a further column as one array."""
        return _whole(self.table[name])

    def integers(self, name: str) -> Integers:
        """Return a further column as int64, -1 where null."""
        return _integers(self.column(name))

    def keys(self, rows: Integers) -> list[str]:
        """Return the keys of some rows."""
        names: list[str] = self.key.take(indices(rows)).to_pylist()
        return names

    def find(self, keys: Iterable[str]) -> Integers:
        """Return the rows that have these keys, ascending; raise UsageError for a key that is not there."""
        unique = pa.array(list(dict.fromkeys(keys)), pa.string())
        numbers_of_keys = pc.index_in(unique, value_set=self.key)
        if numbers_of_keys.null_count:
            missing = unique.filter(pc.is_null(numbers_of_keys)).to_pylist()
            names = ", ".join(missing[:MOST_NAMES])
            raise UsageError(
                f"keys: {len(missing)} of {len(unique)} are not in this split, such as {names}. "
                "Keys are those of index.parquet."
            )
        return np.sort(numbers_of_keys.to_numpy().astype(np.int64))


def load(index: Path, manifest: Manifest, split: str, columns: Iterable[str]) -> Rows:
    """Read one split from an index; raise BuildError where it cannot be read, or is of another build."""
    names = list(dict.fromkeys([*COLUMNS, *columns]))
    table = read_index(index, names, split_as_dictionary=True)
    members = _members(table["split"], split)
    first, count = int(members.argmax()) if len(members) else 0, int(np.count_nonzero(members))
    if not members[first : first + count].all():
        raise BuildError(f"{index}: the rows of {split} do not lie together")
    if count != manifest.splits[split].count:
        raise BuildError(f"{index}: expected {manifest.splits[split].count} rows of {split}, found {count}")
    table = table.slice(first, count)
    check_bounds(table, manifest, layout_of(manifest), split, index)
    return Rows(_whole(table["key"]), _integers(_whole(table["shard"])), table.drop_columns(list(COLUMNS)))


def matching(index: Path, split: str, where: Any) -> list[str]:
    """Return the keys of the split's rows for which a pyarrow expression or filter list holds."""
    check_columns(index)  # all of them: a condition may ask for any
    try:
        condition = where if isinstance(where, pc.Expression) else pq.filters_to_expression(where)
        matches = pq.read_table(index, columns=["key"], filters=(pc.field("split") == split) & condition)
    except (pa.ArrowException, ValueError, TypeError, KeyError) as error:
        known = ", ".join(pq.read_schema(index).names)
        wrong = str(error).partition(" in ")[0]  # the schema follows, which is long
        raise UsageError(f"where: {wrong}. The index has the columns {known}") from error
    keys: list[str] = matches["key"].to_pylist()
    return keys


def indices(rows: Integers) -> pa.Array:
    """Return row numbers as Arrow takes them.

    Here and below, buffers are handed over as they are: Arrow's own conversions import pandas first, where it is
    installed, which takes longer than all the rest of opening a build.
    """
    return pa.Array.from_buffers(pa.int64(), len(rows), [None, pa.py_buffer(np.ascontiguousarray(rows, np.int64))])


def numbers(column: pa.Array) -> npt.NDArray[Any]:
    """Return the values of a column of numbers, of its own type; what is null there may be anything."""
    kind = np.dtype(str(column.type).replace("double", "float64"))
    if not len(column):
        return np.empty(0, kind)
    return np.frombuffer(column.buffers()[1], kind)[column.offset : column.offset + len(column)]


def flatten(column: pa.ListArray) -> tuple[Integers, pa.Array]:
    """Return the edges of a column's lists, one more than rows, and all their elements one after the other."""
    if not len(column):
        return np.zeros(1, np.int64), column.values.slice(0, 0)
    edges = np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1]
    return np.subtract(edges, edges[0], dtype=np.int64), column.values.slice(int(edges[0]), int(edges[-1] - edges[0]))


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array, without the copy that Arrow makes even of a single one."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _integers(column: pa.Array) -> Integers:
    """Return int64, -1 where null."""
    values: Integers = numbers(column).astype(np.int64, copy=bool(column.null_count))
    if column.null_count:
        bits = np.unpackbits(np.frombuffer(column.buffers()[0], np.uint8), bitorder="little")
        values[bits[column.offset : column.offset + len(column)] == 0] = -1
    return values


def _members(splits: pa.ChunkedArray, split: str) -> npt.NDArray[np.bool_]:
    parts = [np.empty(0, np.bool_)]
    for part in splits.chunks:
        names = np.array(part.dictionary.to_pylist(), object)
        parts.append((names == split)[numbers(part.indices)])
    return np.concatenate(parts)


def largest(files: Files, manifest: Manifest, splits: Iterable[str]) -> int:
    """Return the largest height or width of the images of some splits, 0 where there are none."""
    path = files.path(INDEX_NAME)
    rows = [load(path, manifest, split, ["height", "width"]) for split in splits]
    return max(
        (int(part.integers(axis).max()) for part in rows for axis in ("height", "width") if len(part)), default=0
    )
