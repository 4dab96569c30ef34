"""TIFF as MATLAB writes it: the directory lies behind the pixels."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sar_data.record import Image


def write(path: Path, image: Image) -> None:
    """Write a TIFF [band, y, x] with its directory behind the pixels; bytes are packed in runs (PackBits)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bands, height, width = image.shape
    rows = [np.ascontiguousarray(row).tobytes() for row in image.transpose(1, 2, 0)]
    packed = image.dtype == np.uint8
    pixels = b"".join(map(_pack, rows) if packed else rows)
    start = 8 + len(pixels) + len(pixels) % 2
    bits, kind, more = image.itemsize * 8, 1 if packed else 3, start + 2 + 12 * 10 + 4
    tags: Sequence[tuple[int, int, int, int]] = (
        (256, 3, 1, width),
        (257, 3, 1, height),
        (258, 3, bands, (bits, bits | bits << 16, 0, more)[bands - 1]),
        (259, 3, 1, 32773 if packed else 1),
        (262, 3, 1, 1),
        (273, 4, 1, 8),
        (277, 3, 1, bands),
        (278, 3, 1, height),
        (279, 4, 1, len(pixels)),
        (339, 3, bands, (kind, kind | kind << 16, 0, more + 8)[bands - 1]),
    )
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    extra = struct.pack("<8H", *[bits] * 4, *[kind] * 4) if bands == 4 else b""
    path.write_bytes(struct.pack("<2sHI", b"II", 42, start) + pixels + bytes(len(pixels) % 2) + directory + extra)


def _pack(row: bytes) -> bytes:
    """Return a row as literal runs of at most 128 bytes (TIFF 6.0, section 9)."""
    return b"".join(bytes([len(run) - 1]) + run for run in (row[i : i + 128] for i in range(0, len(row), 128)))
