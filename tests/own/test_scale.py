"""Numbers that files store with a scale become values in the unit where it is declared, and are asked about else."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

import sar_data
from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.errors import SarDataError
from sar_data.own.template import declaration_text
from sar_data.sealed.opened import Build
from sar_data.sources.tree import Folder
from tests.own.trees import tif, values

COUNT = 6
DECLARED: dict[str, Any] = {"bands": ["VV", "VH"], "unit": "power", "split": "random:train=1,val=0,test=0"}


def stored(index: int) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """Return whole numbers of 1/10,000 of power, of which the first three of VV are 0."""
    numbers = np.clip(values(index) * 1e4, 1, 65_000).astype(np.uint16)
    numbers[0, 0, :3] = 0
    return numbers


def raw(root: Path, scales: tuple[float, float] | None = None) -> Path:
    for i in range(COUNT):
        path = tif(root / f"raw/{i}.tif", stored(i), place=i)
        if scales:
            with rasterio.open(path, "r+") as file:
                file.scales = scales
    return root / "raw"


def made(source: Path, heard: list[str], **fields: Any) -> Build:
    return build(
        BuildRequest(dataset="custom", source=source, out=source.parent, declare=DECLARED | fields), say=heard.append
    )


def test_a_declared_scale_is_applied_before_the_unit_and_recorded(tmp_path: Path) -> None:
    heard: list[str] = []
    sealed = made(raw(tmp_path), heard, scale=1e-4, offset=[0, 0.5], nodata=0)
    images = np.asarray(sealed.dataset("train").image.values)
    order = [row["key"] for row in sorted(sealed.index().to_pylist(), key=lambda row: row["offset"])]
    for image, key in zip(images, order, strict=True):
        numbers = stored(int(key)).astype(np.float64)
        assert np.isnan(image[0, 0, :3]).all()
        numbers[0, 0, :3] = np.nan
        assert np.allclose(image, numbers * 1e-4 + np.array([0, 0.5])[:, None, None], rtol=1e-6, equal_nan=True)
    manifest = sealed.manifest
    assert [(step.step, step.parameters) for step in manifest.applied] == [
        ("scale", {"scale": [1e-4, 1e-4], "offset": [0, 0.5]})
    ]
    assert manifest.storage.dtype == "float32"
    assert manifest.statistics is not None
    assert manifest.statistics["train"].bands["VV"].masked["nodata"] == 3 * COUNT
    assert not [line for line in heard if line.startswith("warning")]
    db = sar_data.convert(sealed.path, unit="dB", runner="serial")
    assert [step.step for step in db.manifest.applied] == ["scale", "unit"]


def test_power_without_its_scale_is_called_implausible(tmp_path: Path) -> None:
    heard: list[str] = []
    sealed = made(raw(tmp_path), heard, nodata=0)
    assert sealed.manifest.applied == []
    (line,) = [line for line in heard if line.startswith("warning: the median")]
    assert "VV 2" in line
    assert "within about -40 and 10 dB" in line
    assert "`scale=…`" in line
    other = made(raw(tmp_path), heard := [], nodata=0, scale=1e-4, calibration="DN")
    assert other.path != sealed.path
    assert not [line for line in heard if line.startswith("warning: the median")]


def test_a_scale_that_files_note_is_asked_about_and_never_applied_in_silence(tmp_path: Path) -> None:
    source = raw(tmp_path, (1e-4, 2e-4))
    text = declaration_text(Folder.at(source), "x")
    assert "# scale = [0.0001, 0.0002]" in text
    assert "half of them below 0.0" in text
    assert "scale" not in tomllib.loads(text)
    for fields, words in (
        ({}, "which is not applied: give `scale=0.0001,0.0002`"),
        ({"scale": 1e-3}, "declared otherwise than the files note: `scale=0.0001,0.0002`"),
        ({"scale": [1e-4, 2e-4]}, None),
        ({"scale": 1}, None),
    ):
        heard: list[str] = []
        made(source, heard, **fields)
        lines = [line for line in heard if line.startswith("warning: scale:")]
        assert len(lines) == (words is not None)
        assert words is None or words in lines[0]


def test_files_of_several_scales_are_named(tmp_path: Path) -> None:
    raw(tmp_path, (1e-4, 1e-4))
    tif(tmp_path / "raw/0.tif", stored(0), place=0)
    heard: list[str] = []
    made(tmp_path / "raw", heard)
    assert "warning: scale: the files note several scales, and none is applied: write all of them with one" in heard
    assert "some of the files note a scale" in declaration_text(Folder.at(tmp_path / "raw"), "x")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scale": 0}, "expected numbers other than 0"),
        ({"scale": [1, 2, 3]}, "expected one for each band of VV, VH, found 1.0, 2.0, 3.0"),
        ({"scale": "a"}, "expected a number, found 'a'"),
        ({"scale": 1e-4, "unit": None}, "unit: expected one of"),
    ],
)
def test_a_scale_that_does_not_fit_is_refused(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(SarDataError, match=message):
        made(raw(tmp_path), [], **fields)


def test_complex_numbers_have_no_scale(tmp_path: Path) -> None:
    tif(tmp_path / "raw/0.tif", values(0).astype(np.complex64))
    with pytest.raises(SarDataError, match="scale: expected files of real numbers, found complex64"):
        made(tmp_path / "raw", [], scale=2, unit="DN")
