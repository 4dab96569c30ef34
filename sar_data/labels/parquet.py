"""Parquet tables of one row a sample, looked up by name: half a million rows stay columns, never Python objects."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from sar_data.errors import SourceError


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a table by the distinct values of its column of names."""

    table: pa.Table
    names: npt.NDArray[np.bytes_]
    order: npt.NDArray[np.int64]

    def get(self, name: str) -> dict[str, Any] | None:
        """Return the row of that name, None where there is none."""
        wanted = name.encode()
        at = int(np.searchsorted(self.names, np.bytes_(wanted)))
        if at == len(self.names) or self.names[at] != wanted:
            return None
        row = int(self.order[at])
        return {column: self.table.column(i)[row].as_py() for i, column in enumerate(self.table.column_names)}


def read_rows(data: bytes, path: str, key: str, columns: Iterable[str]) -> Rows:
    """Return a table's columns, by the names in its column `key`; raise SourceError, naming `path`, for another table.

    Names must be distinct and no value may be missing: what is half known would become a wrong label.
    """
    wanted = [key, *columns]
    try:
        with pq.ParquetFile(pa.BufferReader(data)) as file:
            present = set(file.schema_arrow.names)
            table = file.read([name for name in wanted if name in present]) if present else pa.table({})
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SourceError(f"{path}: expected a parquet table, found {data[:16]!r}: {error}. Fetch it anew.") from None
    absent = [name for name in wanted if name not in table.column_names]
    if absent:
        raise SourceError(f"{path}: expected the columns {', '.join(wanted)}, found no {', no '.join(absent)}")
    holes = [name for name in wanted if table[name].null_count]
    if not pa.types.is_string(kind := table.schema.field(key).type) or holes:
        raise SourceError(f"{path}: expected names and no missing values, found {key} of {kind}, nulls in {holes}")
    table = table.combine_chunks()
    names = np.array(table[key].to_pylist(), np.bytes_)
    order = np.argsort(names, kind="stable")
    names = names[order]
    if len(twice := names[1:][names[1:] == names[:-1]]):
        raise SourceError(f"{path}: expected every {key} once, found {twice[0].decode()} again: fetch it anew")
    return Rows(table, names, order)
