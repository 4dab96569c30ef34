"""Decompress an archive block by block, and estimate its size."""

from __future__ import annotations

import bz2
import gzip
import io
import zlib
from collections.abc import Generator
from pathlib import Path
from typing import Any

from sar_data.errors import SourceError
from sar_data.sources.archives.detect import PackedArchive
from sar_data.sources.archives.rules import WINDOW

BLOCK = 4 << 20
READ = 1 << 20
FRAME_HEAD = 18  # bytes: the longest header of a zstd frame, RFC 8878


def read_blocks(packed: PackedArchive) -> Generator[tuple[bytes, int], None, None]:
    """Yield the blocks of the archive's tar, each with the number of compressed bytes read so far.

    Raises SourceError where the archive is damaged; zstd does not detect truncation.
    """
    import zstandard

    joined = _JoinedFiles(packed.files)
    try:
        with io.BufferedReader(joined, READ) as source, _stream(packed.kind, source) as stream:
            while block := stream.read(BLOCK):
                yield block, joined.done
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise SourceError(
            f"{packed.where}: expected whole {packed.kind} data, found damage after {joined.done} bytes: {error}. "
            "Fetch it again and compare its checksum."
        ) from error


def min_bytes(packed: PackedArchive) -> int:
    """Return the minimum size of the decompressed archive, as far as its first or last bytes give it."""
    import zstandard

    if packed.kind == "tar.zst":
        with open(packed.files[0], "rb") as file:
            try:
                return max(packed.bytes, zstandard.frame_content_size(file.read(FRAME_HEAD)))
            except zstandard.ZstdError:
                return packed.bytes
    if packed.kind == "tar.gz":
        with open(packed.files[-1], "rb") as file:
            file.seek(max(file.seek(0, io.SEEK_END) - 4, 0))
            size = int.from_bytes(file.read(), "little")  # the size modulo 2^32, RFC 1952
        return size + max(0, -((size - packed.bytes) >> 32) << 32)
    return packed.bytes


def _stream(kind: str, source: Any) -> Any:
    if kind == "tar.gz":
        return gzip.GzipFile(fileobj=source)
    if kind == "tar.bz2":
        return bz2.BZ2File(source)
    if kind == "tar.zst":
        import zstandard

        machine = zstandard.ZstdDecompressor(max_window_size=WINDOW)
        return machine.stream_reader(source, read_size=READ, read_across_frames=True)
    return source


class _JoinedFiles(io.RawIOBase):
    """The parts of an archive, one after the other; `done` counts the bytes read."""

    def __init__(self, paths: tuple[Path, ...]) -> None:
        self._paths = list(paths)
        self._file: io.FileIO | None = None
        self.done = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while self._file or self._paths:
            self._file = self._file or io.FileIO(self._paths.pop(0))
            if count := self._file.readinto(buffer) or 0:
                self.done += count
                return count
            self._file.close()
            self._file = None
        return 0

    def close(self) -> None:
        if self._file:
            self._file.close()
        super().close()
