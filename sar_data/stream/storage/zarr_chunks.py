"""Samples of zstd-compressed Zarr shards: the inner chunks that are needed, decoded where they lie.

Source: Zarr v3 specification, sharding codec 1.0: an index at the shard's end holds offset and length of every inner
chunk as little-endian uint64, all ones for an empty one, and a crc32c of 4 bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from sar_data.errors import BuildError
from sar_data.stream.storage.files import Files
from sar_data.stream.storage.store import Integers

EMPTY = (1 << 64) - 1
CHECKSUM = 4


class Inner:
    """The samples of one split: `slots` a shard, `inner` a chunk, `length` bytes each."""

    def __init__(
        self,
        files: Files,
        names: Sequence[str],
        shard: Integers,
        position: Integers,
        *,
        slots: int,
        inner: int,
        length: int,
    ) -> None:
        self._files, self._names = files, names
        self._shard, self._position = shard, position
        self._slots, self._inner, self._length = slots, inner, length

    def name(self, row: int) -> str:
        return self._names[int(self._shard[row])]

    def chunks(self, rows: Integers) -> Iterator[tuple[slice, Integers]]:
        whole = self._shard[rows] * self._slots + self._position[rows]
        starts = np.flatnonzero(np.r_[True, np.diff(whole // self._inner) != 0])
        for low, high in zip(starts, [*starts[1:], len(rows)], strict=True):
            row = rows[low]
            chunk = self._decoded(int(self._shard[row]), int(self._position[row]) // self._inner)
            at = self._position[rows[low:high]] % self._inner
            yield slice(int(low), int(high)), chunk.ctypes.data + at * self._length

    def _decoded(self, shard: int, number: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
        from numcodecs.zstd import decompress

        path = self._files.path(self._names[shard])
        count = self._slots // self._inner
        try:
            with open(path, "rb", buffering=0) as file:
                file.seek(-(16 * count + CHECKSUM), 2)
                index = np.frombuffer(file.read(16 * count), "<u8").reshape(count, 2)
                offset, length = (int(value) for value in index[number])
                if offset == EMPTY:
                    raise BuildError(f"{path}: inner chunk {number} is empty, the index has samples there")
                file.seek(offset)
                raw = decompress(file.read(length))
        except (OSError, ValueError, RuntimeError) as error:
            if isinstance(error, BuildError):
                raise
            raise BuildError(f"{path}: inner chunk {number} does not decode: {error}") from error
        if len(raw) != self._inner * self._length:
            raise BuildError(
                f"{path}: inner chunk {number}: expected {self._inner * self._length} bytes, found {len(raw)}"
            )
        return np.frombuffer(raw, np.uint8)

    def close(self) -> None:
        return None
