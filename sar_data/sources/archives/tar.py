"""The members of a plain tar, from its headers alone: ustar, GNU long names and pax paths; files and folders only.

Standard: POSIX.1-2017 pax interchange format; GNU tar manual, "Basic Tar Format". Where two headers of a member
contradict each other, readers differ in what they unpack, so such archives are refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from zlib import adler32

from sar_data.errors import SourceError
from sar_data.sources.archives.rules import EXTENDED, member_error
from sar_data.system.paths import PATH

BLOCK = 512
WINDOW = 3 * BLOCK  # a long name's header, the name and the header it is for
OLD_FILE, FILE, FOLDER, LONG_NAME, PAX, PAX_GLOBAL = b"\x0005Lxg"
AHEAD = 8 << 20
STRANGE = {
    "1": "a hard link",
    "2": "a symbolic link",
    "K": "a link with a long target",
    "3": "a character device",
    "4": "a block device",
    "6": "a pipe",
    "S": "a sparse file",
    "M": "a part of a split file",
    "D": "a GNU dump",
    "V": "a volume label",
}
IS_FOLDER = -1
Member = tuple[str, int, int]


def walk(archive: str, file: int, size: int) -> Iterator[Member]:
    """Yield (name, offset, bytes) of every file, and (name, 0, IS_FOLDER) of every folder.

    Raises SourceError, with the member's name, for anything but a sound archive of regular files and folders.
    """
    at = start = 0
    # Headers lie closer than a disk can jump, so all is read ahead: but not what is not on the disk at all.
    ahead = 0 if os.fstat(file).st_blocks * 512 > size // 2 else size
    window = b""
    long_heads: dict[bytes, int] = {}
    long_name: str | None = None
    extended: dict[str, str] = {}
    while True:
        if not start <= at <= start + len(window) - BLOCK:
            if at + AHEAD > ahead:
                os.posix_fadvise(file, max(at, ahead), AHEAD, os.POSIX_FADV_WILLNEED)
                ahead = max(at, ahead) + AHEAD
            start, window = at, os.pread(file, WINDOW, at)
        head = window[at - start : at - start + BLOCK]
        name = long_name or extended.get("path") or ""
        if len(head) < BLOCK:
            raise member_error(archive, name or f"byte {at}", f"expected a header or the end mark, found {size} bytes")
        if not head[0] and not any(head):
            if name or extended:
                raise member_error(archive, name or "pax header", "expected its file, found the end of the archive")
            return
        kind = head[156]
        if not name and kind != LONG_NAME:
            name = _short_name(archive, head)
        length = long_heads.get(head) if kind == LONG_NAME else None  # alike but for a few lengths
        if length is None:
            length = _length(archive, name, head)
            if kind == LONG_NAME and len(long_heads) < PATH:
                long_heads[head] = length
        content = at + BLOCK
        at = content + (length + 511 & -BLOCK)
        if content + length > size:
            raise member_error(archive, name, f"expected bytes up to {content + length}, found an archive of {size}")
        if kind == LONG_NAME:
            if long_name is not None or "path" in extended or length > PATH + 1:
                raise _name_error(archive, name or _short_name(archive, head))
            text = window[content - start : content - start + length]
            text = text if len(text) == length else os.pread(file, length, content)
            long_name = _text(archive, text.removesuffix(b"\0"))
        elif kind in (PAX, PAX_GLOBAL):
            if length > EXTENDED or (kind == PAX and (extended or long_name)):
                raise member_error(archive, name, "expected one small pax header a member, found more")
            fields = _pax(archive, name, os.pread(file, length, content))
            extended = _merge_pax(archive, name, kind, fields, extended)
        else:
            # Before ustar, a folder was a file with such a name.
            if kind in (FILE, OLD_FILE) and name[-1:] != "/":
                if extended:
                    _check_size(archive, name, length, extended)
                yield name, content, length
            else:
                _check_folder(archive, name, kind, length, extended)
                yield name.removesuffix("/"), 0, IS_FOLDER
            long_name, extended = None, {}


def _length(archive: str, name: str, head: bytes) -> int:
    """Return the size of a header's contents, after a check of its checksum.

    The checksum is the sum of all bytes, its own eight taken for blanks. The low half of adler32 is one plus a sum,
    modulo 65521, and much faster than sum().
    """
    field = head[148:156]
    if (_number(archive, name, field) + sum(field) - (adler32(head) & 0xFFFF) - 255) % 65521:
        raise member_error(archive, name, "expected a tar header whose checksum is right, found another")
    return _number(archive, name, head[124:136])


def _name_error(archive: str, name: str) -> SourceError:
    return member_error(archive, name, f"expected one name up to {PATH} bytes, found more")


def _merge_pax(archive: str, name: str, kind: int, fields: dict[str, str], extended: dict[str, str]) -> dict[str, str]:
    """Return the pax fields of the next member; a global pax header with such fields is refused."""
    if kind == PAX:
        return fields
    if fields:
        raise member_error(archive, name, f"expected a pax header for all that sets no {' and '.join(fields)}")
    return extended


def _check_size(archive: str, name: str, length: int, extended: dict[str, str]) -> None:
    if extended.get("size", str(length)) != str(length):
        reason = f"expected {length} bytes as in its header, found {extended['size']} in its pax header"
        raise member_error(archive, name, reason)


def _check_folder(archive: str, name: str, kind: int, length: int, extended: dict[str, str]) -> None:
    """Raise SourceError unless a header that is not a file's is a folder's."""
    if kind in (FILE, OLD_FILE):
        _check_size(archive, name, length, extended)
    elif kind != FOLDER:
        entry = STRANGE.get(chr(kind), f"an entry of type {chr(kind)!r}")
        raise member_error(archive, name, f"expected a regular file or a folder, found {entry}")
    if length:
        raise member_error(archive, name, f"expected a folder without contents, found {length} bytes")


def _short_name(archive: str, head: bytes) -> str:
    name = head[:100].partition(b"\0")[0]
    if head[345] and head[257:263] == b"ustar\0":  # GNU's own headers keep other things there
        name = head[345:500].partition(b"\0")[0] + b"/" + name
    return _text(archive, name)


def _number(archive: str, name: str, field: bytes) -> int:
    digits = field.strip(b" \0")
    if digits and not digits.translate(None, b"01234567"):  # int() alone takes signs and underscores as well
        return int(digits, 8)
    if field[0] == 0x80:  # GNU: beyond eleven octal digits, a binary number
        return int.from_bytes(field[1:], "big")
    raise member_error(archive, name, f"expected an octal number in its header, found {field!r}")


def _text(archive: str, name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise member_error(archive, repr(name), "expected a name in UTF-8, found other bytes") from None


def _pax(archive: str, name: str, data: bytes) -> dict[str, str]:
    """Return the records "LENGTH KEY=VALUE\\n" of a pax header; those that make links or sparse files are refused."""
    fields: dict[str, str] = {}
    at = 0
    while at < len(data):
        digits, _, _ = data[at : at + 8].partition(b" ")
        length = int(digits) if digits.isdigit() else 0
        record = data[at + len(digits) + 1 : at + length]
        key, equals, value = record[:-1].partition(b"=")
        if not equals or record[-1:] != b"\n" or at + length > len(data):
            raise member_error(archive, name, f"expected pax records, found {data[at : at + 40]!r}")
        at += length
        if key in (b"path", b"size"):
            if key.decode() in fields:
                raise member_error(archive, name, f"expected one pax {key.decode()}, found two")
            fields[key.decode()] = _text(archive, value)
        elif key == b"linkpath" or key.startswith(b"GNU.sparse"):
            raise member_error(archive, name, f"expected a regular file, found the pax key {_text(archive, key)}")
    return fields
