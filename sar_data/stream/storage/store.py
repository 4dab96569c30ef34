"""Where the bytes of samples are: raw in shard files, at known offsets; read at first, mapped from then on.

Reading first and mapping later takes the better of both: cold files are read in one request a sample, a file that is
too short is an error and not a signal, and from the second epoch on nothing is copied.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sar_data.errors import BuildError
from sar_data.sealed.files import Files
from sar_data.stream.kernels.memory import Memory, inside
from sar_data.stream.storage.memory import Maps
from sar_data.system.positioned import read
from sar_data.system.regular import open_regular

Integers = npt.NDArray[np.int64]
SCRATCH = 1 << 20  # bytes read before they are used: they are still in the processor's cache then


class Store(Protocol):
    def chunks(self, rows: Integers) -> Iterator[tuple[slice, Memory]]:
        """Yield parts of `rows` and where their bytes are, which stay there until the next part."""

    def name(self, row: int) -> str:
        """Return the file that holds a row, for messages."""

    def close(self) -> None:
        """Give back maps; no other thread may be reading."""


class Raw:
    """Payloads that lie uncompressed in files: file number, offset and length of every row.

    `sizes` are the bytes of the files, -1 where they are not known before a file is opened.
    """

    def __init__(
        self,
        files: Files,
        names: Sequence[str],
        sizes: Sequence[int],
        file: Integers,
        offset: Integers,
        length: Integers,
        *,
        mapped: bool,
    ) -> None:
        self._files, self._names = files, names
        self._file, self._offset, self._length = file, offset, length
        self._mapped = mapped
        self._maps = Maps()
        self._lock = threading.Lock()
        self._base = np.zeros(len(names), np.int64)  # addresses; 0 where a file is not mapped
        self._size = np.array(sizes, np.int64)
        self._seen = np.zeros(len(file), np.bool_)

    def name(self, row: int) -> str:
        return self._names[int(self._file[row])]

    def chunks(self, rows: Integers) -> Iterator[tuple[slice, Memory]]:
        self._locate(rows)
        if self._mapped and self._seen[rows].all():
            yield slice(0, len(rows)), Memory(self._base, self._size, self._file[rows], self._offset[rows])
            return
        yield from self._read(rows)
        if self._mapped:
            self._map(np.unique(self._file[rows]))
            self._seen[rows] = True

    def _locate(self, rows: Integers) -> None:
        """Complete the offsets of rows, where the index has none."""

    def _read(self, rows: Integers) -> Iterator[tuple[slice, Memory]]:
        numbers, which = np.unique(self._file[rows], return_inverse=True)
        descriptors: list[int] = []
        try:
            for number in numbers:
                descriptors.append(self._open(int(number)))
            opened = np.array(descriptors, np.int32)[which]
            starts = np.concatenate([[0], np.cumsum(self._length[rows])])
            scratch = np.empty(max(SCRATCH, int(self._length[rows].max(initial=0))), np.uint8)
            low = 0
            while low < len(rows):
                high = int(np.searchsorted(starts, starts[low] + len(scratch), side="right")) - 1
                part = rows[low:high]
                lost = read(opened[low:high], self._offset[part], self._length[part], scratch)
                if lost >= 0:
                    raise self._short(int(part[lost]))
                # What scratch has behind these bytes is of nobody: no sample may reach into it.
                yield slice(low, high), inside(scratch[: starts[high] - starts[low]], starts[low:high] - starts[low])
                low = high
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _open(self, number: int) -> int:
        """Return a descriptor of a file of the size that it should have."""
        size = int(self._size[number])
        return open_regular(self._files.path(self._names[number]), None if size < 0 else size)

    def _short(self, row: int) -> BuildError:
        path = self._files.path(self.name(row))
        end = self._offset[row] + self._length[row]
        return BuildError(
            f"{path}: expected at least {end} bytes, found {path.stat().st_size}: the shard was cut off or cannot be "
            "read. `verify(full=True)` lists all that is wrong."
        )

    def _map(self, numbers: Integers) -> None:
        with self._lock:
            for number in numbers[self._base[numbers] == 0]:
                size = int(self._size[number])
                path = self._files.path(self._names[number])
                self._base[number], self._size[number] = self._maps.map(path, None if size < 0 else size)

    def close(self) -> None:
        self._base[:] = 0
        self._seen[:] = False
        self._maps.close()


class Located(Raw):
    """Payloads of one file, whose size and offsets are known once it is there: `locate(path, rows)` returns them."""

    def __init__(
        self, files: Files, name: str, length: Integers, locate: Callable[[Path, Integers], Integers], *, mapped: bool
    ) -> None:
        count = len(length)
        offset = np.full(count, -1, np.int64)
        super().__init__(files, [name], [-1], np.zeros(count, np.int64), offset, length, mapped=mapped)
        self._find = locate

    def _locate(self, rows: Integers) -> None:
        unknown = rows[self._offset[rows] < 0]
        if len(unknown):
            self._offset[unknown] = self._find(self._files.path(self._names[0]), unknown)

    def close(self) -> None:
        super().close()
        self._size[:] = -1
        self._offset[:] = -1
