"""How much an archive may become: what no honest one reaches."""

from __future__ import annotations

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
