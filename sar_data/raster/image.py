"""JPEG and PNG from bytes: their size from the header, and their pixels by GDAL's driver for just that format.

Sizes after ITU-T T.81 (JPEG, frame header SOF) and the PNG specification (ISO/IEC 15948, chunk IHDR).
"""

from __future__ import annotations

import zlib

import numpy as np

from sar_data.errors import BadRecord
from sar_data.record import Image

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # every SOF marker; the three others are tables
MOST_PIXELS = 1 << 30  # more than any scene of the field; a header that claims more is not believed


def dimensions(data: bytes, name: str) -> tuple[int, int]:
    """Return (height, width) from the head of a JPEG or PNG; raise BadRecord where it does not tell."""
    if data[:8] == PNG and data[12:16] == b"IHDR":
        return int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")
    at = 2 if data[:3] == JPEG else len(data)
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _FRAMES:
            return int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    raise BadRecord(name, f"expected a JPEG or PNG, found {data[:16]!r}: no frame in the first {len(data):,} bytes")


def read(data: bytes, name: str, *, shape: tuple[int, int] | None = None) -> Image:
    """Return the pixels [band, y, x] of a JPEG or PNG, as they are stored; raise BadRecord, naming `name`.

    `shape` is the (height, width) that is expected, such as that of an annotation.
    """
    found = dimensions(data, name)
    if shape is not None and found != shape:
        wanted = f"{shape[0]}x{shape[1]} pixels, as its annotation says"
        raise BadRecord(name, f"expected {wanted}, found {found[0]}x{found[1]}")
    if found[0] * found[1] > MOST_PIXELS:
        raise BadRecord(name, f"expected an image, found a header that claims {found[0]:,}x{found[1]:,} pixels")
    from sar_data.raster.gdal import decoded

    if data[:8] == PNG:
        _check_chunks(data, name)
    return decoded(data, name, "PNG" if data[:8] == PNG else "JPEG")


def _check_chunks(data: bytes, name: str) -> None:
    """Raise BadRecord unless every chunk of a PNG is whole: GDAL decodes a cut or damaged one without a word."""
    at, kind = 8, b""
    while kind != b"IEND":
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 12 + size
        if end > len(data):
            raise BadRecord(name, f"truncated: expected at least {end:,} bytes of PNG, found {len(data):,}")
        if zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise BadRecord(name, f"expected a whole PNG, found a wrong CRC-32 in its chunk {kind!r} at byte {at:,}")
        at = end


def grey(data: bytes, name: str, *, shape: tuple[int, int] | None = None) -> Image:
    """Return the one channel [1, y, x] of an 8-bit grey picture, or of one whose three channels are equal.

    Raise BadRecord where they differ: a colour picture is no radar image.
    """
    pixels = read(data, name, shape=shape)
    if pixels.dtype != np.uint8:
        raise BadRecord(name, f"expected 8-bit pixels, found {pixels.dtype}")
    if len(pixels) in (3, 4) and all(np.array_equal(pixels[0], other) for other in pixels[1:3]):
        pixels = pixels[:1]
    if len(pixels) != 1:
        raise BadRecord(name, f"expected one channel, or three equal ones, found {len(pixels)} that differ")
    return np.ascontiguousarray(pixels)
