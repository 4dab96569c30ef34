"""Files of vectors that several ranks write together: there once they are whole, mapped when they are read.

    PLACE/cls.npy, mean.npy, …  identity.json         one file a pooling, and what the vectors are of

All ranks write into the same files, so PLACE must be in a folder that all of them see.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sar_data.system import durable
from sar_data.train.run.ranks import Ranks

Vectors = npt.NDArray[Any]
Put = Callable[[int, Mapping[str, Vectors]], None]


@dataclass(frozen=True, slots=True)
class Shelf:
    """The vectors of one split and view, `count` of each pooling. `identity` is all that decides what they are."""

    folder: Path
    identity: Mapping[str, Any]
    split: str
    view: int
    count: int
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        return f"{self.split}, view {self.view}" if self.view else self.split

    @property
    def path(self) -> Path:
        """The folder of these vectors, named by a digest of their identity."""
        identity = json.dumps(self.identity, sort_keys=True).encode()
        return self.folder / f"{self.split}-{self.view}-{hashlib.sha256(identity).hexdigest()[:16]}"

    def file(self, pooling: str) -> Path:
        """Return the file of one pooling, which may not be there yet."""
        return self.path / f"{pooling}.npy"

    def lacking(self, widths: Mapping[str, int]) -> dict[str, int]:
        """Return the poolings, with the lengths of their vectors, that have no whole file of such vectors."""
        return {pooling: width for pooling, width in widths.items() if not self._whole(pooling, width)}

    def _whole(self, pooling: str, width: int) -> bool:
        try:
            found: Vectors = np.load(self.file(pooling), mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return False  # not there, or cut short: either is made anew
        return found.shape == (self.count, width) and found.dtype == self.dtype

    @contextmanager
    def writing(self, widths: Mapping[str, int], ranks: Ranks) -> Iterator[Put]:
        """Yield `put(first, {pooling: vectors})` for files that appear when every rank's block has ended well.

        Raises TargetError where the disk is full. Files are written, not mapped: on a full disk a map ends the process
        without a word.
        """
        owner = ranks.gather(os.getpid())[0]  # two runs may encode the same at once; the last one's files stay
        partial = {pooling: self.path / f"{pooling}.npy.{owner}{durable.PARTIAL}" for pooling in widths}
        with durable.explained(self.path, "features"), ExitStack() as stack:
            if ranks.first:
                stack.callback(_remove, partial)
                self._begin(partial, widths)
            ranks.wait()
            files = {pooling: (_opened(path, stack), _offset(path)) for pooling, path in partial.items()}

            def put(first: int, found: Mapping[str, Vectors]) -> None:
                for pooling, (descriptor, offset) in files.items():
                    rows = np.ascontiguousarray(found[pooling], self.dtype)
                    if len(rows):  # a rank's share of the last step may be padding alone
                        _put(descriptor, rows, offset + first * widths[pooling] * self.dtype.itemsize)

            yield put
            for descriptor, _ in files.values():
                os.fsync(descriptor)
            ranks.wait()
            if ranks.first:
                for pooling, path in partial.items():
                    os.replace(path, self.file(pooling))
                durable.sync_path(self.path)
            ranks.wait()

    def _begin(self, partial: Mapping[str, Path], widths: Mapping[str, int]) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        durable.write(self.path / "identity.json", json.dumps(self.identity, indent=1).encode())
        for pooling, path in partial.items():
            shape = (self.count, widths[pooling])
            np.lib.format.open_memmap(path, mode="w+", dtype=self.dtype, shape=shape).flush()


def _remove(partial: Mapping[str, Path]) -> None:
    for path in partial.values():
        path.unlink(missing_ok=True)


def _opened(path: Path, stack: ExitStack) -> int:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    stack.callback(os.close, descriptor)
    return descriptor


def _offset(path: Path) -> int:
    """Return where the numbers of an .npy file begin."""
    mapped: Any = np.load(path, mmap_mode="r", allow_pickle=False)
    return int(mapped.offset)


def _put(descriptor: int, rows: Vectors, offset: int) -> None:
    """Write all bytes there, however short the system's writes are."""
    view = memoryview(rows.data).cast("B")
    done = 0
    while done < len(view):
        done += os.pwrite(descriptor, view[done:], offset + done)
