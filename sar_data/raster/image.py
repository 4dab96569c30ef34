"""JPEG and PNG from bytes: their size from the header, and their pixels by GDAL's driver for just that format.

Sizes after ITU-T T.81 (JPEG, frame header SOF) and the PNG specification (ISO/IEC 15948, chunk IHDR).
"""

from __future__ import annotations

import struct
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping

import numpy as np

from sar_data.errors import BadRecord
from sar_data.raster.file_parts import FileParts
from sar_data.raster.gdal import MAX_PIXELS, decode
from sar_data.raster.ifd import ORIENTATION, TURNED, Malformed, read_directory, read_integers
from sar_data.raster.streams import check_deflated
from sar_data.record import Image
from sar_data.spec import Tree

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # every SOF marker; the three others are tables
_ENDS = (0x00, 0xD9, 0xDA)  # no marker, the end of the image, the beginning of its pixels: no frame comes any more
MAX_SEGMENTS = 1 << 14  # before a frame: cameras write some, a colour profile a few hundred
BLOCK = 1 << 16
_APP1 = 0xE1  # a segment that may be EXIF
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by the colour type of a PNG
_PALETTE, _OPAQUE = 3, (0, 2)  # colour types: numbers of colours; grey and colour without opacity
_ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""First row and column of each pass of an interlaced PNG, and the steps down and to the right."""


def dimensions(tree: Tree, path: str) -> tuple[int, int]:
    """Return (height, width) of a JPEG or PNG by its header, at any position; raise BadRecord. No pixel is read."""
    return _dimensions(FileParts.at(tree, path), path)


def _dimensions(file: FileParts, name: str) -> tuple[int, int]:
    if file.head[:8] == PNG and file.head[12:16] == b"IHDR" and len(file.head) >= 24:
        return int.from_bytes(file.head[20:24], "big"), int.from_bytes(file.head[16:20], "big")
    for segment, _ in _segments(file):
        if segment[1] in _FRAMES:
            return int.from_bytes(segment[5:7], "big"), int.from_bytes(segment[7:9], "big")
    raise BadRecord(name, f"expected a JPEG or PNG, found {file.head[:16]!r}: no frame in {file.size:,} bytes")


def _segments(file: FileParts) -> Iterator[tuple[bytes, int]]:
    """Yield the first nine bytes of each segment before the pixels of a JPEG, and where it begins.

    The frame may follow a preview, a colour profile or other segments.
    """
    at = 2 if file.head[:3] == JPEG else file.size
    for _ in range(MAX_SEGMENTS):
        segment = file.part(at, at + 9)
        if len(segment) < 9 or segment[0] != 0xFF or segment[1] in _ENDS:
            return
        if segment[1] == 0xFF:
            at = _find_marker(file, at)
            continue
        yield segment, at
        at += 2 + int.from_bytes(segment[2:4], "big")


def _find_marker(file: FileParts, at: int) -> int:
    """Return the start of a marker after any number of fill bytes 0xFF."""
    size = 64  # doubled in each step, since usually there is one fill byte
    while block := file.part(at, at + size):
        if remaining := block.lstrip(b"\xff"):
            return at + len(block) - len(remaining) - 1
        at, size = at + len(block), min(2 * size, BLOCK)
    return at


def read(data: bytes, name: str, *, shape: tuple[int, int] | None = None) -> Image:
    """Return the pixels [band, y, x] of a JPEG or PNG, as they are stored; raise BadRecord, naming `name`.

    `shape` is the (height, width) that is expected, such as that of an annotation.
    """
    return _decode(data, name, shape)[0]


def _decode(data: bytes, name: str, shape: tuple[int, int] | None) -> tuple[Image, dict[bytes, bytes]]:
    """Return the pixels as they are stored, and the chunks of a PNG."""
    file, chunks = FileParts.of(data), dict[bytes, bytes]()
    size = _dimensions(file, name)
    if shape is not None and size != shape:
        expected = f"{shape[0]}x{shape[1]} pixels, as its annotation says"
        raise BadRecord(name, f"expected {expected}, found {size[0]}x{size[1]}")
    if not 0 < size[0] * size[1] <= MAX_PIXELS:
        raise BadRecord(name, f"expected an image, found a header that claims {size[0]:,}x{size[1]:,} pixels")
    if data[:8] == PNG:
        chunks = _chunks(data, name)
        check_deflated(name, [chunks.get(b"IDAT", b"")], [_row_bytes(data, name)])
    _check_upright(chunks.get(b"eXIf", b"") if chunks else _exif(file), name)
    return decode(data, name, "PNG" if data[:8] == PNG else "JPEG"), chunks


def _exif(file: FileParts) -> bytes:
    """Return the EXIF of a JPEG, which is a TIFF, empty where there is none."""
    for segment, at in _segments(file):
        if segment[1] == _APP1 and file.part(at + 4, at + 10) == b"Exif\0\0":
            return file.part(at + 10, at + 2 + int.from_bytes(segment[2:4], "big"))
    return b""


def _check_upright(exif: bytes, name: str) -> None:
    """Raise BadRecord where an EXIF turns the picture: of programs that draw boxes some follow it, and some do not."""
    parts = FileParts.of(exif)
    try:
        (turned, *_) = read_integers(parts, read_directory(parts)[1], ORIENTATION, 1)
    except Malformed:  # none, or a damaged one
        return
    if turned > 1:
        raise BadRecord(name, TURNED.format(turned))


def _row_bytes(data: bytes, name: str) -> int:
    """Return how many bytes the rows of a PNG are: each begins with a byte that names its filter."""
    size, width, height, depth, colour, _, _, interlaced = struct.unpack(">I4xIIBBBBB", data[8:29])
    if size != 13 or (channels := _CHANNELS.get(colour)) is None or depth not in (1, 2, 4, 8, 16):
        raise BadRecord(name, f"expected a PNG, found one of colour type {colour} with {depth} bits")
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    sides = [(max(0, -(-(height - y) // down)), max(0, -(-(width - x) // right))) for y, x, down, right in passes]
    return sum(rows * (1 + -(-columns * channels * depth // 8)) for rows, columns in sides if columns)


def _chunks(data: bytes, name: str) -> dict[bytes, bytes]:
    """Return the chunks of a PNG that pixels depend on, those of one kind joined.

    Raises BadRecord unless every chunk is complete, which GDAL does not check.
    """
    at, kind, parts = 8, b"", defaultdict[bytes, list[bytes]](list)
    while kind != b"IEND":
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 12 + size
        if end > len(data):
            raise BadRecord(name, f"truncated: expected at least {end:,} bytes of PNG, found {len(data):,}")
        if zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise BadRecord(name, f"expected a whole PNG, found a wrong CRC-32 in its chunk {kind!r} at byte {at:,}")
        if kind in (b"IHDR", b"IDAT", b"PLTE", b"tRNS", b"eXIf"):
            parts[kind].append(data[at + 8 : end - 4])
        at = end
    return {kind: b"".join(several) for kind, several in parts.items()}


def depth(tree: Tree, path: str) -> str:
    """Return the type of the pixels of a JPEG or PNG by its header: uint8, or uint16 of a PNG of 16 bits."""
    head = tree.head(path, 26)
    return "uint16" if head[:8] == PNG and head[24:25] == b"\x10" else "uint8"


def grey(
    data: bytes,
    name: str,
    *,
    shape: tuple[int, int] | None = None,
    dtypes: tuple[str, ...] = ("uint8",),
    stored: bool = False,
) -> Image:
    """Return the one channel [1, y, x] of a grey picture of one of these types, or of one with three equal channels.

    Values are those that a PNG shows: by its palette, and from 0 to 255 where it has less than 8 bits; with `stored`,
    as they are stored. A fully opaque alpha channel is dropped. Raises BadRecord where channels differ, for a colour
    picture is no radar image, and where pixels are transparent.
    """
    pixels, chunks = _decode(data, name, shape)
    if pixels.dtype.name not in dtypes:
        bits = " or ".join(f"{8 * np.dtype(kind).itemsize}-bit" for kind in dtypes)
        raise BadRecord(name, f"expected {bits} pixels, found {pixels.dtype}")
    if chunks and not stored:
        pixels = _shown(pixels, chunks, name)
    if len(pixels) == 2 and not np.any(~pixels[1]):  # all bits of what is opaque are set
        pixels = pixels[:1]
    if len(pixels) in (3, 4) and all(np.array_equal(pixels[0], other) for other in pixels[1:3]):
        pixels = pixels[:1]
    if len(pixels) != 1:
        remedy = "write them as the bands of a GeoTIFF, if they are bands"
        raise BadRecord(name, f"expected one channel, or three equal ones, found {len(pixels)} that differ: {remedy}")
    return np.ascontiguousarray(pixels)


def _shown(pixels: Image, chunks: Mapping[bytes, bytes], name: str) -> Image:
    """Return the channels [band, y, x] that the stored numbers of a PNG stand for (ISO/IEC 15948, 11.2 and 11.3)."""
    depth, colour = chunks[b"IHDR"][8:10]
    transparent, hidden = chunks.get(b"tRNS", b""), False
    if colour == _PALETTE:
        plte = chunks.get(b"PLTE", b"")
        palette = np.frombuffer(plte, np.uint8, len(plte) // 3 * 3).reshape(-1, 3).T
        if (most := int(pixels.max())) >= palette.shape[1]:
            raise BadRecord(name, f"expected colours of a palette of {palette.shape[1]}, found the number {most}")
        opacity = np.frombuffer(transparent.ljust(palette.shape[1], b"\xff"), np.uint8)
        hidden, pixels = bool(np.any(opacity[pixels] != 0xFF)), palette[:, pixels[0]]
    elif colour in _OPAQUE and len(transparent) == 2 * len(pixels):
        hidden = bool(np.any(np.all(pixels == np.frombuffer(transparent, ">u2")[:, None, None], axis=0)))
    if depth < 8 and colour != _PALETTE:
        pixels = np.multiply(pixels, 0xFF // (2**depth - 1), dtype=np.uint8)
    if hidden:
        remedy = "write a GeoTIFF that declares a value of no data"
        raise BadRecord(name, f"expected opaque pixels, found some that a transparent colour hides: {remedy}")
    return pixels
