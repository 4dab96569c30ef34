"""AIR-SARShip's two releases are read by their two schemas, as 16-bit numbers."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from pipelines.air_sarship import PIPELINE
from pipelines.synth import air_sarship as synthetic
from sar_data import synth
from sar_data.errors import BadRecord
from sar_data.labels import boxes
from sar_data.record import Record
from sar_data.sources.tree import Folder
from sar_data.spec import Pipeline
from tests.contract.pipelines import PipelineContract

LATER = PIPELINE.variants["2.0"]


def scan(root: Path, pipeline: Pipeline = PIPELINE) -> list[Record]:
    tree = Folder.at(root)
    return [record for unit in sorted(pipeline.units(tree)) for record in pipeline.scan(tree, unit)]


@pytest.fixture(scope="module")
def air_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("air-sarship")
    synthetic.synthesise(out, count=6, seed=0)
    return out


@pytest.fixture
def copy(air_archive: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(air_archive, tmp_path / "raw"))


class TestFirst(PipelineContract):
    pipeline = PIPELINE

    @pytest.fixture
    def archive(self, air_archive: Path) -> Path:
        return air_archive


class TestLater(PipelineContract):
    pipeline = LATER

    @pytest.fixture
    def archive(self, air_archive: Path) -> Path:
        return air_archive


def test_each_release_reads_its_own_folders(air_archive: Path) -> None:
    assert (len(scan(air_archive)), len(scan(air_archive, LATER))) == (6, 2)
    assert len({record.shape for record in scan(air_archive)}) > 3


def test_upright_points_are_boxes_and_turned_ones_keep_their_outline(air_archive: Path) -> None:
    for record in scan(air_archive, LATER):
        for i, ship in enumerate(record.objects):
            assert [len(ring) for ring in ship.polygons] == ([8] if i % 2 else [])
            if ship.polygons:
                assert boxes.bounding_box(ship.polygons[0]) == pytest.approx(ship.box)


def test_sixteen_bits_are_kept(air_archive: Path) -> None:
    image = PIPELINE.read(Folder.at(air_archive), scan(air_archive)[0]).image
    assert (image.dtype, int(image.max()) > 255) == (np.uint16, True)


@pytest.mark.parametrize(
    ("version", "old", "new", "reason"),
    [
        ("1.0", b"bndbox>", b"box>", "expected a <bndbox> or at least three points"),
        ("2.0", b"points>", b"dots>", "expected a <bndbox> or at least three points"),
        ("2.0", b"<name>ship", b"<name>car", "expected objects named ship, found 'car'"),
        ("2.0", b"<height>1000", b"<height>900", "expected an image of 1000x1000 pixels, found 900x1000"),
        ("2.0", b"<point>", b"<point>9e9", "expected a number in <point>"),
    ],
)
def test_a_broken_annotation_is_named(copy: Path, version: str, old: bytes, new: bytes, reason: str) -> None:
    path = next((copy / f"AIR-SARShip-{version}-xml").rglob("1.xml"))
    assert old in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(BadRecord, match=reason):
        scan(copy, LATER if version == "2.0" else PIPELINE)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.zeros((1, 330, 330), np.uint8), "uint16"),
        (np.zeros((3, 330, 330), np.uint16), "1 band"),
        (np.zeros((1, 30, 30), np.uint16), "30x30"),
    ],
)
def test_another_dtype_size_or_band_count_stops_the_build(copy: Path, image: np.ndarray, reason: str) -> None:  # type: ignore[type-arg]
    height, width = next(record.shape or () for record in scan(copy) if record.key == "1")
    image = image[:, :height, :width]
    data = synth.geotiff(image, epsg=None, transform=None, rows_per_strip=16)
    (copy / "AIR-SARShip-1.0-data/1.tiff").write_bytes(data)
    (record,) = (record for record in scan(copy) if record.key == "1")
    with pytest.raises(BadRecord, match=reason):
        PIPELINE.read(Folder.at(copy), record)
