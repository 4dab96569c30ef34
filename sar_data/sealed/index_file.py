"""Reading of index.parquet, with checks of its types and of values that may not be null."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from sar_data.errors import BuildError
from sar_data.sealed.index import INDEX, check
from sar_data.sealed.parquet_file import read_columns
from sar_data.sealed.schema2 import ADDED, current_index

MAY_BE_NULL = {  # fields inside of a column
    *("files.xxh3", "objects.rotated", "objects.polygons"),
    *("dates.time", "dates.platform", "dates.relative_orbit"),
}

WHOLE = ("files", "targets", "objects", "attrs")  # every record has these lists, which may be empty


def read_index(path: Path, columns: Sequence[str] | None = None, *, split_as_dictionary: bool = False) -> pa.Table:
    """Return the columns of an index, all by default; raise BuildError for a file that is no index of a build.

    An index of schema 2 is converted; the columns that it does not have are null. Extension types are refused, because
    they could run code. pandas is not imported.
    """
    names = INDEX.names if columns is None else list(columns)

    def current(table: pa.Table) -> pa.Table:
        table = current_index(table, INDEX)
        _check_types(path, table.schema)
        return table

    dictionaries = ["split"] if split_as_dictionary else []
    table = read_columns(path, names, current, may_miss=ADDED, dictionaries=dictionaries)
    check(table, path)
    there = table.column_names
    for name in set(there) & set(WHOLE):
        if table[name].null_count:
            raise BuildError(f"{path}: {name}: expected a list in every row, found null")
    for name in set(there) & set(INDEX.names):
        for chunk in table[name].chunks:
            for hole in _nulls_inside(name, chunk):
                raise BuildError(f"{path}: {hole}: expected values, found null")
    for number, name in enumerate(names):
        if name not in there:
            table = table.add_column(number, INDEX.field(name), pa.nulls(len(table), INDEX.field(name).type))
    return table


def _check_types(path: Path, schema: pa.Schema) -> None:
    for name in schema.names:
        if schema.names.count(name) != 1:
            raise BuildError(f"{path}: expected one column {name}, found {schema.names.count(name)}")
        kind = schema.field(name).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if name in INDEX.names and kind != INDEX.field(name).type:
            raise BuildError(f"{path}: {name}: expected {INDEX.field(name).type}, found {str(kind)[:200]}")


def _nulls_inside(name: str, column: pa.Array) -> Iterator[str]:
    """Yield the nested fields of a column that contain nulls; a list or struct itself may be null."""
    parts: dict[str, pa.Array] = {}
    if pa.types.is_list(column.type):
        parts = {"": column.flatten()}
    elif pa.types.is_struct(column.type):
        fields = [column.type.field(i).name for i in range(column.type.num_fields)]
        parts = dict(zip(fields, column.flatten(), strict=True))
    for field, part in parts.items():
        inner = f"{name}.{field}" if field else name
        if part.null_count and inner not in MAY_BE_NULL:
            yield inner
        yield from _nulls_inside(inner, part)
