"""A file whose pixels end early is refused, whatever compresses them: nothing is filled up in silence."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
import pytest

from sar_data.errors import BadRecord
from sar_data.raster import gdal, image, tiff
from sar_data.raster.file_parts import FileParts
from sar_data.raster.ifd import read_directory, read_numbers
from sar_data.record import Image
from tests.raster.test_tiff import by_gdal

PICTURE: Image = np.random.default_rng(0).integers(1, 255, (1, 64, 48), dtype=np.uint8)
COLOUR: Image = np.random.default_rng(0).integers(1, 255, (3, 64, 48), dtype=np.uint8)
TILES = {"tiled": True, "blockxsize": 16, "blockysize": 16}
END = b"\xff\xd9"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(rows: bytes, *, depth: int = 8, colour: int = 0, interlaced: int = 0, cut: int = 0) -> bytes:
    """Return a PNG of 64x48 pixels that holds these bytes of rows, its zlib stream `cut` bytes short."""
    head = struct.pack(">IIBBBBB", 48, 64, depth, colour, 0, 0, interlaced)
    stream = zlib.compress(rows)
    stream = stream[: len(stream) - cut]
    half = len(stream) // 2
    data = chunk(b"IDAT", stream[:half]) + chunk(b"IDAT", stream[half:])
    return image.PNG + chunk(b"IHDR", head) + data + chunk(b"IEND", b"")


def rows_of(picture: Image) -> bytes:
    return b"".join(b"\0" + row.tobytes() for row in picture)


def test_a_png_is_read_as_it_was_written() -> None:
    assert np.array_equal(image.read(png(rows_of(PICTURE[0])), "a.png"), PICTURE)
    assert np.array_equal(image.read(gdal.encode(COLOUR, "PNG"), "a.png"), COLOUR)


@pytest.mark.parametrize("rows", [0, 1, 40, 63])
def test_a_png_with_a_short_stream_is_refused(rows: int) -> None:
    with pytest.raises(BadRecord, match=rf"a\.png: truncated: expected 3,136 bytes in block 0, found {rows * 49:,}"):
        image.read(png(rows_of(PICTURE[0, :rows])), "a.png")


def test_a_png_with_an_endless_stream_is_refused() -> None:
    with pytest.raises(BadRecord, match=r"a\.png: truncated: the zlib stream of block 0 has no end"):
        image.read(png(rows_of(PICTURE[0]), cut=2), "a.png")


@pytest.mark.parametrize(
    ("depth", "colour", "interlaced", "size"),
    [
        (1, 0, 0, 64 * 7),
        (16, 0, 0, 64 * 97),
        (8, 2, 0, 64 * 145),
        (8, 6, 0, 64 * 193),
        # The seven passes of 8x6, 8x6, 8x12, 16x12, 16x24, 32x24 and 32x48 pixels.
        (8, 0, 1, 8 * 7 + 8 * 7 + 8 * 13 + 16 * 13 + 16 * 25 + 32 * 25 + 32 * 49),
    ],
)
def test_every_form_of_png_has_its_own_number_of_bytes(depth: int, colour: int, interlaced: int, size: int) -> None:
    form = {"depth": depth, "colour": colour, "interlaced": interlaced}
    assert image.read(png(bytes(size), **form), "a.png").shape[1:] == (64, 48)
    with pytest.raises(BadRecord, match=f"expected {size:,} bytes in block 0, found {size - 1:,}"):
        image.read(png(bytes(size - 1), **form), "a.png")


@pytest.mark.parametrize("cut", [10, 700, 1137])
@pytest.mark.parametrize("end", [b"", END])
def test_a_jpeg_that_ends_early_is_refused_with_or_without_its_end_mark(cut: int, end: bytes) -> None:
    data = gdal.encode(PICTURE, "JPEG")
    with pytest.raises(BadRecord, match=r"a\.jpg: expected a readable JPEG, GDAL says: .*([Pp]remature end)"):
        image.read(data[:-cut] + end, "a.jpg")


def test_a_jpeg_with_an_unusual_header_is_read() -> None:
    data = gdal.encode(PICTURE, "JPEG")
    odd = data.replace(b"JFIF\0\1", b"JFIF\0\7")
    assert odd != data
    for other in (odd, data[:-2], data + b"abc"):
        assert np.array_equal(image.read(other, "a.jpg"), image.read(data, "b.jpg"))


def shortened(data: bytes, share: float) -> bytes:
    """Return a TIFF whose last block has only a share of its bytes, as its directory says; others follow them."""
    _, entries = read_directory(FileParts.of(data))
    places, sizes = (324, 325) if 324 in entries else (273, 279)
    start, size = (int(read_numbers(FileParts.of(data), entries, tag)[-1]) for tag in (places, sizes))
    kept, other, entry = int(size * share), bytearray(data), entries[sizes]
    width = struct.calcsize(entry.code)
    struct.pack_into(entry.order + entry.code, other, entry.stop - width, kept)
    other[start + kept : start + size] = b"\xaa" * (size - kept)
    return bytes(other)


@pytest.mark.parametrize("share", [0.9, 0.5, 0.1])
@pytest.mark.parametrize("layout", [{}, TILES], ids=["strips", "tiles"])
@pytest.mark.parametrize(
    "codec",
    [
        {},
        {"ENDIANNESS": "BIG"},
        {"compress": "deflate", "predictor": 2},
        {"compress": "lzw"},
        {"compress": "packbits"},
        {"compress": "zstd"},
        {"compress": "jpeg"},
        {"compress": "lerc"},
        {"compress": "webp", "WEBP_LOSSLESS": True},
    ],
    ids=str,
)
def test_a_block_of_a_tiff_that_ends_early_is_refused(
    codec: dict[str, Any], layout: dict[str, Any], share: float
) -> None:
    picture = COLOUR if codec.get("compress") == "webp" else PICTURE
    data = by_gdal(picture, **codec, **layout, **({"interleave": "pixel"} if len(picture) == 3 else {}))
    facts: dict[str, Any] = {"shape": (64, 48), "dtypes": ("uint8",), "bands": len(picture)}
    whole = tiff.read(data, "a.tif", **facts).pixels
    assert codec.get("compress") == "jpeg" or np.array_equal(whole, picture)
    with pytest.raises(BadRecord, match=r"a\.tif: "):
        tiff.read(shortened(data, share), "a.tif", **facts)


@pytest.mark.parametrize("layout", [{"blockysize": 8}, TILES], ids=["strips", "tiles"])
def test_the_error_of_a_short_stream_has_its_size(layout: dict[str, Any]) -> None:
    data = bytearray(by_gdal(PICTURE, compress="deflate", **layout))
    _, entries = read_directory(FileParts.of(bytes(data)))
    places, sizes = (entries[tag] for tag in ((324, 325) if 324 in entries else (273, 279)))
    stream = zlib.compress(bytes(100))
    for entry, value in ((places, len(data)), (sizes, len(stream))):
        struct.pack_into(entry.order + entry.code, data, entry.stop - struct.calcsize(entry.code), value)
    need, block = (256, 11) if layout is TILES else (384, 7)
    with pytest.raises(BadRecord, match=rf"a\.tif: truncated: expected {need} bytes in block {block}, found 100"):
        tiff.read(bytes(data + stream), "a.tif", shape=(64, 48), dtypes=("uint8",), bands=1)


@pytest.mark.parametrize("codec", [{}, {"compress": "lzw"}])
def test_a_tiff_that_lacks_blocks_is_refused(codec: dict[str, Any]) -> None:
    data = bytearray(by_gdal(PICTURE, blockysize=8, **codec))
    at = data.index(struct.pack("<HHI", 257, 3, 1)) + 8
    struct.pack_into("<H", data, at, 72)
    with pytest.raises(BadRecord, match="8 blocks of 8x48 pixels for 1 band of 72x48 pixels, expected 9"):
        tiff.read(bytes(data), "a.tif", shape=(72, 48), dtypes=("uint8",), bands=1)
