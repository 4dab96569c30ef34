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

Integers = npt.NDArray[np.int64]
COLUMNS = ("key", "split", "shard", "position", "offset")
MOST_NAMES = 3  # of missing keys, in a message


@dataclass(frozen=True, slots=True)
class Rows:
    """One split's packed rows in shard order, which is the same in every container of the same content.

    `shard`, `position` and `offset` (-1 where the container has none) say where a sample lies; `table` has the other
    columns that were asked for.
    """

    key: pa.StringArray
    shard: Integers
    position: Integers
    offset: Integers
    table: pa.Table

    def __len__(self) -> int:
        return len(self.key)

    def keys(self, rows: Integers) -> list[str]:
        """Return the keys of some rows."""
        names: list[str] = self.key.take(pa.array(rows)).to_pylist()
        return names

    def find(self, keys: Iterable[str]) -> Integers:
        """Return the rows that have these keys, ascending; raise UsageError for a key that is not there."""
        wanted = pa.array(list(dict.fromkeys(keys)), pa.string())
        found = pc.index_in(wanted, value_set=self.key)
        if found.null_count:
            missing = wanted.filter(pc.is_null(found)).to_pylist()
            names = ", ".join(missing[:MOST_NAMES])
            raise UsageError(
                f"keys: {len(missing)} of {len(wanted)} are not in this split, such as {names}. "
                "Keys are those of index.parquet."
            )
        return np.sort(found.to_numpy().astype(np.int64))


def load(index: Path, split: str, columns: Iterable[str]) -> Rows:
    """Read one split from an index; raise BuildError where it cannot be read."""
    names = list(dict.fromkeys([*COLUMNS, *columns]))
    try:
        table = pq.read_table(index, columns=names, read_dictionary=["split"])
    except (OSError, pa.ArrowException) as error:
        raise BuildError(f"{index}: cannot read the columns {', '.join(names)}: {error}") from error
    table = table.filter(pc.equal(table["split"], split)) if _mixed(table["split"], split) else table
    columns_found = {name: table[name].combine_chunks() for name in COLUMNS if name != "split"}
    shard, position, offset = (_integers(columns_found[name]) for name in ("shard", "position", "offset"))
    return Rows(columns_found["key"], shard, position, offset, table.drop_columns(list(COLUMNS)))


def matching(index: Path, split: str, where: Any) -> list[str]:
    """Return the keys of the split's rows for which a pyarrow expression or filter list holds."""
    try:
        condition = where if isinstance(where, pc.Expression) else pq.filters_to_expression(where)
        found = pq.read_table(index, columns=["key"], filters=(pc.field("split") == split) & condition)
    except (pa.ArrowException, ValueError, TypeError, KeyError) as error:
        known = ", ".join(pq.read_schema(index).names)
        raise UsageError(f"where: {error}. The index has the columns {known}") from error
    keys: list[str] = found["key"].to_pylist()
    return keys


def _mixed(splits: pa.ChunkedArray, split: str) -> bool:
    return any(set(part.dictionary.to_pylist()) != {split} for part in splits.chunks)


def _integers(column: pa.Array) -> Integers:
    numbers: Integers = pc.fill_null(column, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return numbers
