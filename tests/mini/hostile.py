"""Archives that mean harm or are damaged, byte by byte: name → (file name, contents, the member to be named, why)."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import zstandard

from tests.mini.archives import tar_bytes, zip_bytes

END = bytes(1024)
EVIL = b"../canary.txt"


def header(
    name: bytes = b"a.txt",
    size: int | bytes = 1,
    kind: bytes = b"0",
    link: bytes = b"",
    prefix: bytes = b"",
    magic: bytes = b"ustar\00000",
    wrong: int = 0,
) -> bytes:
    length = size if isinstance(size, bytes) else b"%011o\0" % size
    head = bytearray(512)
    for at, field in (
        (0, name),
        (100, b"0000644\0"),
        (108, b"0000000\0"),
        (116, b"0000000\0"),
        (124, length),
        (136, b"00000000000\0"),
        (148, b" " * 8),
        (156, kind),
        (157, link),
        (257, magic),
        (345, prefix),
    ):
        head[at : at + len(field)] = field
    head[148:156] = b"%06o\0 " % (sum(head) + wrong)
    return bytes(head)


def member(name: bytes = b"a.txt", data: bytes = b"x", **fields: object) -> bytes:
    return header(name, **{"size": len(data), **fields}) + data + bytes(-len(data) % 512)  # type: ignore[arg-type]


def pax(*records: tuple[bytes, bytes], kind: bytes = b"x") -> bytes:
    lines = b""
    for key, value in records:
        length = len(key) + len(value) + 3
        while len(b"%d" % length) + len(key) + len(value) + 3 != length:
            length += 1
        lines += b"%d %s=%s\n" % (length, key, value)
    return member(b"PaxHeaders/a.txt", lines, kind=kind)


def long_name(name: bytes, kind: bytes = b"L") -> bytes:
    return member(b"././@LongLink", name + b"\0", kind=kind, magic=b"ustar  \0")


def patched(data: bytes, *changes: tuple[int, bytes]) -> bytes:
    """Change bytes at offsets that count from the first local header, or from the directory where negative."""
    raw = bytearray(data)
    directory = data.index(b"PK\1\2")
    for at, new in changes:
        start = at if at >= 0 else directory - at
        raw[start : start + len(new)] = new
    return bytes(raw)


def zip_of(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED, **fields: object) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            for field, value in fields.items():
                setattr(info, field, value)
            archive.writestr(info, data)
    return raw.getvalue()


def twice() -> bytes:
    """Return a zip with two entries in its directory for one local header: what makes a small zip a flat bomb."""
    data = zip_of(("a.txt", b"x" * 100))
    directory, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    entry, tail = data[directory:end], bytearray(data[end:])
    tail[8:12] = struct.pack("<2H", 2, 2)
    tail[12:16] = struct.pack("<I", 2 * len(entry))
    return data[:directory] + entry + entry + bytes(tail)


def shorter(data: bytes) -> bytes:
    """Return a deflated member's zip that claims ten bytes fewer than it holds, with a right checksum for those."""
    raw = zip_of(("a.txt", data), method=zipfile.ZIP_DEFLATED)
    size, crc = struct.pack("<I", len(data) - 10), struct.pack("<I", zlib.crc32(data[:-10]))
    return patched(raw, (22, size), (14, crc), (-24, size), (-16, crc))


@dataclass(frozen=True)
class Hostile:
    file: str
    make: Callable[[], bytes]
    member: str
    reason: str
    at_read: bool = False


def _tar(data: Callable[[], bytes], named: str, reason: str) -> Hostile:
    return Hostile("evil.tar", lambda: data() + END, named, reason)


ZEROS = bytes(100 << 20)
HOSTILE: dict[str, Hostile] = {
    "tar: a symbolic link": _tar(lambda: member(b"a", b"", kind=b"2", link=b"/etc/passwd"), "a", "symbolic link"),
    "tar: a link, and a file through it": _tar(
        lambda: member(b"a", b"", kind=b"2", link=b"..") + member(b"a/canary.txt"), "a", "symbolic link"
    ),
    "tar: a hard link": _tar(lambda: member(b"a", b"", kind=b"1", link=EVIL), "a", "hard link"),
    "tar: a link with a long target": _tar(lambda: long_name(b"t" * 200, b"K") + member(), "@LongLink", "long target"),
    "tar: a character device": _tar(lambda: member(b"null", b"", kind=b"3"), "null", "character device"),
    "tar: a block device": _tar(lambda: member(b"disk", b"", kind=b"4"), "disk", "block device"),
    "tar: a pipe": _tar(lambda: member(b"pipe", b"", kind=b"6"), "pipe", "a pipe"),
    "tar: a sparse file": _tar(lambda: member(b"thin", b"", kind=b"S", magic=b"ustar  \0"), "thin", "sparse"),
    "tar: a sparse file of pax": _tar(lambda: pax((b"GNU.sparse.major", b"1")) + member(), "a.txt", "GNU.sparse"),
    "tar: a part of a split file": _tar(lambda: member(kind=b"M"), "a.txt", "part of a split"),
    "tar: a type of its own": _tar(lambda: member(kind=b"Z"), "a.txt", "type 'Z'"),
    "tar: an absolute name": _tar(lambda: member(b"/etc/cron.d/x"), "/etc/cron.d/x", "absolute"),
    "tar: a name that climbs": _tar(lambda: member(EVIL), "../canary.txt", "found one with `..`"),
    "tar: a name that climbs from within": _tar(
        lambda: member(b"a/../../canary.txt"), "a/../../canary.txt", "found one with `..`"
    ),
    "tar: a folder that climbs": _tar(lambda: member(b"a/../..", b"", kind=b"5"), "a/../..", "found one with `..`"),
    "tar: a prefix that climbs": _tar(
        lambda: member(b"canary.txt", prefix=b".."), "../canary.txt", "found one with `..`"
    ),
    "tar: a long name that climbs": _tar(lambda: long_name(EVIL) + member(), "../canary.txt", "found one with `..`"),
    "tar: a pax name that climbs": _tar(
        lambda: pax((b"path", EVIL)) + member(), "../canary.txt", "found one with `..`"
    ),
    "tar: a drive letter": _tar(lambda: member(b"C:/x"), "C:/x", "absolute"),
    "tar: backslashes": _tar(lambda: member(b"..\\canary.txt"), "canary.txt", "backslash"),
    "tar: NUL in a long name": _tar(lambda: long_name(b"a\0b") + member(), "a", "control"),
    "tar: NUL in a pax name": _tar(lambda: pax((b"path", b"a\0/../b")) + member(), "a", "with `..`|control"),
    "tar: an empty name": _tar(lambda: member(b""), "", "a name between"),
    "tar: a name not in UTF-8": _tar(lambda: member(b"\xd6l.txt"), "xd6l.txt", "UTF-8"),
    "tar: a giant name": _tar(lambda: pax((b"path", b"a/" * 2500 + b"b")) + member(), "a/a/a", "at most"),
    "tar: a part of a name too long": _tar(lambda: pax((b"path", b"b" * 300)) + member(), "bbb", "at most"),
    "tar: a giant long name": _tar(lambda: long_name(b"n" * 5000) + member(), "@LongLink", "one name"),
    "tar: two long names": _tar(lambda: long_name(b"a") + long_name(b"b") + member(), "a", "one name"),
    "tar: a long name and a pax name": _tar(lambda: pax((b"path", b"a")) + long_name(b"b") + member(), "a", "one name"),
    "tar: a long name of nothing": _tar(lambda: long_name(b"lost"), "lost", "end of the archive"),
    "tar: two pax names": _tar(lambda: pax((b"path", b"a"), (b"path", b"b")) + member(), "a.txt", "found two"),
    "tar: two pax headers": _tar(lambda: pax((b"path", b"a")) + pax((b"path", b"b")) + member(), "a", "one small pax"),
    "tar: a pax name for all": _tar(lambda: pax((b"path", b"a"), kind=b"g") + member(), "a.txt", "sets no path"),
    "tar: a pax size that differs": _tar(lambda: pax((b"size", b"1024")) + member(), "a.txt", "1024 in its pax"),
    "tar: a pax link": _tar(lambda: pax((b"linkpath", b"/etc")) + member(), "a.txt", "linkpath"),
    "tar: pax records that lie": _tar(lambda: member(b"p", b"99 path=a\n", kind=b"x") + member(), "p", "pax records"),
    "tar: pax records without end": _tar(lambda: member(b"p", b"0 a=b\n", kind=b"x") + member(), "p", "pax records"),
    "tar: a member twice": _tar(lambda: member() + member(data=b"yy"), "a.txt", "differ in more than case"),
    "tar: names that differ in case": _tar(lambda: member() + member(b"A.txt"), "a.txt", "differ in more than case"),
    "tar: folders that differ in case": _tar(lambda: member(b"d/a") + member(b"D/b"), "d", "differ in more than case"),
    "tar: names that differ in their normal form": _tar(
        lambda: member("ü".encode()) + member("u\u0308".encode()), "ü", "differ in more than case"
    ),
    "tar: a file that is a folder": _tar(lambda: member(b"a") + member(b"a/b"), "a", "differ in more than case"),
    "tar: a folder with contents": _tar(lambda: member(b"a", b"xyz", kind=b"5"), "a", "without contents"),
    "tar: a wrong checksum": _tar(lambda: header(wrong=1) + bytes(512), "a.txt", "checksum"),
    "tar: a size that is no number": _tar(lambda: header(size=b"+0000000001\0") + bytes(512), "a.txt", "octal"),
    "tar: a size with NUL in it": _tar(lambda: header(size=b"1\0000000000\0") + bytes(512), "a.txt", "octal"),
    "tar: a negative size": _tar(lambda: header(size=b"\xff" * 12) + bytes(512), "a.txt", "octal"),
    "tar: a size of 37 GiB": _tar(
        lambda: header(size=b"\x80" + (37 << 30).to_bytes(11, "big")), "a.txt", "bytes up to"
    ),
    "tar: cut off in a file": Hostile("evil.tar", lambda: member(data=bytes(2000))[:1500], "a.txt", "bytes up to"),
    "tar: cut off after a file": Hostile("evil.tar", member, "byte 1024", "the end mark"),
    "zip: a symbolic link": Hostile(
        "evil.zip", lambda: zip_of(("a", b"/etc"), create_system=3, external_attr=0o120777 << 16), "a", "'l'"
    ),
    "zip: a device": Hostile(
        "evil.zip", lambda: zip_of(("a", b""), create_system=3, external_attr=0o020666 << 16), "a", "'c'"
    ),
    "zip: a name that climbs": Hostile(
        "evil.zip", lambda: zip_of(("../canary.txt", b"")), "../canary.txt", "found one with `..`"
    ),
    "zip: an absolute name": Hostile("evil.zip", lambda: zip_of(("/etc/x", b"")), "/etc/x", "absolute"),
    "zip: a drive letter": Hostile("evil.zip", lambda: zip_of(("C:x", b"")), "C:x", "absolute"),
    "zip: backslashes": Hostile("evil.zip", lambda: zip_of(("..!x", b"")).replace(b"..!x", b"..\\x"), "x", "backslash"),
    "zip: NUL in a name": Hostile("evil.zip", lambda: zip_of(("a!b", b"")).replace(b"a!b", b"a\0b"), "a", "control"),
    "zip: two names of a member": Hostile(
        "evil.zip", lambda: patched(zip_of(("a.txt", b"x")), (30, b"b.txt")), "a.txt", "that name in its local header"
    ),
    "zip: two methods of a member": Hostile(
        "evil.zip", lambda: patched(zip_of(("a.txt", b"x")), (8, b"\x08")), "a.txt", "as in the directory"
    ),
    "zip: two sizes of a member": Hostile(
        "evil.zip", lambda: patched(zip_of(("a.txt", b"x")), (22, b"\x09")), "a.txt", "as in the directory"
    ),
    "zip: two checksums of a member": Hostile(
        "evil.zip", lambda: patched(zip_of(("a.txt", b"x")), (14, b"\0\0\0\0")), "a.txt", "as in the directory"
    ),
    "zip: no local header": Hostile(
        "evil.zip", lambda: patched(zip_of(("a.txt", b"x"), ("b.txt", b"x")), (36, b"\0")), "b.txt", "a local header"
    ),
    "zip: members that overlap": Hostile("evil.zip", twice, "a.txt", "overlap"),
    "zip: a member beyond the end": Hostile(
        "evil.zip",
        lambda: patched(zip_of(("a.txt", b"x")), *((at, b"\xff\0\0\0") for at in (18, 22, -20, -24))),
        "a.txt",
        "overlap",
    ),
    "zip: encrypted": Hostile(
        "evil.zip", lambda: patched(zip_of(("a.txt", b"x")), (6, b"\1"), (-8, b"\1")), "a.txt", "password"
    ),
    "zip: an unknown method": Hostile(
        "evil.zip", lambda: zip_of(("a.txt", b"x"), method=zipfile.ZIP_LZMA), "a.txt", "method 14"
    ),
    "zip: a stored member of two sizes": Hostile(
        "evil.zip", lambda: patched(zip_of(("a.txt", b"xy")), (22, b"\x09"), (-24, b"\x09")), "a.txt", "of one size"
    ),
    "zip: a bomb": Hostile(
        "evil.zip", lambda: zip_bytes({"a.txt": ZEROS}, zipfile.ZIP_DEFLATED), "a.txt", "bomb|at most"
    ),
    "zip: a flat bomb": Hostile(
        "evil.zip", lambda: zip_bytes({f"{i}": ZEROS[: 30 << 20] for i in range(4)}, zipfile.ZIP_DEFLATED), "0", "bomb"
    ),
    "zip: a nested bomb": Hostile(
        "evil.zip", lambda: zip_bytes({"in.zip": zip_bytes({"a.txt": ZEROS}, zipfile.ZIP_DEFLATED)}), "a.txt", "bomb"
    ),
    "zip: a deflated zip": Hostile(
        "evil.zip", lambda: zip_bytes({"in.zip": zip_bytes({"a": b""})}, zipfile.ZIP_DEFLATED), "in.zip", "deflated"
    ),
    "zip: a hostile zip within": Hostile(
        "evil.zip",
        lambda: zip_bytes({"in.zip": zip_of(("../../canary.txt", b""))}),
        "../../canary.txt",
        "found one with `..`",
    ),
    "zip: a member twice": Hostile(
        "evil.zip",
        lambda: zip_of(("a.txt", b""), ("b.txt", b"")).replace(b"b.txt", b"a.txt"),
        "a.txt",
        "in more than case",
    ),
    "zip: names that differ in case": Hostile(
        "evil.zip", lambda: zip_of(("a.txt", b""), ("A.TXT", b"")), "a.txt", "in more than case"
    ),
    "zip: cut off": Hostile("evil.zip", lambda: zip_of(("a.txt", bytes(999)))[:-30], "evil.zip", "a whole zip"),
    "zip: wrong contents": Hostile(
        "evil.zip", lambda: patched(zip_of(("a.txt", b"good")), (35, b"evil")), "a.txt", "checksum", at_read=True
    ),
    "zip: more than it claims": Hostile(
        "evil.zip", lambda: shorter(bytes(range(200))), "a.txt", "found more", at_read=True
    ),
    "zip: damaged deflate": Hostile(
        "evil.zip",
        lambda: patched(zip_of(("a.txt", b"good" * 9), method=zipfile.ZIP_DEFLATED), (35, b"\xff\xff")),
        "a.txt",
        "cannot be read",
        at_read=True,
    ),
    "gz: cut off": Hostile("evil.tar.gz", lambda: gzip.compress(member() + END)[:-9], "evil.tar.gz", "damage after"),
    "gz: a wrong checksum": Hostile(
        "evil.tar.gz", lambda: gzip.compress(member() + END)[:-8] + bytes(8), "evil.tar.gz", "damage after"
    ),
    "gz: a bomb": Hostile("evil.tar.gz", lambda: gzip.compress(member(data=ZEROS) + END), "evil.tar.gz", "a bomb"),
    "gz: a link": Hostile(
        "evil.tar.gz", lambda: gzip.compress(member(b"a", b"", kind=b"2", link=b"/etc") + END), "a", "symbolic link"
    ),
    "zst: cut off": Hostile(
        "evil.tar.zst",
        lambda: zstandard.compress(member(data=bytes(range(256)) * 999) + END)[:-40],
        "evil.tar.zst",
        "cut off|damage",
    ),
    "zst: a bomb": Hostile(
        "evil.tar.zst", lambda: zstandard.compress(member(data=ZEROS) + END), "evil.tar.zst", "a bomb"
    ),
    "zst: a window of 2 GiB": Hostile(
        "evil.tar.zst", lambda: b"\x28\xb5\x2f\xfd\x00\xa8" + bytes(30), "evil.tar.zst", "damage after"
    ),
    "a web page": Hostile("evil.tar.gz", lambda: b"<!DOCTYPE html><html>", "evil.tar.gz", "found an HTML page"),
    "a gzip of no tar": Hostile("evil.tar.gz", lambda: gzip.compress(b"x"), "evil.tar.gz", "cut off"),
    "a rar": Hostile("evil.rar", lambda: b"Rar!\x1a\x07\x01\0", "evil.rar", "unrar"),
    "a later part": Hostile("evil.tar.gzab", lambda: b"x", "evil.tar.gzab", "the part before it"),
    "part of a zip": Hostile("evil.zip.part02", lambda: zip_bytes({}), "evil.zip", "the part before it"),
    "a text": Hostile("evil.txt", lambda: b"x", "evil.txt", "another file"),
    "an empty file": Hostile("evil.tar", lambda: b"", "evil.tar", "found an empty one"),
    "tar: GNU names in a plain one": Hostile(
        "evil.tar", lambda: tar_bytes({"../" + "x" * 200: b""}, tarfile.GNU_FORMAT), "../xxx", "found one with `..`"
    ),
}
