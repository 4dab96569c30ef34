"""Limits for the members of an archive, and the error for one that breaks them."""

from __future__ import annotations

import unicodedata

from sar_data.errors import SourceError

RATIO = 250  # times its size: speckle hardly compresses, labels reach 20, deflate itself ends at 1032
SMALL = 64 << 20  # bytes that are always allowed
MEMBERS = 1 << 26
EXTENDED = 1 << 20  # bytes of a tar's pax header
WINDOW = 1 << 27  # bytes of memory that a zstd archive may ask for: what zstd itself allows without --long


def max_bytes(packed: int) -> int:
    """Return the maximum decompressed size of so many bytes."""
    return max(SMALL, RATIO * packed)


def fold_name(name: str) -> bytes:
    """Return a key that is equal for names that a file system without case, or with normal forms, treats as one."""
    if name.isascii():
        return name.lower().encode()
    return unicodedata.normalize("NFC", name.casefold()).encode()


def member_error(archive: str, member: str, reason: str) -> SourceError:
    """Return the error for a damaged or hostile archive; nothing of it is used."""
    shown = member if len(member) <= 200 else f"{member[:200]}…"
    return SourceError(
        f"{archive}: member {shown!r}: {reason:.300}. The archive is damaged, or not what it says it is: "
        "fetch it again from its publisher and compare the checksum."
    )
