"""A Parquet table beside the data that says something of every sample, looked up by the sample's name."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sar_data.errors import Reading, SourceError
from sar_data.spec import Tree
from sar_data.system.parquet import check_size


class Table:
    """Rows by the value of one column; half a million take some 200 MB."""

    def __init__(self, table: pa.Table, key: str, path: str) -> None:
        self._path = path
        self._columns = {name: table[name].combine_chunks() for name in table.column_names}
        self._row = {name: i for i, name in enumerate(table[key].to_pylist())}

    def __len__(self) -> int:
        return len(self._row)

    def get(self, name: str) -> dict[str, Any] | None:
        """Return the row of a sample, or None where there is none."""
        row = self._row.get(name)
        if row is None:
            return None
        with Reading(f"{self._path}, {name}", "values that Python has, too"):  # such as times and their zones
            return {column: values[row].as_py() for column, values in self._columns.items()}


@lru_cache(maxsize=4)
def table(tree: Tree, path: str, key: str, columns: tuple[str, ...]) -> Table:
    """Return the table at `path` by its column `key`, read once a process; raise SourceError for another one."""
    try:
        data = pa.BufferReader(tree.read(path))
        check_size(data, data.size())
        present = pq.read_table(data)
        if not (missing := [name for name in (key, *columns) if name not in present.column_names]):
            present = present.select([key, *columns])
            present.validate(full=True)
            names = present[key].to_pylist()
            twice = len(set(names)) != len(names)
    except (pa.ArrowException, ArithmeticError, LookupError, OSError, TypeError, ValueError) as error:
        present = f"{error}"[:300]
        raise SourceError(f"{path}: expected a Parquet table, found none that can be read: {present}") from error
    if missing:
        raise SourceError(f"{path}: expected the columns {', '.join((key, *columns))}, found no {', '.join(missing)}")
    if twice:
        raise SourceError(f"{path}: expected one row for each {key}, found some twice")
    return Table(present, key, path)
