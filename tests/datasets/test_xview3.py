"""xView3 scenes are cut into tiles that say what is no data, and detections fall into the tile they are in."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio

from pipelines.synth import xview3
from pipelines.xview3 import CLASSES, PIPELINE, SIDE
from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.errors import BadRecord
from sar_data.record import Record
from sar_data.sealed.verify import verify
from sar_data.sources.tree import Folder
from tests.contract.pipelines import PipelineContract


@pytest.fixture(scope="module")
def xview3_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("xview3")
    xview3.synthesise(out, count=1, seed=0)
    return out


def records(root: Path) -> list[Record]:
    tree = Folder.at(root)
    return [record for unit in PIPELINE.units(tree) for record in PIPELINE.scan(tree, unit)]


class TestXView3(PipelineContract):
    pipeline = PIPELINE

    @pytest.fixture
    def archive(self, xview3_archive: Path) -> Path:
        return xview3_archive

    def test_places_are_whole(self, records: list[Record]) -> None:
        assert {record.crs for record in records} == {"EPSG:32633"}
        assert [r.footprint and r.footprint[0] for r in records] == [300000.0, 308000.0, 300000.0, 308000.0]

    def raw_bands(self, root: Path, record: Record) -> npt.NDArray[Any]:
        top, left = int(record.attrs["row"]), int(record.attrs["column"])
        whole = np.full((2, SIDE, SIDE), np.nan, np.float32)
        for i, file in enumerate(record.files):
            with rasterio.open(root / file.path) as source:
                found = source.read(1)[top : top + SIDE, left : left + SIDE]
            whole[i, : found.shape[0], : found.shape[1]] = np.where(found == -32768, np.nan, found)
        return whole


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_tile_lies_where_rasterio_says_and_without_coordinates_in_the_pixels_of_its_scene(
    xview3_archive: Path, tmp_path: Path
) -> None:
    for record in records(xview3_archive):
        with rasterio.open(xview3_archive / record.files[0].path) as scene:
            west = scene.bounds.left + scene.res[1] * float(record.attrs["column"])
            north, side = scene.bounds.top - scene.res[0] * float(record.attrs["row"]), SIDE * scene.res[0]
            assert record.footprint == pytest.approx((west, north - side, west + side, north))
            assert record.footprint_frame == scene.crs.to_string()
    root = Path(shutil.copytree(xview3_archive, tmp_path / "raw"))
    for path in root.rglob("*.tif"):
        with rasterio.open(path) as scene:
            pixels, profile = scene.read(), scene.profile
        del profile["crs"], profile["transform"]
        with rasterio.open(path, "w", **profile) as bare:
            bare.write(pixels)
    found = records(root)
    assert found
    for record in found:
        left, top = float(record.attrs["column"]), float(record.attrs["row"])
        assert record.footprint == (left, top, left + SIDE, top + SIDE)
        assert record.footprint_frame == f"pixels of xView3 {record.group}"


def test_every_detection_is_in_one_tile_on_its_bright_pixel(xview3_archive: Path) -> None:
    tree, found = Folder.at(xview3_archive), records(xview3_archive)
    with open(xview3_archive / "train.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(len(record.objects) for record in found) == len(rows) == 5
    for record in found:
        image = PIPELINE.read(tree, record).image
        for thing in record.objects:
            x, y = int(thing.box[0]), int(thing.box[1])
            assert image[0, y - 1 : y + 2, x - 4 : x + 5].mean() > -2
    labels = sorted(CLASSES[thing.label] for record in found for thing in record.objects)
    assert labels == ["fishing vessel", "not a vessel", "unknown", "vessel", "vessel"]


def test_a_scene_in_no_label_file_is_unused(xview3_archive: Path, tmp_path: Path) -> None:
    shutil.copytree(xview3_archive, tmp_path / "raw")
    (tmp_path / "raw/train.csv").unlink()
    assert {record.unused for record in records(tmp_path / "raw")} == {"scene in no label file"}


def test_a_tile_without_any_data_stays_and_is_counted(xview3_archive: Path, tmp_path: Path) -> None:
    shutil.copytree(xview3_archive, tmp_path / "raw")
    for path in (tmp_path / "raw").rglob("*_dB.tif"):
        with rasterio.open(path, "r+") as file:
            pixels = file.read()
            pixels[:, 800:] = -32768
            file.write(pixels)
    made = build(BuildRequest(dataset=PIPELINE, source=tmp_path / "raw", out=tmp_path / "out"))
    assert made.manifest.splits["train"].count == 4
    assert made.manifest.statistics is not None
    assert made.manifest.statistics["train"].bands["VV"].count == 800 * (1000 - 60)
    assert verify(made.path, full=True) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"detect_scene_row": "5000"}, "expected detections inside 900x1000 pixels, found one at 5000"),
        ({"is_vessel": "perhaps"}, "true, false or nothing"),
    ],
)
def test_a_detection_that_cannot_be_is_named(
    xview3_archive: Path, tmp_path: Path, change: dict[str, str], reason: str
) -> None:
    shutil.copytree(xview3_archive, tmp_path / "raw")
    path = tmp_path / "raw/train.csv"
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    rows[0] |= change
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(BadRecord, match=reason):
        records(tmp_path / "raw")


def test_labels_without_the_columns_are_named(xview3_archive: Path, tmp_path: Path) -> None:
    shutil.copytree(xview3_archive, tmp_path / "raw")
    (tmp_path / "raw/train.csv").write_text("scene_id,row\na,1\n")
    with pytest.raises(BadRecord, match=r"train\.csv: expected the columns .* found no detect_scene_row"):
        records(tmp_path / "raw")
