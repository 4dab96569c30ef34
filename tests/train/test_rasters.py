"""Any raster that the library reads is predicted, in a folder and alone, or answered by a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sar_data.train
from pipelines.synth._phoenix import phoenix
from sar_data.errors import SarDataError, UsageError
from sar_data.raster import gdal
from sar_data.raster.scene import Scene
from tests.train.test_predict import GRID, read, write

pytestmark = pytest.mark.usefixtures("unrendered")


def chip(magnitude: npt.NDArray[Any]) -> bytes:
    """Return a Phoenix file of a magnitude [y, x] and a phase of 1."""
    planes = np.stack([magnitude, np.ones_like(magnitude)]).astype(np.float32)
    return phoenix(planes, {}, dtype=">f4", odd_line=True)


def test_maps_of_any_file_are_the_same(segmented: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).normal(-12, 4, (2, 50, 40)).astype(np.float32)
    pixels[:, 3:9, 20:] = np.nan
    folder = tmp_path / "images"
    folder.mkdir()
    write(folder / "placed.tif", pixels, crs="EPSG:32633", transform=GRID)
    write(folder / "unplaced.TIFF", pixels)
    write(folder / "tiled.tif", pixels, tiled=True, blockxsize=16, blockysize=16, compress="deflate")
    np.save(folder / "first.npy", pixels)
    np.save(folder / "last.NPY.npy", pixels.transpose(1, 2, 0).astype(">f4"))
    np.save(folder / "fortran.npy", np.asfortranarray(pixels))
    (folder / "readme.txt").write_text("no image")
    (folder / "empty").touch()
    sar_data.train.predict(segmented, folder, out=tmp_path / "all", bands=("VV", "VH"), picture_format="pdf")
    assert (tmp_path / "all" / "sheet.pdf").is_file()
    found = {path.stem: read(path) for path in (tmp_path / "all" / "masks").iterdir()}
    assert len(found) == 6
    for mask in found.values():
        np.testing.assert_array_equal(mask, found["placed"])
    np.testing.assert_array_equal(found["first"] == 255, np.isnan(pixels[0]))
    for name in ("unplaced.TIFF", "first.npy"):
        sar_data.train.predict(segmented, folder / name, out=tmp_path / name, bands=("VV", "VH"))
        np.testing.assert_array_equal(read(tmp_path / name / "masks" / f"{Path(name).stem}.tif"), found["placed"])
    with pytest.raises(UsageError, match=r"first\.npy: expected the bands VV, VH, which the model takes, found 1, 2"):
        sar_data.train.predict(segmented, folder / "first.npy", out=tmp_path / "unnamed")


def test_boxes_of_any_file_are_the_same(detected: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (1, 96, 96)).astype(np.uint8)
    folder = tmp_path / "images"
    folder.mkdir()
    write(folder / "a.tif", pixels)
    np.save(folder / "b.npy", pixels[0])
    (folder / "c.png").write_bytes(gdal.encode(pixels, "PNG"))
    (folder / "d.JPG").write_bytes(gdal.encode(np.repeat(pixels, 3, axis=0), "JPEG"))
    sar_data.train.predict(detected, folder, out=tmp_path / "all")
    (tmp_path / "HB03333.015").write_bytes(chip(pixels[0]))
    for number, source in enumerate((tmp_path / "HB03333.015", folder / "c.png", folder / "d.JPG")):
        bands = ("grey", "phase") if number == 0 else None
        sar_data.train.predict(detected, source, out=tmp_path / str(number), bands=bands)
    boxes: dict[str, list[Any]] = {}
    for name in ("all", "0", "1", "2"):
        for row in pq.read_table(tmp_path / name / "boxes.parquet").to_pylist():
            boxes.setdefault(f"{name}/{row['key']}", []).append(
                [row[side] for side in ("x0", "y0", "x1", "y1", "score")]
            )
    assert sorted(boxes) == ["0/HB03333", "1/c", "2/d", "all/a", "all/b", "all/c", "all/d"]
    for key in ("all/b", "all/c", "0/HB03333", "1/c"):
        np.testing.assert_allclose(boxes[key], boxes["all/a"], atol=1e-3)
    np.testing.assert_allclose(boxes["2/d"], boxes["all/d"], atol=1e-3)


def test_phoenix_files_are_known_by_their_first_bytes(detected: Path, tmp_path: Path) -> None:
    for end in ("015", "016"):
        (tmp_path / f"HB03333.{end}").write_bytes(chip(np.full((96, 96), 7.0)))
    sar_data.train.predict(detected, tmp_path, out=tmp_path / "out", bands=("grey", "phase"))
    images = json.loads((tmp_path / "out" / "boxes.json").read_text())["images"]
    assert [image["file_name"] for image in images] == ["HB03333.015", "HB03333.016"]
    scene = Scene([str(tmp_path / "HB03333.015")])
    assert scene.bands == ("magnitude", "phase")
    np.testing.assert_array_equal(scene.read(["phase", "magnitude"], 90, 3, 6, 2), [[[1, 1]] * 6, [[7, 7]] * 6])
    assert scene.downsample(["magnitude"], 32).shape == (1, 32, 32)
    scene.close()


def test_an_array_is_thinned_by_its_nearest_pixels(tmp_path: Path) -> None:
    pixels = np.arange(90 * 60, dtype=np.int16).reshape(90, 60)
    np.save(tmp_path / "a.npy", pixels)
    scene = Scene([str(tmp_path / "a.npy")])
    np.testing.assert_array_equal(scene.downsample(["1"], 30)[0], pixels[1::3, 1::3])
    scene.close()


def test_what_is_no_raster_is_answered_in_a_sentence(segmented: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "complex.npy", np.zeros((2, 32, 32), np.complex64))
    np.save(tmp_path / "cube.npy", np.zeros((20, 32, 32), np.float32))
    np.save(tmp_path / "whole.npy", np.zeros((2, 32, 32), np.float32))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "whole.npy").read_bytes()[:-8])
    (tmp_path / "empty.npy").touch()
    (tmp_path / "cut.015").write_bytes(chip(np.ones((32, 32)))[:-8])
    pq.write_table(pa.table({"image": [b""]}), tmp_path / "images.parquet")
    (tmp_path / "tables").mkdir()
    (tmp_path / "images.parquet").rename(tmp_path / "tables" / "images.parquet")
    wrong = {
        "complex.npy": "expected real pixels, found complex64: take its amplitude or its power",
        "cube.npy": r"expected an array \[y, x\], ",
        "cut.npy": "expected 8,192 bytes",
        "empty.npy": "expected a .npy array",
        "cut.015": "expected magnitude and phase of 32x32",
        "tables": "images .*Phoenix.* or one scene: what `build` reads in other forms is predicted as a build",
        "tables/images.parquet": "expected a GeoTIFF, PNG, JPEG, .npy or Phoenix file, GDAL says",
    }
    for name, message in wrong.items():
        with pytest.raises(SarDataError, match=message) as caught:
            sar_data.train.predict(segmented, tmp_path / name, out=tmp_path / "out", bands=("VV", "VH"))
        assert name in str(caught.value)
