"""Files of rows, Arrow and Parquet, read group by group through a tree: what `datasets` saves and hubs publish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import accumulate
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sar_data.errors import Reading
from sar_data.raster.parquet_images import TreeFile
from sar_data.spec import Tree
from sar_data.system.arrow import find_messages, read_batch, read_schema
from sar_data.system.parquet import ROWS_A_BYTE, TooLarge, check_size, memory_limit

SUFFIXES = (".arrow", ".parquet", ".feather")
CACHED_GROUPS = 8


@dataclass(frozen=True, slots=True)
class Groups:
    """The schema of a file, and the first row of each of its groups; `places` are those of a stream's messages."""

    schema: pa.Schema
    starts: tuple[int, ...]
    rows: int
    places: tuple[tuple[int, int], ...] = ()

    def group_of(self, row: int) -> int:
        """Return the group that has a row."""
        return next(i for i in reversed(range(len(self.starts))) if self.starts[i] <= row)


@lru_cache(maxsize=64)
def groups(tree: Tree, path: str) -> Groups:
    """Return the groups of a file, found once a process; raise BadRecord for one that cannot be read."""
    with Reading(path, "a file of rows (Arrow or Parquet)"):
        if path.endswith(".parquet"):
            check_size(_file(tree, path), tree.size(path))
            metadata = pq.ParquetFile(_file(tree, path)).metadata
            counts = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
            return _groups(metadata.schema.to_arrow_schema(), counts, tree.size(path))
        first, *places = find_messages(partial(tree.pread, path), tree.size(path), path)
        schema = read_schema(tree.pread(path, *first))
        counts = [_batch(tree, path, schema, place).num_rows for place in places]
        return _groups(schema, counts, tree.size(path), tuple(places))


def _groups(schema: pa.Schema, counts: Sequence[int], size: int, places: tuple[tuple[int, int], ...] = ()) -> Groups:
    """Return the groups of a file of `size` bytes; raise TooLarge where they say more rows than it can have."""
    starts = [0, *accumulate(counts)]
    if starts[-1] > (most := size * ROWS_A_BYTE):
        raise TooLarge(f"expected at most {most:,} rows, found {starts[-1]:,}")
    return Groups(schema, tuple(starts[:-1]), starts[-1], places)


def column(tree: Tree, path: str, name: str, field: str = "") -> list[Any]:
    """Return the values of one column of a file, or of a field of its structs, as Python has them; raise BadRecord."""
    layout = groups(tree, path)
    values: list[Any] = []
    with Reading(path, f"a column {name} whose values can be read"):
        if path.endswith(".parquet"):
            table = pq.ParquetFile(_file(tree, path)).read(columns=[f"{name}.{field}" if field else name])
            table.validate(full=True)
            chunks = table[name].chunks
        else:
            chunks = (_group(tree, path, i, (name,))[0] for i in range(len(layout.starts)))
        for chunk in chunks:
            values += (chunk.field(field) if field else chunk).to_pylist()
        return values


def cells(tree: Tree, path: str, names: tuple[str, ...], row: int) -> list[pa.Scalar]:
    """Return the values of some columns in one row, in the order of `names`; raise BadRecord."""
    with Reading(f"{path}, row {row}", "values that can be read"):
        number = (layout := groups(tree, path)).group_of(row)
        return [values[row - layout.starts[number]] for values in _group(tree, path, number, names)]


@lru_cache(maxsize=CACHED_GROUPS)
def _group(tree: Tree, path: str, number: int, names: tuple[str, ...]) -> list[pa.Array]:
    """Return the columns of one group, checked: a wrong offset in a file would lead out of its memory."""
    layout = groups(tree, path)
    if path.endswith(".parquet"):
        table = pq.ParquetFile(_file(tree, path)).read_row_group(number, columns=list(names))
        table.validate(full=True)
        arrays = [table[name].combine_chunks() for name in names]
    else:
        batch = _batch(tree, path, layout.schema, layout.places[number])
        arrays = [batch.column(batch.schema.get_field_index(name)) for name in names]
    for array in arrays:
        array.validate(full=True)
    return [array.storage if isinstance(array, pa.ExtensionArray) else array for array in arrays]


def _batch(tree: Tree, path: str, schema: pa.Schema, place: tuple[int, int]) -> pa.RecordBatch:
    return read_batch(tree.pread(path, *place), schema, memory_limit(tree.size(path)))


def _file(tree: Tree, path: str) -> pa.PythonFile:
    return pa.PythonFile(TreeFile(tree, path), mode="r")
