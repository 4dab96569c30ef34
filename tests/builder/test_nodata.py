"""Pixels that are none: declared ones are masked and counted by reason, others are counted and told, once."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio

from sar_data import catalog
from sar_data.builder.counted import StatsRequest, count
from sar_data.builder.fit import fit_source
from sar_data.builder.itinerary import build
from sar_data.builder.raw_statistics import ALL
from sar_data.builder.request import BuildRequest
from sar_data.dtypes import without
from sar_data.errors import BadRecord, BuildError
from sar_data.raster import tiff
from sar_data.runners import Serial
from sar_data.sealed.opened import Build
from sar_data.sources.tree import Folder
from tests.builder.test_types import PIPELINE, SIDE, chips, images, streamed
from tests.raster.test_tiff import by_gdal

Array = npt.NDArray[Any]
EDGE = 3


def bordered(image: Array, value: float) -> Array:
    """Return an image with a border of one value, of which (SIDE - 2 EDGE)² pixels remain."""
    framed = np.full_like(image, value)
    inner = (..., slice(EDGE, -EDGE), slice(EDGE, -EDGE))
    framed[inner] = image[inner]
    return framed


INSIDE, AROUND = (SIDE - 2 * EDGE) ** 2, SIDE**2 - (SIDE - 2 * EDGE) ** 2


def made(source: Path, out: Path, **options: Any) -> tuple[Build, list[str]]:
    said: list[str] = []
    return build(BuildRequest(dataset=PIPELINE, source=source, out=out, **options), say=said.append), said


def tagged(value: float | None) -> Any:
    def write(path: Path, image: Array) -> None:
        path.with_suffix(".tif").write_bytes(by_gdal(image, nodata=value))

    return write


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("float32", 0.0),
        ("float32", -9999.0),
        ("float32", -3.4028234663852886e38),
        ("float32", float("nan")),
        ("float64", -9999.0),
        ("float64", 1e300),
        ("uint8", 0),
        ("uint16", 65535),
        ("int16", -32768),
        ("int32", -9999),
    ],
)
def test_declared_no_data_is_nan_and_counted_as_such_in_every_type(tmp_path: Path, dtype: str, value: float) -> None:
    written = [image + np.array(1, dtype) for image in images(dtype, 2)]
    source = chips(tmp_path / "raw", [bordered(image, value) for image in written], tagged(value))
    sealed, said = made(source, tmp_path / "out")
    assert sealed.manifest.storage.dtype == "float32"
    assert sealed.manifest.suspect_pixels == {}
    assert not [line for line in said if "warning" in line]
    for band in sealed.manifest.statistics["train"].bands.values():  # type: ignore[index]
        assert band.masked == {"nodata": 2 * AROUND, "nan": 0, "inf": 0}
        assert band.count == 2 * INSIDE
    found = streamed(sealed)["s0"]
    assert np.isnan(found).sum() == 2 * AROUND
    inner = (..., slice(EDGE, -EDGE), slice(EDGE, -EDGE))
    assert np.array_equal(found[inner], written[0].astype(np.float32)[inner])


def test_a_band_is_masked_where_it_alone_is_no_data(tmp_path: Path) -> None:
    def split(image: Array) -> Array:
        image[1, 0, :5] = -9999
        return image

    source = chips(tmp_path / "raw", [split(image) for image in images("float32", 2)], tagged(-9999))
    sealed, _ = made(source, tmp_path / "out")
    bands = sealed.manifest.statistics["train"].bands  # type: ignore[index]
    assert (bands["1"].masked["nodata"], bands["2"].masked["nodata"]) == (0, 10)


def test_whole_numbers_stay_whole_where_none_of_them_can_be_the_declared_value(tmp_path: Path) -> None:
    source = chips(tmp_path / "raw", images("uint8"), tagged(None))
    sealed, _ = made(source, tmp_path / "out")
    assert sealed.manifest.storage.dtype == "uint8"
    assert without(np.ones((1, 2, 2), np.uint8), -9999.0)[0].dtype == np.uint8


@pytest.mark.parametrize(("dtype", "value"), [("int32", -(2**31)), ("uint32", 2**32 - 1)])
def test_a_declared_value_that_float32_skips_is_no_data_all_the_same(dtype: str, value: int) -> None:
    image = np.array([[[1, value], [3, value]]], dtype)
    found, counts = without(image, float(value))
    assert counts == (2,)
    np.testing.assert_array_equal(found, np.array([[[1, np.nan], [3, np.nan]]], np.float32))


def test_a_tag_that_is_no_number_is_a_bad_record() -> None:
    data = by_gdal(images("float32")[0], nodata=-9999)
    assert tiff.read(data, "a.tif", shape=None, dtypes=None, bands=None).nodata == -9999
    with pytest.raises(BadRecord, match=r"expected a number for no data in tag 42113, found b'-99x9'"):
        tiff.read(data.replace(b"-9999\0", b"-99x9\0"), "a.tif", shape=None, dtypes=None, bands=None)


def test_files_that_differ_in_nothing_but_the_declared_value_are_told_apart() -> None:
    image = images("float32")[0]
    image[0, 0, 0], image[0, 0, 1] = -9999, -8888
    data = by_gdal(image, nodata=-9999)
    for raw, column in ((data, 0), (data.replace(b"-9999\0", b"-8888\0"), 1)):
        pixels = tiff.read(raw, "a.tif", shape=None, dtypes=None, bands=None).pixels
        assert np.argwhere(np.isnan(pixels)).tolist() == [[0, 0, column]]


def eurosat(root: Path, change: Any, nodata: float | None = None) -> Path:
    """Return a miniature of dB, every file of it changed and written anew by GDAL."""
    catalog.synthesise("eurosat-sar")(root, count=20, seed=0)
    for path in root.rglob("*.tif"):
        with rasterio.open(path) as file:
            image, profile = file.read(), {**file.profile, "nodata": nodata}
        with rasterio.open(path, "w", **profile) as file:
            file.write(change(image))
    return root


def of_eurosat(source: Path, out: Path, **options: Any) -> tuple[Build, list[str]]:
    said: list[str] = []
    request = BuildRequest(dataset="eurosat-sar", source=source, out=out, split="random", **options)
    return build(request, say=said.append), said


def test_a_declared_border_moves_no_mean(tmp_path: Path) -> None:
    sides = (..., slice(8, -8), slice(8, -8))

    def framed(image: Array) -> Array:
        out = np.zeros_like(image)
        out[sides] = image[sides]
        return out

    source = eurosat(tmp_path / "raw", framed, nodata=0)
    expected = []
    for path in sorted(source.rglob("*.tif")):
        with rasterio.open(path) as file:
            expected.append(file.read()[sides])
    means = np.mean(expected, axis=(0, 2, 3), dtype=np.float64)
    figures = count(StatsRequest(path=source, dataset="eurosat-sar"), Serial()).figures()[ALL]
    assert [band.stored.mean for band in figures.bands.values()] == pytest.approx(means.tolist(), rel=1e-6)
    sealed, _ = of_eurosat(source, tmp_path / "out")
    assert sealed.manifest.suspect_pixels == {}


def odd(image: Array) -> Array:
    """Put what may be no pixel into both bands: 64 zeros, 10 of -9999, 3 infinite ones and a border of 64."""
    image[:, 20, :] = 0
    image[:, 30, :10] = -9999
    image[:, 31, :3] = -np.inf
    image[:, :, -1] = 1.5
    return image


def test_what_nobody_declares_is_counted_by_reason_and_told_once(tmp_path: Path) -> None:
    sealed, said = of_eurosat(eurosat(tmp_path / "raw", odd), tmp_path / "out")
    total = 20 * 64 * 64
    for band in ("VV", "VH"):
        found = sealed.manifest.suspect_pixels[band]
        assert found.model_dump() == {"pixels": total, "zero": 20 * 63, "fill": 200, "infinite": 60, "border": 20 * 64}
        assert sealed.manifest.statistics["train"].bands[band].stored.min > -100  # type: ignore[index,operator]
    (warning,) = [line for line in said if line.startswith("warning: ")]
    assert "VV 3.42%: 1,260 exact zeros in dB, 200 of -9999 or -32768 (masked in floats), 60 infinite" in warning
    again, said = of_eurosat(tmp_path / "raw", tmp_path / "out")
    assert again.path == sealed.path
    assert not [line for line in said if line.startswith("warning: ")]


def test_the_share_that_stops_a_build_is_a_choice_and_what_was_packed_is_kept(tmp_path: Path) -> None:
    source = eurosat(tmp_path / "raw", odd)
    with pytest.raises(BuildError, match=r"V[VH] 3.42%.*Expected a share of at most `suspect_limit=0.01`"):
        of_eurosat(source, tmp_path / "out", suspect_limit=0.01)
    assert not list((tmp_path / "out").rglob("manifest.json"))
    assert list((tmp_path / "out").rglob("*.arrow"))
    sealed, _ = of_eurosat(source, tmp_path / "out", suspect_limit=0.04)
    assert sealed.manifest.suspect_pixels["VV"].share == pytest.approx(0.0342, abs=1e-4)


def test_a_value_that_a_declaration_names_is_no_data_in_every_band(tmp_path: Path) -> None:
    source = chips(tmp_path / "raw", [bordered(image, 7) for image in images("uint8", 2)])
    pipeline = fit_source(PIPELINE, Folder.at(source), source).pipeline
    declared = dataclasses.replace(pipeline, spec=dataclasses.replace(pipeline.spec, nodata=7.0))
    sealed = build(BuildRequest(dataset=declared, source=source, out=tmp_path / "out"))
    assert sealed.manifest.storage.dtype == "float32"
    assert sealed.manifest.statistics["train"].bands["2"].masked["nodata"] >= 2 * AROUND  # type: ignore[index]
