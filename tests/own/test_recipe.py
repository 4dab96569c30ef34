"""What the owner of a set changes makes another build, be it a date, a place or pixels of the same size."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.own import pipeline
from sar_data.sealed.opened import Build
from tests.own.trees import png, tif, values

ROWS = [f"{i},{'ab'[i % 2]},2021-05-0{i + 1},{10 + i},{50 + i}" for i in range(4)]
TABLE = "\n".join(["image,label,date,lon,lat", *ROWS])
PLACES: dict[str, Any] = {"x_column": "lon", "y_column": "lat", "crs": "EPSG:4326", "pixel_size_m": 10}
COLUMNS: dict[str, Any] = {"split": "random:train=1,val=0,test=0"}


def raw(root: Path, table: str = TABLE) -> Path:
    for i in range(4):
        png(root / f"raw/{i}.png", i)
    (root / "raw/labels.csv").write_text(table)
    return root / "raw"


def made(source: Path, heard: list[str] | None = None, **fields: Any) -> Build:
    request = BuildRequest(dataset="custom", source=source, out=source.parent, declare={**COLUMNS, **fields})
    return build(request, say=heard.append if heard is not None else None)


def test_other_dates_are_another_build(tmp_path: Path) -> None:
    first = made(raw(tmp_path))
    assert made(raw(tmp_path)).path == first.path
    second = made(raw(tmp_path, TABLE.replace("2021", "2022")))
    assert second.path != first.path
    assert {row["time"].year for row in second.index().to_pylist()} == {2022}


@pytest.mark.parametrize("other", [{"x_column": "lat", "y_column": "lon"}, {"crs": "EPSG:32633"}, {"pixel_size_m": 20}])
def test_other_places_are_another_build(tmp_path: Path, other: dict[str, Any]) -> None:
    first, second = made(raw(tmp_path), **PLACES), made(raw(tmp_path), **{**PLACES, **other})
    assert first.manifest.content_digest == second.manifest.content_digest
    assert first.manifest.recipe_digest != second.manifest.recipe_digest
    assert [row["footprint"] for row in first.index().to_pylist()] != [
        row["footprint"] for row in second.index().to_pylist()
    ]


def test_other_groups_are_another_build(tmp_path: Path) -> None:
    table = TABLE.replace("date", "scene")
    first = made(raw(tmp_path, table))
    assert made(raw(tmp_path, table.replace("2021-05-01", "2021-05-02"))).path != first.path


def test_pixels_of_the_same_size_are_another_build(tmp_path: Path) -> None:
    for i in range(3):
        tif(tmp_path / f"raw/{i}.tif", values(i))
    first = made(tmp_path / "raw", unit="power")
    size = (tmp_path / "raw/1.tif").stat().st_size
    assert tif(tmp_path / "raw/1.tif", 2 * values(1)).stat().st_size == size
    second = made(tmp_path / "raw", unit="power")
    assert second.manifest.recipe_digest != first.manifest.recipe_digest
    assert second.manifest.content_digest != first.manifest.content_digest


def test_of_many_bytes_a_build_says_that_files_are_newer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "HASHED", 0)
    first, heard = made(raw(tmp_path)), list[str]()
    path = tmp_path / "raw/2.png"
    later = (first.path / "manifest.json").stat().st_mtime_ns + 10**9
    os.utime(path, ns=(later, later))
    assert made(tmp_path / "raw", heard).path == first.path
    (line,) = [line for line in heard if line.startswith("warning: ")]
    assert f"1 of 4 source files are newer than the build, such as {path}" in line
