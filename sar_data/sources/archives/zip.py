"""The members of a zip: the central directory by the standard library, compared with every local header.

What a zip unpacks to depends on which of its two descriptions a reader believes, so both must say the same.
Format: PKWARE APPNOTE 6.3.10, 4.3.7 (local header) and 4.4 (fields).
"""

from __future__ import annotations

import io
import os
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from struct import error as StructError
from typing import Any

from sar_data.errors import SourceError
from sar_data.sources.archives.rules import max_bytes, member_error

LOCAL = Struct("<4s5H3I2H")
ENCRYPTED = 0x1 | 0x40 | 0x2000
LATER = 0x8  # sizes and checksum follow the data, and may be zero in the local header
UTF_8 = 0x800
UNIX = 3


@dataclass(frozen=True, slots=True)
class ZipMember:
    """A member: the offset of its bytes in the file, their number and the decompressed size."""

    name: str
    offset: int
    size: int
    packed: int
    crc: int
    deflated: bool
    folder: bool


class Window(io.RawIOBase):
    """A part of an open file as a file of its own; closing it leaves the descriptor open."""

    def __init__(self, file: int, start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        view = view[: max(0, min(len(view), self._size - self._at))]
        count = os.preadv(self._file, [view], self._start + self._at)
        self._at += count
        return count


def walk(archive: str, file: int, start: int, size: int) -> Iterator[ZipMember]:
    """Yield the members of the zip in these bytes of a file, in their order there.

    Raises SourceError, with the member's name, for anything but a sound archive of stored or deflated regular files.
    """
    window = Window(file, start, size)
    try:
        with zipfile.ZipFile(io.BufferedReader(window)) as opened:
            infos = sorted(opened.infolist(), key=lambda info: info.header_offset)
            end = opened.start_dir
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, OverflowError, StructError) as error:
        raise SourceError(
            f"{archive}: expected a whole zip, found one that cannot be read: {error}. Fetch it again, or to the end."
        ) from error
    if sum(info.file_size for info in infos) > max_bytes(size):
        raise member_error(
            archive, infos[0].filename, f"expected at most {max_bytes(size)} bytes of {size}, found a bomb"
        )
    starts = [info.header_offset for info in infos]
    if starts and starts[0] < 0:
        raise member_error(archive, infos[0].filename, "expected its bytes in the archive, found a place before it")
    for info, after in zip(infos, [*starts[1:], end], strict=False):
        name, raw = _names(archive, info)
        folder = name.endswith("/")
        if reason := _member_flaw(info, folder):
            raise member_error(archive, name, reason)
        head = os.pread(file, LOCAL.size, start + info.header_offset)
        if len(head) < LOCAL.size or head[:4] != b"PK\3\4":
            raise member_error(archive, name, "expected a local header where the directory says, found none")
        _, _, flags, method, _, _, crc, packed, unpacked, name_length, more = LOCAL.unpack(head)
        offset = info.header_offset + LOCAL.size + name_length + more
        local = os.pread(file, name_length, start + info.header_offset + LOCAL.size)
        if local != raw:
            raise member_error(archive, name, f"expected that name in its local header, found {local!r}")
        wide = {0xFFFFFFFF} if more else set()  # zip64 puts the number in the extra field
        later = {0} if flags & LATER else set()
        expected = (
            (method, {info.compress_type}),
            (flags & ENCRYPTED, {0}),
            (crc, {info.CRC} | later),
            (packed, {info.compress_size} | later | wide),
            (unpacked, {info.file_size} | later | wide),
        )
        if any(value not in right for value, right in expected):
            raise member_error(archive, name, "expected method, sizes and checksum as in the directory, found others")
        if offset + info.compress_size > after:
            raise member_error(
                archive, name, f"expected its bytes to end by {after}, found them to overlap what follows"
            )
        deflated = info.compress_type == zipfile.ZIP_DEFLATED
        yield ZipMember(name, start + offset, info.file_size, info.compress_size, info.CRC, deflated, folder)


def _names(archive: str, info: zipfile.ZipInfo) -> tuple[str, bytes]:
    """Return the name and its bytes; without the flag for UTF-8 the library decodes them as code page 437."""
    if info.flag_bits & UTF_8:
        return info.orig_filename, info.orig_filename.encode()
    raw = info.orig_filename.encode("cp437")
    try:
        return raw.decode(), raw
    except UnicodeDecodeError:
        raise member_error(archive, info.orig_filename, "expected a name in UTF-8, found other bytes") from None


def _member_flaw(info: zipfile.ZipInfo, folder: bool) -> str | None:
    kind = stat.S_IFMT(info.external_attr >> 16) if info.create_system == UNIX else 0
    if kind not in (0, stat.S_IFDIR if folder else stat.S_IFREG):
        return f"expected a regular file or a folder, found {stat.filemode(kind)[0]!r} (l is a link)"
    if info.flag_bits & ENCRYPTED:
        return "expected plain contents, found encrypted ones: unpack it with its password and name the folder"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"expected stored or deflated contents, found method {info.compress_type}: unpack it, name the folder"
    if info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size:
        return f"expected stored bytes of one size, found {info.compress_size} and {info.file_size}"
    if folder and info.file_size:
        return f"expected a folder without contents, found {info.file_size} bytes"
    if info.file_size > max_bytes(info.compress_size):
        return f"expected at most {max_bytes(info.compress_size)} bytes of {info.compress_size}, found {info.file_size}"
    return None
