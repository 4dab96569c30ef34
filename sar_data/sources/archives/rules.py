"""What a member of an archive may be called, and the words with which one is refused."""

from __future__ import annotations

import re
import unicodedata

from sar_data.errors import SourceError

RATIO = 250  # times its size: speckle hardly compresses, labels reach 20, deflate itself ends at 1032
SMALL = 64 << 20  # bytes that do no harm, whatever they were packed into
NAME = 4096  # bytes: Linux's PATH_MAX
PART = 255  # bytes between two slashes: what every common file system holds
DEPTH = 64  # folders
MEMBERS = 1 << 26
EXTENDED = 1 << 20  # bytes of a tar's pax header
WINDOW = 1 << 27  # bytes of memory that a zstd archive may ask for: what zstd itself allows without --long


def most_bytes(packed: int) -> int:
    """Return the most bytes that so many may become."""
    return max(SMALL, RATIO * packed)


CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")
DRIVE = re.compile(r"[A-Za-z]:")


def flaw(name: str) -> str | None:
    """Return why a name may not be used, None for one that stays below the root on every system."""
    parts = name.split("/")
    if name.startswith("/") or DRIVE.match(name):
        return "expected a relative name, found an absolute one"
    if ".." in parts:
        return "expected a name below the root, found one that climbs out of it"
    if CONTROL.search(name):
        return "expected a plain name with forward slashes, found a backslash or a control character"
    if "" in parts or "." in parts:
        return "expected a name with something between any two slashes, found nothing or a dot"
    if len(parts) > DEPTH or len(name.encode()) > NAME or any(len(p.encode()) > PART for p in parts):
        return f"expected at most {DEPTH} folders of {PART} bytes, found {len(name.encode())} bytes"
    return None


def folded(name: str) -> bytes:
    """Return what two names share that a file system without case or with normal forms takes for one."""
    if name.isascii():
        return name.lower().encode()
    return unicodedata.normalize("NFC", name.casefold()).encode()


def refused(archive: str, member: str, reason: str) -> SourceError:
    """Return the error for an archive that is damaged or means harm; nothing of it is used."""
    shown = member if len(member) <= 200 else f"{member[:200]}…"
    return SourceError(
        f"{archive}: member {shown!r}: {reason}. The archive is damaged, or not what it says it is: "
        "fetch it again from its publisher and compare the checksum."
    )
