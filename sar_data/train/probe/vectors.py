"""Files of vectors that several ranks write together: they appear once they are whole, and are mapped for reading.

    PLACE/cls.npy, mean.npy, …  identity.json         one file a pooling, and the identity of the vectors

All ranks write into the same files, so PLACE must be in a folder that all of them see.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sar_data.system import durable, private
from sar_data.train.ranks import Ranks

Vectors = npt.NDArray[Any]
Put = Callable[[int, Mapping[str, Vectors]], None]


@dataclass(frozen=True, slots=True)
class VectorFiles:
    """The files of vectors of one split and view, `count` of each pooling. `identity` decides the vectors."""

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
        """Return the path of one pooling's file, which may be missing."""
        return self.path / f"{pooling}.npy"

    def missing(self, widths: Mapping[str, int]) -> dict[str, int]:
        """Return the poolings that have no whole file of vectors of the length that `widths` has for them."""
        return {pooling: width for pooling, width in widths.items() if not self._whole(pooling, width)}

    def _whole(self, pooling: str, width: int) -> bool:
        if not self.file(pooling).is_file():
            return False  # missing, or a pipe, which would block its reader
        try:
            vectors: Vectors = np.load(self.file(pooling), mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return False  # truncated: it is encoded again
        return vectors.shape == (self.count, width) and vectors.dtype == self.dtype

    @contextmanager
    def create(self, widths: Mapping[str, int], ranks: Ranks) -> Iterator[Put]:
        """Yield `put(first, {pooling: vectors})`; the files appear once every rank's block has ended without an error.

        Raises TargetError where the disk is full. Files are written, not mapped: on a full disk a map ends the process
        without a message.
        """
        with durable.explain_errors(self.path, "features"), ExitStack() as stack:
            partial = ranks.gather(self._begin(widths, stack) if ranks.first else {})[0]
            files = {pooling: (_open(path, stack), _offset(path)) for pooling, path in partial.items()}

            def put(first: int, vectors: Mapping[str, Vectors]) -> None:
                for pooling, (descriptor, offset) in files.items():
                    rows = np.ascontiguousarray(vectors[pooling], self.dtype)
                    if len(rows):  # a rank's share of the last step may be only padding
                        at = offset + first * widths[pooling] * self.dtype.itemsize
                        durable.write_all(descriptor, rows.data, at)

            yield put
            for descriptor, _ in files.values():
                os.fsync(descriptor)
            ranks.wait()
            if ranks.first:
                for pooling, path in partial.items():
                    os.replace(path, self.file(pooling))
                durable.sync_path(self.path)
            ranks.wait()

    def _begin(self, widths: Mapping[str, int], stack: ExitStack) -> dict[str, Path]:
        """Create a partial file of zeros for each pooling; of two runs at once, the later one's stay."""
        self.path.mkdir(parents=True, exist_ok=True)
        durable.sweep(self.path)
        durable.write(self.path / "identity.json", json.dumps(self.identity, indent=1).encode())
        partial = {}
        for pooling, width in widths.items():
            partial[pooling], descriptor = durable.create_partial(self.file(pooling))
            stack.callback(os.close, descriptor)
            stack.callback(partial[pooling].unlink, missing_ok=True)
            head, shape = io.BytesIO(), (self.count, width)
            described = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(head, described)
            size = durable.write_all(descriptor, head.getbuffer()) + self.count * width * self.dtype.itemsize
            os.ftruncate(descriptor, size)
        return partial


def _open(path: Path, stack: ExitStack) -> int:
    descriptor = private.open_file(path, os.O_WRONLY)
    stack.callback(os.close, descriptor)
    return descriptor


def _offset(path: Path) -> int:
    """Return where the numbers of an .npy file begin."""
    mapped: Any = np.load(path, mmap_mode="r", allow_pickle=False)
    return int(mapped.offset)
