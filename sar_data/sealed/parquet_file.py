"""A sealed table from disk: whatever a Parquet file of a stranger holds, it is a table of its columns or refused."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sar_data.errors import BuildError, SarDataError
from sar_data.system.regular import open_regular

MOST_ROWS_A_BYTE = 16  # every row has a key of its own, so that a file that tells more rows tells them of nothing


def read_columns(
    path: Path,
    names: Sequence[str],
    current: Callable[[pa.Table], pa.Table],
    *,
    may_miss: Collection[str] = (),
    dictionaries: Sequence[str] = (),
) -> pa.Table:
    """Return what `current` makes of some columns of a file; raise BuildError where that cannot be done.

    Columns in `may_miss` may be missing; `dictionaries` are read as such. Text is valid UTF-8. pandas is not imported.
    """
    try:
        with os.fdopen(open_regular(path), "rb") as source:
            most = os.fstat(source.fileno()).st_size * MOST_ROWS_A_BYTE
            with pq.ParquetFile(source, read_dictionary=list(dictionaries)) as parquet:
                if not 0 <= parquet.metadata.num_rows <= most:
                    raise BuildError(f"{path}: expected at most {most} rows, found {parquet.metadata.num_rows}")
                there = parquet.schema_arrow.names
                if missing := [name for name in names if name not in there and name not in may_miss]:
                    raise BuildError(f"{path}: expected the columns {', '.join(missing)}, found none such")
                table = parquet.read(columns=[name for name in names if name in there])
        table.validate(full=True)
        return current(table)
    except SarDataError:
        raise
    except Exception as error:  # of a decoder that is not ours, on bytes of anyone: it raises what it likes
        raise BuildError(f"{path}: cannot read: {type(error).__name__}: {error}"[:500]) from error
