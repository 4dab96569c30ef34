"""What scan asks of an image file is found wherever it lies in it, and no pixel is read for it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from pipelines import eurosat_sar
from sar_data.errors import BadRecord
from sar_data.raster import any_format, gdal, image, npy, tiff, window
from sar_data.raster.file_parts import FileParts
from sar_data.sources.tree import Folder
from sar_data.testing.pipelines import Listening
from tests.raster.test_tiff import UTM, by_gdal

TEXT = "edited " * 900
PIXELS: Any = np.random.default_rng(0).normal(0, 9, (1, 100, 90)).astype("float32")
KINDS: list[dict[str, Any]] = [
    {},
    {"compress": "deflate", "tiled": True, "blockxsize": 32, "blockysize": 32},
    {"BIGTIFF": "YES"},
    {"ENDIANNESS": "BIG", "compress": "lzw"},
    {"blockysize": 1},
]


def edited(path: Path, data: bytes) -> bytes:
    """Write a GeoTIFF, then add to its tags, so that its directory is written anew behind its pixels."""
    path.write_bytes(data)
    with rasterio.open(path, "r+") as file:
        file.update_tags(NOTE=TEXT)
    found = path.read_bytes()
    assert found[:2] + found[2:4] in (b"II*\0", b"MM\0*", b"II+\0")
    return found


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_directory_after_the_pixels_is_read(tmp_path: Path, kind: dict[str, Any]) -> None:
    data = edited(tmp_path / "a.tif", by_gdal(PIXELS, **kind))
    listening = Listening(Folder.at(tmp_path))
    assert tiff.header(listening, "a.tif") == any_format.header(listening, "a.tif") == ((1, 100, 90), "float32")
    assert tiff.georeference(listening, "a.tif") == ("EPSG:32633", UTM)
    assert window.shape(listening, "a.tif") == (100, 90)
    assert max(start for _, start, _ in listening.parts) > PIXELS.nbytes / 2
    listening.check(tmp_path)
    assert np.array_equal(window.read(listening, "a.tif", 40, 30, 8, 8), PIXELS[:, 40:48, 30:38])
    assert np.array_equal(tiff.read(data, "a.tif", shape=None, dtypes=None, bands=None).pixels, PIXELS)


def test_a_georeference_far_behind_is_kept_in_the_record(tmp_path: Path) -> None:
    (tmp_path / "River").mkdir()
    edited(tmp_path / "River" / "River_1.tif", by_gdal(np.zeros((2, 64, 64), np.float32)))
    (record,) = eurosat_sar.PIPELINE.scan(Folder.at(tmp_path), "River/River_1.tif")
    assert (record.crs, record.transform) == ("EPSG:32633", UTM)
    assert record.footprint == (UTM[2], UTM[5] - 640, UTM[2] + 640, UTM[5])


def test_a_directory_that_is_cut_off_is_named(tmp_path: Path) -> None:
    data = edited(tmp_path / "a.tif", by_gdal(PIXELS))
    (tmp_path / "a.tif").write_bytes(data[: len(PIXELS.tobytes())])
    tree = Folder.at(tmp_path)
    for act in (tiff.header, window.shape):
        with pytest.raises(BadRecord, match=r"a\.tif: truncated or malformed: no TIFF directory in 36,000 bytes"):
            act(tree, "a.tif")
    assert tiff.georeference(tree, "a.tif") == (None, None)


@pytest.mark.parametrize("segment", [100, 60_000])
def test_a_frame_behind_a_preview_is_found(tmp_path: Path, segment: int) -> None:
    picture = (PIXELS * 10).clip(0, 255).astype("uint8")
    data = gdal.encode(picture, "JPEG")
    preview = b"\xff\xe1" + (segment + 2).to_bytes(2, "big") + bytes(segment)
    (tmp_path / "a.jpg").write_bytes(data[:2] + preview + b"\xff" + data[2:])
    listening = Listening(Folder.at(tmp_path))
    assert image.dimensions(listening, "a.jpg") == (100, 90)
    assert any_format.header(listening, "a.jpg") == ((1, 100, 90), "uint8")
    assert sum(stop - start for _, start, stop in listening.parts) < 9000
    assert np.array_equal(image.grey((tmp_path / "a.jpg").read_bytes(), "a.jpg"), image.grey(data, "b.jpg"))


def test_an_array_needs_no_more_than_its_head(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", PIXELS)
    listening = Listening(Folder.at(tmp_path))
    assert npy.header(listening, "a.npy") == ((1, 100, 90), "float32")
    listening.check(tmp_path)


def test_a_file_without_a_header_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(image.PNG + bytes(4) + b"IHDR")
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff\xda\0\0" + bytes(9000))
    (tmp_path / "a.tif").write_bytes(b"II+\0\x08\0\0\0" + (9000).to_bytes(8, "little") + b"\xff" * 9000)
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\0v\0{'descr': '<f4', 'fortran_order': False, 'shape': (True, -3)}")
    tree = Folder.at(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("a.png", "a.jpg", "a.tif", "a.npy"):
            with pytest.raises(BadRecord, match=name):
                any_format.header(tree, name)


def test_fill_bytes_and_segments_before_a_frame_are_limited() -> None:
    frame = b"\xff\xc0\x00\x0b\x08" + (100).to_bytes(2, "big") + (90).to_bytes(2, "big") + b"\x01\x01\x11\x00"
    reads: list[int] = []

    def parts(data: bytes) -> FileParts:
        return FileParts(data[:4096], lambda: len(data), lambda at, size: (reads.append(at), data[at : at + size])[1])

    filled = b"\xff\xd8" + b"\xff" * 5_000_000 + frame[1:]
    assert image._dimensions(parts(filled), "a.jpg") == (100, 90)
    assert len(reads) < 100
    with pytest.raises(BadRecord, match="no frame"):
        image._dimensions(parts(b"\xff\xd8" + b"\xff\xe0\x00\x02" * 1_000_000 + frame), "a.jpg")
    assert len(reads) < 2 * image.MAX_SEGMENTS
