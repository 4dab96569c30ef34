"""Reading of sealed tables: a Parquet file from an unknown source gives a table of its columns or an error."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sar_data.errors import BuildError, SarDataError
from sar_data.system.parquet import TooLarge, check_size, memory_limit
from sar_data.system.regular import open_regular


def read_columns(
    path: Path,
    names: Sequence[str],
    current: Callable[[pa.Table], pa.Table],
    *,
    may_miss: Collection[str] = (),
    dictionaries: Sequence[str] = (),
) -> pa.Table:
    """Return columns of a file, converted by `current`; raise BuildError where that is not possible.

    Columns in `may_miss` may be missing; those in `dictionaries` are read as dictionaries. Text is valid UTF-8. A table
    that would take far more memory than its file is refused. pandas is not imported.
    """
    try:
        with os.fdopen(open_regular(path), "rb") as source:
            size = os.fstat(source.fileno()).st_size
            check_size(source, size, names)
            with pq.ParquetFile(source, read_dictionary=list(dictionaries)) as parquet:
                there = parquet.schema_arrow.names
                if missing := [name for name in names if name not in there and name not in may_miss]:
                    raise BuildError(f"{path}: expected the columns {', '.join(missing)}, found none such")
                table = _read(parquet, [name for name in names if name in there], memory_limit(size))
        table.validate(full=True)
        return current(table)
    except SarDataError:
        raise
    except TooLarge as error:
        raise BuildError(f"{path}: {error}") from error
    except Exception as error:  # damaged bytes can make the decoder raise any exception
        raise BuildError(f"{path}: cannot read: {type(error).__name__}: {error}"[:500]) from error


def check_columns(path: Path) -> None:
    """Raise BuildError where the columns of a table would take far more memory than its file."""
    try:
        with os.fdopen(open_regular(path), "rb") as source:
            check_size(source, os.fstat(source.fileno()).st_size)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BuildError(f"{path}: {error}"[:500]) from error


def _read(parquet: pq.ParquetFile, names: list[str], most: int) -> pa.Table:
    """Return columns, read group by group: a file that takes more memory than it says is refused early."""
    parts, taken = [], 0
    for group in range(parquet.num_row_groups):
        parts.append(parquet.read_row_group(group, columns=names))
        taken += parts[-1].nbytes
        if taken > most:
            raise TooLarge(f"expected a table of at most {most} bytes, found more than {taken}")
    return pa.concat_tables(parts) if parts else parquet.read(columns=names)
