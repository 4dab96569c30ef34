"""What a header says of the stored numbers is followed, or the file is refused: no picture is read as another one."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from sar_data.errors import BadRecord, SourceError
from sar_data.raster import any_format, image, tiff
from sar_data.raster.gdal import encode
from sar_data.raster.scene import Scene
from sar_data.sources.tree import Folder
from tests.raster.test_tiff import by_gdal

GREY = np.random.default_rng(0).integers(0, 256, (1, 12, 16), dtype=np.uint8)
RAMP = {value: (255 - value,) * 3 for value in range(256)}
COLOURS = {value: (value, 0, 255 - value) for value in range(256)}


def by_driver(driver: str, pixels: Any, colours: dict[int, Any] | None = None, **options: Any) -> bytes:
    bands, height, width = pixels.shape
    size = {"count": bands, "height": height, "width": width, "dtype": pixels.dtype.name}
    with warnings.catch_warnings(), rasterio.MemoryFile() as memory:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with memory.open(driver=driver, **size, **options) as target:
            target.write(pixels)
            if colours:
                target.write_colormap(1, colours)
        data: bytes = memory.read()
        return data


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def turned(orientation: int) -> bytes:
    """Return an EXIF with one tag: how the picture is to be turned."""
    return b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 274, 3, 1, orientation, 0) + bytes(4)


def with_exif(driver: str, exif: bytes) -> bytes:
    data = encode(GREY, driver)
    if driver == "PNG":
        return data[:33] + chunk(b"eXIf", exif) + data[33:]
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 8) + b"Exif\0\0" + exif + data[2:]


def pages(*kinds: int) -> bytes:
    """Return a TIFF with a directory for each type of subfile; all have the same pixels."""
    data = b"II*\0" + struct.pack("<I", 8 + GREY.size) + GREY.tobytes()
    tags = {256: 16, 257: 12, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 12, 279: GREY.size}
    for number, kind in enumerate(kinds, 1):
        entries = sorted({254: kind, **tags}.items())
        after = len(data) + 6 + 12 * len(entries)
        data += struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", tag, 4, 1, n) for tag, n in entries)
        data += struct.pack("<I", after if number < len(kinds) else 0)
    return data


def test_a_palette_of_greys_is_applied_to_an_image_and_not_to_a_map_of_classes() -> None:
    data = by_driver("PNG", GREY, RAMP)
    assert np.array_equal(any_format.read(data, "a.png").image, 255 - GREY)
    assert np.array_equal(any_format.codes(data, "a.png"), GREY)
    assert np.array_equal(any_format.codes(by_gdal(GREY, photometric="PALETTE"), "a.tif"), GREY)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_picture_of_few_bits_is_between_black_and_white(bits: int) -> None:
    stored = GREY >> (8 - bits)
    data = by_driver("PNG", stored, nbits=bits)
    assert data[24] == bits
    assert np.array_equal(any_format.read(data, "a.png").image, stored * (255 // (2**bits - 1)))
    assert np.array_equal(any_format.codes(data, "a.png"), stored)


@pytest.mark.parametrize(
    ("data", "name", "reason"),
    [
        (by_driver("PNG", GREY, COLOURS), "a.png", "three equal ones, found 3 that differ"),
        (by_driver("PNG", GREY, {**RAMP, int(GREY[0, 0, 0]): (9, 9, 9, 0)}), "a.png", "a transparent colour hides"),
        (by_driver("PNG", GREY, nodata=int(GREY[0, 0, 0])), "a.png", "a transparent colour hides"),
        (by_gdal(GREY, photometric="MINISWHITE"), "a.tif", "one whose 0 is white: invert it"),
        (by_gdal(GREY, photometric="PALETTE"), "a.tif", "numbers of colours of a palette: convert it"),
        (by_gdal(np.concatenate([GREY, GREY]), alpha="YES"), "a.tif", "found one of opacity"),
        (pages(0, 0), "a.tif", "expected one image in the file, found more: write bands as one image"),
        (pages(0, 1, 2), "a.tif", "expected one image in the file, found more"),
        (pages(0, 4), "a.tif", "found a mask of its pixels: write a value of no data"),
        (pages(1, 0), "a.tif", "expected the image first in its file"),
        (with_exif("JPEG", turned(6)), "a.jpg", "stored upright, found the orientation 6: turn its pixels"),
        (with_exif("PNG", turned(3)), "a.png", "stored upright, found the orientation 3: turn its pixels"),
    ],
)
def test_numbers_that_are_no_values_are_refused(data: bytes, name: str, reason: str) -> None:
    with pytest.raises(BadRecord, match=reason):
        any_format.read(data, name)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (by_driver("PNG", GREY, {value: (value,) * 3 for value in range(256)}), "a.png"),
        (by_driver("PNG", GREY // 2 + 1, nodata=0), "a.png"),
        (by_gdal(np.concatenate([GREY] * 4)), "a.tif"),
        (pages(0, 1, 1, 5), "a.tif"),
        (pages(0)[:-4] + b"\7\7\7\7", "a.tif"),
        (with_exif("PNG", turned(1)), "a.png"),
    ],
)
def test_what_changes_no_value_is_read(data: bytes, name: str) -> None:
    found = any_format.read(data, name).image
    assert all(np.array_equal(band, found[0]) for band in found)
    assert np.array_equal(found[0], GREY[0] // 2 + 1 if b"tRNS" in data else GREY[0])


def test_directories_in_a_ring_come_to_an_end(tmp_path: Path) -> None:
    ring = pages(0, 1)
    second = len(ring) - 2 - 12 * 10 - 4
    (tmp_path / "a.tif").write_bytes(ring[:-4] + struct.pack("<I", second))
    with pytest.raises(BadRecord, match="expected at most 64 directories"):
        tiff.header(Folder.at(tmp_path), "a.tif")


def test_a_cached_layout_is_not_that_of_a_file_with_more_pages() -> None:
    assert np.array_equal(any_format.read(pages(0), "a.tif").image, GREY)
    with pytest.raises(BadRecord, match="found more"):
        any_format.read(pages(0, 0), "b.tif")


@pytest.mark.parametrize("exif", [turned(1), turned(6)[:9], b""])
def test_an_exif_that_turns_nothing_or_is_damaged_is_passed_over(exif: bytes) -> None:
    assert image.grey(with_exif("JPEG", exif), "a.jpg").shape == GREY.shape


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (lambda: ("a.png", by_driver("PNG", GREY, COLOURS)), "found numbers of colours"),
        (lambda: ("a.tif", by_gdal(GREY, photometric="MINISWHITE")), "found numbers of colours"),
        (lambda: ("a.tif", pages(0, 0)), "expected one image in the file, found more"),
    ],
)
def test_a_scene_of_no_values_is_refused(tmp_path: Path, written: Callable[[], tuple[str, bytes]], reason: str) -> None:
    name, data = written()
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SourceError, match=reason):
        Scene([str(tmp_path / name)])
