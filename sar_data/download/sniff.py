"""Check by its first bytes whether a file has the type that its name says."""

from __future__ import annotations

from sar_data.download.response import BY_HAND
from sar_data.errors import FetchError

HEAD_BYTES = 512
# Suffix → alternative bytes at an offset.
MAGIC: dict[str, tuple[int, tuple[bytes, ...]]] = {
    ".zip": (0, (b"PK\x03\x04", b"PK\x05\x06")),
    ".gz": (0, (b"\x1f\x8b",)),
    ".tgz": (0, (b"\x1f\x8b",)),
    ".bz2": (0, (b"BZh",)),
    ".zst": (0, (b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18")),
    ".rar": (0, (b"Rar!",)),
    ".tar": (257, (b"ustar", b"\0\0\0\0\0")),  # ustar and GNU, or the tar before both
    ".parquet": (0, (b"PAR1",)),
}
PAGE = (b"<!doctype html", b"<html")


def check_head(name: str, head: bytes) -> None:
    """Raise FetchError unless the first HEAD_BYTES of a file match its name."""
    if head.lstrip().lower().startswith(PAGE) and not name.endswith((".html", ".htm")):
        raise FetchError(f"{name}: expected the file, found an HTML page: a login, a form or an error. {BY_HAND}")
    for ending, (at, magics) in MAGIC.items():
        if name.endswith(ending) and not head[at:].startswith(magics):
            raise FetchError(f"{name}: expected a {ending} file, found one that begins {head[at : at + 16]!r}")
