"""A file of features, and what is kept of one that is not finished: parts of whole steps in a hidden folder beside it.

The file is made of all parts, in groups of rows that do not depend on where the parts end. So it has the same bytes,
however often the work was stopped.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from sar_data.errors import BuildError, RunError, UsageError
from sar_data.system import durable
from sar_data.system.private import private_folder
from sar_data.system.regular import open_regular
from sar_data.train.inference.parts import locked
from sar_data.train.inference.steps import Steps

METADATA = b"sar-data"
GROUP = 1 << 26  # bytes of features in a group of rows of the file
SUFFIX = ".parts"


def is_there(out: Path, made: Mapping[str, Any]) -> bool:
    """Say whether a file has these features; raise UsageError where it has anything else."""
    if not out.exists():
        return False
    try:
        with os.fdopen(open_regular(out), "rb") as source, pq.ParquetFile(source) as file:
            before = json.loads((file.schema_arrow.metadata or {})[METADATA])
        if not isinstance(before, dict):
            raise ValueError("no object")
    except (BuildError, OSError, pa.ArrowException, KeyError, ValueError, RecursionError):
        raise UsageError(f"`out={out}`: expected no file or one of features, found another one") from None
    other = [f"{name} was {before.get(name)}, now {value}" for name, value in made.items() if before.get(name) != value]
    if other:
        raise UsageError(f"`out={out}` holds other features: {'; '.join(other)}. Take another `out=…`")
    return True


class Unfinished:
    """The features that are there of a file that is not; `counts` are split → samples that are kept.

    `identity` is all that decides the features' bits: with another one the work begins anew, in a folder of its own.
    Raises RunError while another process is at work on the same features.
    """

    def __init__(self, out: Path, identity: Mapping[str, Any]) -> None:
        self._out = out
        with durable.explain_errors(out):
            out.parent.mkdir(parents=True, exist_ok=True)
            durable.sweep(out.parent, out.name)
        digest = xxhash.xxh3_64_hexdigest(json.dumps(identity, sort_keys=True).encode())
        folder = out.with_name(f".{out.name}.{digest}{SUFFIX}")
        private_folder(folder)
        self._lock: int | None = locked(folder, out)
        self._steps = Steps(folder)
        self.counts: Counter[str] = Counter()
        try:
            for table in self._steps.tables(pa.schema({"split": pa.string()})):
                self.counts.update(table["split"].to_pylist())
        except BaseException:
            self.close()
            raise

    def add(self, table: pa.Table) -> None:
        """Take the features of a step; now and then they are written."""
        self._steps.add(table)
        self.counts.update(table["split"].to_pylist())

    def keep(self) -> None:
        """Write what was added since it was written last."""
        self._steps.keep()

    def seal(self, made: Mapping[str, Any]) -> None:
        """Write the file and what made it, and remove the parts, those of other features with the same name, too."""
        self.keep()
        first = next(self._steps.tables())
        if set(first.column_names) != set(made["columns"]):
            raise RunError(f"{self._steps.folder}: expected parts of features, found other columns: remove it")
        rows = max(1, GROUP // max(1, first.slice(0, 1).nbytes))
        schema = first.schema.with_metadata({METADATA: json.dumps(made)})
        with durable.publish_file(self._out) as sink, pq.ParquetWriter(sink, schema, compression="zstd") as writer:
            for group in _grouped(self._steps.tables(first.schema), rows):
                writer.write_table(group)
        self.close()
        for folder in self._out.parent.glob(f".{glob.escape(self._out.name)}.*{SUFFIX}"):
            with suppress(RunError):  # another process is at work there
                lock = locked(folder, self._out)
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)

    def close(self) -> None:
        """Let other processes in."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _grouped(tables: Iterator[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Yield the same rows, so many at once: a file's pages depend on how its tables are cut."""
    rest = next(tables)
    for table in chain(tables, [rest.slice(len(rest))]):
        while len(rest) >= rows:
            yield rest.slice(0, rows).combine_chunks()
            rest = rest.slice(rows)
        rest = pa.concat_tables([rest, table])
    if len(rest):
        yield rest.combine_chunks()
