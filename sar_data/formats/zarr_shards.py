"""Shards of a compressed Zarr array: inner chunks in zstd, located and decoded without the zarr library.

Source: Zarr v3 specification, sharding codec 1.0: an index at the end of a shard has offset and length of every inner
chunk as little-endian uint64, all ones for an empty chunk, and a crc32c of 4 bytes.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import zstandard
from numcodecs.zstd import decompress

from sar_data.errors import BuildError
from sar_data.system.regular import open_regular

Bytes = npt.NDArray[np.uint8]
INNER = 16  # samples of an inner chunk
EMPTY = (1 << 64) - 1
ENTRY = struct.Struct("<QQ")
CHECKSUM = 4
# A chunk may decode to FREE bytes, and to BYTES_A_BYTE more for each compressed byte; only empty images shrink so much.
FREE, BYTES_A_BYTE = 1 << 30, 256


@dataclass(frozen=True, slots=True)
class Shards:
    """The shards of a split: `slots` samples a shard, of `sample` bytes each."""

    slots: int
    sample: int
    samples: ClassVar[int] = INNER

    def decode(self, path: Path, number: int) -> Bytes:
        """Return the bytes of one inner chunk's samples; raise BuildError where they are missing or not complete."""
        file = open_regular(path)
        try:
            offset, length = self._entry(path, file, number)
            data = os.pread(file, length, offset)
            self._check_frame(path, number, data, length)
            out = np.empty(INNER * self.sample, np.uint8)  # of a fixed size, so that a frame cannot decode to more
            decompress(data, out)
        except (OSError, ValueError, RuntimeError) as error:
            if isinstance(error, BuildError):
                raise
            raise BuildError(f"{path}: inner chunk {number} does not decode: {error}") from error
        finally:
            os.close(file)
        return out

    def check(self, path: Path) -> None:
        """Raise BuildError where an inner chunk would decode to more or less than its samples."""
        file = open_regular(path)
        try:
            for number in range(self.slots // INNER):
                offset, length = self._entry(path, file, number, empty=True)
                if length:
                    self._check_frame(path, number, os.pread(file, min(length, 32), offset), length)
        except OSError as error:
            raise BuildError(f"{path}: cannot read: {error.strerror}") from error
        finally:
            os.close(file)

    def check_packed(self, path: Path, data: bytes) -> None:
        """Raise BuildError where a shard that is about to be written has an inner chunk that no reader would decode."""
        index = data[len(data) - self.slots // INNER * ENTRY.size - CHECKSUM : -CHECKSUM]
        for number, (_, length) in enumerate(ENTRY.iter_unpack(index)):
            if flaw := self._size_flaw(length):
                raise BuildError(
                    f"{path}: inner chunk {number}: {flaw}: images that are so large and nearly constant are packed "
                    "with `compression=none`"
                )

    def _entry(self, path: Path, file: int, number: int, *, empty: bool = False) -> tuple[int, int]:
        """Return offset and length of an inner chunk; (0, 0) for an empty chunk where `empty` allows it."""
        count = self.slots // INNER
        end = os.fstat(file).st_size - count * ENTRY.size - CHECKSUM
        if self.slots % INNER or not 0 <= number < count or end < 0:
            raise BuildError(f"{path}: expected a shard of {count} inner chunks, found none of number {number}")
        offset, length = ENTRY.unpack(os.pread(file, ENTRY.size, end + number * ENTRY.size))
        if offset == length == EMPTY:
            if empty:
                return 0, 0
            raise BuildError(f"{path}: inner chunk {number} is empty, the index has samples there")
        if offset + length > end:
            raise BuildError(f"{path}: inner chunk {number}: expected its end up to {end}, found {offset + length}")
        return offset, length

    def _check_frame(self, path: Path, number: int, data: bytes, length: int) -> None:
        """Raise BuildError where a frame of `length` bytes, which begins with `data`, decodes to a wrong size."""
        if flaw := self._size_flaw(length):
            raise BuildError(f"{path}: inner chunk {number}: {flaw}")
        try:
            size = zstandard.frame_content_size(data)
        except zstandard.ZstdError as error:
            raise BuildError(f"{path}: inner chunk {number} is no frame of zstd: {error}") from error
        if size != INNER * self.sample:
            raise BuildError(f"{path}: inner chunk {number}: expected {INNER * self.sample} bytes, found {size}")

    def _size_flaw(self, length: int) -> str | None:
        """Return why an inner chunk of `length` compressed bytes takes too much memory, or None."""
        size, most = INNER * self.sample, FREE + BYTES_A_BYTE * length
        return f"expected at most {most} bytes in {length} compressed ones, found {size}" if size > most else None
