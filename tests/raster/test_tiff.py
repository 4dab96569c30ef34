"""The TIFF reader returns the pixels GDAL returns, and refuses in one way what is no whole TIFF of the kind."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
import rasterio

from sar_data import synth
from sar_data.errors import BadRecord
from sar_data.raster import tiff

UTM = (10.0, 0.0, 404400.0, 0.0, -10.0, 5342400.0)
NOISE = np.random.default_rng(0)


def image(bands: int = 1, height: int = 20, width: int = 30, dtype: str = "float32") -> Any:
    return (NOISE.standard_normal((bands, height, width)) * 50).astype(dtype)


def small(pixels: Any, rows: int = 7, *, planar: bool = False, epsg: int | None = 32633) -> bytes:
    return synth.geotiff(pixels, epsg=epsg, transform=UTM if epsg else None, rows_per_strip=rows, planar=planar)


def by_gdal(pixels: Any, **options: Any) -> bytes:
    bands, height, width = pixels.shape
    size = {"count": bands, "height": height, "width": width, "dtype": pixels.dtype}
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(*UTM)}
    with rasterio.MemoryFile() as memory:
        with memory.open(driver="GTiff", **size, **place, **options) as target:
            target.write(pixels)
        data: bytes = memory.read()
        return data


def read(data: bytes, pixels: Any, **other: Any) -> tiff.Raster:
    bands, height, width = pixels.shape
    asked = {"shape": (height, width), "bands": bands, "dtypes": {str(pixels.dtype)}, **other}
    return tiff.read(data, "a.tif", **asked)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64"])
@pytest.mark.parametrize(("bands", "planar"), [(1, False), (2, False), (2, True), (3, False), (3, True)])
@pytest.mark.parametrize("rows", [1, 7, 20])
def test_plain_strips_are_read_without_gdal_and_to_the_bit(dtype: str, bands: int, planar: bool, rows: int) -> None:
    pixels = image(bands, dtype=dtype)
    found = read(small(pixels, rows, planar=planar), pixels)
    assert not found.fallback
    assert found.pixels.tobytes() == pixels.tobytes()
    assert found.pixels.flags.c_contiguous
    assert found.pixels.flags.writeable
    assert found.pixels.dtype.isnative


@pytest.mark.parametrize(
    "options",
    [
        {"compress": "deflate"},
        {"compress": "lzw", "predictor": 3},
        {"tiled": True, "blockxsize": 16, "blockysize": 16},
        {"BIGTIFF": "YES"},
        {"ENDIANNESS": "BIG"},
        {"compress": "zstd", "interleave": "band"},
    ],
)
def test_every_other_valid_tiff_falls_back_to_gdal(options: dict[str, Any]) -> None:
    pixels = image(2)
    data = by_gdal(pixels, **options)
    found = read(data, pixels)
    assert found.fallback
    assert found.pixels.tobytes() == pixels.tobytes()
    assert tiff.georeference_of(data) == ("EPSG:32633", UTM)


def test_nan_and_infinity_keep_their_bits() -> None:
    pixels = image()
    pixels[0, 0, :3] = np.nan, np.inf, -np.inf
    assert read(small(pixels), pixels).pixels.tobytes() == pixels.tobytes()


def test_strips_that_lie_apart_are_joined_in_their_order() -> None:
    pixels = image()
    data = bytearray(small(pixels, 10, epsg=None))
    at = data.index(struct.pack("<HHI", 273, 4, 2)) + 8
    (where,) = struct.unpack_from("<I", data, at)
    first, second = struct.unpack_from("<2I", data, where)
    data += data[first:second]
    struct.pack_into("<I", data, where, len(data) - (second - first))
    data[first:second] = bytes(second - first)
    assert read(bytes(data), pixels).pixels.tobytes() == pixels.tobytes()


def test_a_remembered_layout_never_answers_for_another_one() -> None:
    pixels = image()
    plain = small(pixels, 10, epsg=None)
    assert read(plain, pixels).pixels.tobytes() == pixels.tobytes()
    at = plain.index(struct.pack("<HHI", 273, 4, 2)) + 8
    (where,) = struct.unpack_from("<I", plain, at)
    swapped = bytearray(plain)
    struct.pack_into("<2I", swapped, where, *reversed(struct.unpack_from("<2I", plain, where)))
    expected = np.concatenate([pixels[:, 10:], pixels[:, :10]], axis=1)
    assert read(bytes(swapped), pixels).pixels.tobytes() == expected.tobytes()
    with pytest.raises(BadRecord, match="truncated"):
        read(plain[:-1], pixels)


def test_out_receives_the_pixels_without_another_array() -> None:
    pixels = image()
    out = np.empty_like(pixels)
    assert read(small(pixels), pixels, out=out).pixels is out
    assert out.tobytes() == pixels.tobytes()


def test_files_of_one_place_have_equal_geo_and_others_have_not() -> None:
    first, second = image(), image()
    there = synth.geotiff(second, epsg=32633, transform=(10.0, 0.0, 0.0, 0.0, -10.0, 0.0), rows_per_strip=7)
    assert read(small(first), first).geo == read(small(second), second).geo
    assert read(small(first), first).geo != read(there, second).geo


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: b"", "an empty file"),
        (lambda data: b"<html><body>404 Not Found", "found b'<html>"),
        (lambda data: b'<VRTDataset rasterXSize="30" rasterYSize="20">', "found b'<VRTDataset"),
        (lambda data: data[:6], "truncated or malformed"),
        (lambda data: data[:100], "truncated or malformed"),
        (lambda data: data[:1000], r"truncated: expected 2,\d{3} bytes, found 1,000"),
        (lambda data: data[:-1], "truncated"),
        (lambda data: data[:4] + b"\xff\xff\xff\x7f" + data[8:], "no TIFF directory"),
        (lambda data: data[:8] + b"\xff\xff" + data[10:], "directory of 65535 entries"),
        (lambda data: data.replace(struct.pack("<HHI", 273, 4, 3), struct.pack("<HHI", 9, 4, 3)), "273 is missing"),
    ],
)
def test_an_incomplete_tiff_is_a_bad_record_with_a_reason(damage: Any, reason: str) -> None:
    pixels = image()
    with pytest.raises(BadRecord, match=reason) as caught:
        read(damage(small(pixels)), pixels)
    assert caught.value.path == "a.tif"


def test_another_shape_type_or_band_count_is_an_error() -> None:
    pixels = image()
    cases: list[tuple[dict[str, Any], str]] = [
        ({"shape": (30, 20)}, "expected 1 band of 30x20 pixels, found 1 band of 20x30"),
        ({"bands": 2}, "expected 2 bands of 20x30 pixels, found 1 band"),
        ({"dtypes": ("int16", "uint8")}, "expected int16 or uint8 pixels, found float32"),
    ]
    for other, reason in cases:
        with pytest.raises(BadRecord, match=reason):
            read(small(pixels), pixels, **other)


@pytest.mark.parametrize("options", [{}, {"compress": "deflate"}])
def test_absurd_dimensions_are_refused_before_memory_is_allocated(options: dict[str, Any]) -> None:
    pixels = image()
    data = bytearray(by_gdal(pixels, **options))
    for tag in (256, 257):
        struct.pack_into("<HII", data, data.index(struct.pack("<HHI", tag, 3, 1)) + 2, 4, 1, 2**32 - 1)
    with pytest.raises(BadRecord, match=r"4294967295x4294967295|malformed"):
        read(bytes(data), pixels)


def test_a_sparse_file_is_refused_and_not_filled_with_zeros() -> None:
    pixels = np.zeros((1, 20, 30), np.float32)
    with pytest.raises(BadRecord, match="zeros"):
        read(by_gdal(pixels, SPARSE_OK=True), pixels)


@pytest.mark.parametrize(("compress", "reason"), [("deflate", "block 0 has no end"), ("lzw", "GDAL says")])
def test_a_broken_compressed_block_is_a_bad_record(compress: str, reason: str) -> None:
    pixels = image()
    data = by_gdal(pixels, compress=compress)
    with pytest.raises(BadRecord, match=reason):
        read(data[:-900] + bytes(900), pixels)


def test_a_deflated_block_of_more_than_a_megabyte_is_checked_to_its_end() -> None:
    pixels = np.zeros((1, 1024, 512), np.float32)
    data = by_gdal(pixels, compress="deflate", blockysize=1024)
    assert read(data, pixels).pixels.tobytes() == pixels.tobytes()


def test_a_single_flipped_bit_in_a_deflated_block_is_found() -> None:
    pixels = image()
    data = bytearray(by_gdal(pixels, compress="deflate"))
    data[-900] ^= 1
    with pytest.raises(BadRecord, match="zlib"):
        read(bytes(data), pixels)


def test_tags_that_raise_python_errors_in_rasterio_are_a_bad_record() -> None:
    pixels = image()
    known, unknown = (struct.pack("<4H", 3072, 0, 1, code) for code in (32633, 32767))
    data = by_gdal(pixels, compress="lzw").replace(known, unknown).replace(b"zone 33N|", b"zone\xbf33N|")
    with pytest.raises(BadRecord, match=r"GDAL says: .*utf-8"):
        read(data, pixels)
