"""What the steps of a stream answered, while their work is not finished: tables in parts as files, in their order."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from itertools import count, takewhile
from pathlib import Path

import pyarrow as pa

from sar_data.system import durable
from sar_data.train.inference.parts import Parts

BYTES = 1 << 26  # in memory
KEEP_S = 30.0  # between parts: what a machine that loses its power takes away


class Steps:
    """The rows of whole steps that are kept in a folder of our own, in which one process at a time works."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._parts = Parts(folder)
        durable.sweep(folder)
        self._number = sum(1 for _ in self._numbers())
        self._fresh: list[pa.Table] = []
        self._since = time.monotonic()

    def add(self, table: pa.Table) -> None:
        """Take the rows of a step; now and then they are written."""
        self._fresh.append(table)
        if time.monotonic() - self._since >= KEEP_S or sum(one.nbytes for one in self._fresh) >= BYTES:
            self.keep()

    def keep(self) -> None:
        """Write what was added since the last part."""
        if self._fresh:
            self._parts.keep(self._number, pa.concat_tables(self._fresh))
            self._fresh, self._number = [], self._number + 1
        self._since = time.monotonic()

    def tables(self, schema: pa.Schema | None = None) -> Iterator[pa.Table]:
        """Yield what is kept, all of it or the columns of a schema; RunError where a file has others, or is damaged."""
        return (self._parts.table(number, schema) for number in self._numbers())

    def _numbers(self) -> Iterator[int]:
        return takewhile(partial(self._parts.has, mask=False), count())
