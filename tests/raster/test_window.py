"""A window of a large TIFF is what GDAL reads there, whatever the blocks, the compression and the byte order."""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from sar_data.errors import BadRecord
from sar_data.raster import window
from sar_data.sources.tree import Folder

KINDS: list[dict[str, Any]] = [
    {},
    {"blockysize": 7},
    {"tiled": True, "blockxsize": 32, "blockysize": 16},
    {"compress": "deflate", "predictor": 3, "tiled": True, "blockxsize": 32, "blockysize": 32},
    {"compress": "lzw", "blockysize": 9},
    {"compress": "zstd", "predictor": 2},
    {"BIGTIFF": "YES", "tiled": True, "blockxsize": 16, "blockysize": 16},
    {"ENDIANNESS": "BIG", "compress": "deflate"},
]
WINDOWS = [(0, 0, 10, 10), (3, 40, 50, 50), (60, 90, 100, 100), (0, 0, 500, 500), (33, 17, 1, 1)]


def written(path: Path, kind: dict[str, Any], dtype: str = "float32") -> np.ndarray[Any, Any]:
    pixels = np.random.default_rng(0).normal(100, 20, (1, 75, 101)).astype(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path, "w", driver="GTiff", height=75, width=101, count=1, dtype=dtype, **kind) as file:
            file.write(pixels)
    return pixels


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_windows_are_those_of_the_whole_image(tmp_path: Path, kind: dict[str, Any]) -> None:
    pixels = written(tmp_path / "a.tif", kind, "int16" if kind.get("predictor") == 2 else "float32")
    tree = Folder.at(tmp_path)
    assert window.shape(tree, "a.tif") == (75, 101)
    for top, left, height, width in WINDOWS:
        found = window.read(tree, "a.tif", top, left, height, width)
        assert np.array_equal(found, pixels[:, top : top + height, left : left + width])


def test_only_the_blocks_of_the_window_are_read(tmp_path: Path) -> None:
    written(tmp_path / "a.tif", {"tiled": True, "blockxsize": 16, "blockysize": 16})
    whole = Folder.at(tmp_path)
    asked = 0

    class Counting(Folder):
        def pread(self, path: str, offset: int, size: int) -> bytes:
            nonlocal asked
            asked += size
            return whole.pread(path, offset, size)

    window.read(Counting(whole.root), "a.tif", 0, 0, 16, 16)
    assert asked < 3000 < (tmp_path / "a.tif").stat().st_size


@pytest.mark.parametrize("cut", [3, 7, 12, 100, 150, 400, 5000, 20000])
def test_a_file_that_is_cut_off_is_named(tmp_path: Path, cut: int) -> None:
    written(tmp_path / "a.tif", {"blockysize": 9})
    data = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(data[:cut])
    with pytest.raises(BadRecord, match=r"cut\.tif: (truncated|expected)"):
        window.read(Folder.at(tmp_path), "cut.tif", 0, 0, 75, 101)


@pytest.mark.parametrize("data", [b"", b"<html>not an image</html>", bytes(40), b"II*\0" + bytes(60)])
def test_a_file_that_is_no_tiff_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.tif").write_bytes(data)
    for act, extra in itertools.product((window.shape, window.read), [()]):
        arguments = extra if act is window.shape else (0, 0, 4, 4)
        with pytest.raises(BadRecord, match=r"a\.tif"):
            act(Folder.at(tmp_path), "a.tif", *arguments)
