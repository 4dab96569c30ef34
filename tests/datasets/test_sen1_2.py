"""SEN1-2 pictures are 8-bit and stay so; patches of a scene stay together."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from pipelines.sen1_2 import PIPELINE
from pipelines.synth import sen1_2
from sar_data.build import build
from sar_data.errors import BadRecord
from sar_data.raster.gdal import encoded
from sar_data.record import Record
from sar_data.repack import Changes, prepare_repack
from sar_data.sealed import Build
from sar_data.sources.tree import Folder
from sar_data.stages.prepare import Options
from tests.contract.pipelines import PipelineContract


@pytest.fixture(scope="module")
def sen1_2_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sen1_2")
    sen1_2.synthesise(out, count=32, seed=0)
    return out


class TestSen12(PipelineContract):
    pipeline = PIPELINE

    @pytest.fixture
    def archive(self, sen1_2_archive: Path) -> Path:
        return sen1_2_archive


def records(root: Path) -> list[Record]:
    tree = Folder.at(root)
    return [record for unit in PIPELINE.units(tree) for record in PIPELINE.scan(tree, unit)]


@pytest.fixture(scope="module")
def sealed(sen1_2_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    return build(PIPELINE, source=sen1_2_archive, out=tmp_path_factory.mktemp("out"), options=Options())


def test_no_db_is_recoverable_and_the_statistics_are_of_the_picture_alone(sealed: Build) -> None:
    assert [band.unit for band in sealed.manifest.bands] == ["8-bit"]
    assert sealed.manifest.statistics is not None
    figures = sealed.manifest.statistics["train"].bands["VV"]
    assert figures.power is figures.db is None
    assert figures.stored.unit == "8-bit"
    images = np.concatenate([sealed.dataset(split).image.values for split in ("train",)])
    assert figures.stored.mean == pytest.approx(images.mean(), rel=1e-12)
    with pytest.raises(ValueError, match="expected values in dB, found unit '8-bit'"):
        prepare_repack(sealed, Changes(dtype="int16"))


def test_it_has_no_labels_and_says_so(sealed: Build) -> None:
    assert sealed.manifest.tasks == []
    assert set(map(tuple, sealed.index()["labels"].to_pylist())) == {()}


def test_patches_of_one_scene_and_season_are_never_in_two_splits(sealed: Build) -> None:
    index = sealed.index()
    pairs = set(zip(index["group"].to_pylist(), index["split"].to_pylist(), strict=True))
    assert len(pairs) == len({group for group, _ in pairs}) == 8


def test_scenes_are_numbered_from_0_and_seasons_are_places_of_their_own(sen1_2_archive: Path) -> None:
    groups = {record.group for record in records(sen1_2_archive)}
    assert {"ROIs1158_spring_0", "ROIs2017_winter_0", "ROIs1158_spring_1"} <= groups


def test_optical_folders_and_geotiffs_of_the_sibling_dataset_are_no_samples(
    sen1_2_archive: Path, tmp_path: Path
) -> None:
    shutil.copytree(sen1_2_archive, tmp_path / "raw")
    (tmp_path / "raw/ROIs1158_spring/s2_0/ROIs1158_spring_s2_0_p30.png").write_bytes(b"optical")
    (tmp_path / "raw/ROIs1158_spring/s1_0/ROIs1158_spring_s1_0_p30.tif").write_bytes(b"a tif")
    assert len(records(tmp_path / "raw")) == 32


@pytest.mark.parametrize("name", ["ROIs1158_spring_s1_1_p30.png", "ROIs1158_spring_s1_0.png"])
def test_a_picture_of_another_name_or_folder_is_named(sen1_2_archive: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(sen1_2_archive, tmp_path / "raw")
    folder = tmp_path / "raw/ROIs1158_spring/s1_0"
    (folder / "ROIs1158_spring_s1_0_p30.png").rename(folder / name)
    with pytest.raises(BadRecord, match="expected a name like"):
        records(tmp_path / "raw")


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.zeros((1, 128, 256), np.uint8), "256x256 pixels"),
        (np.stack([np.full((256, 256), v, np.uint8) for v in (1, 2, 3)]), "three equal ones"),
        (np.zeros((1, 256, 256), np.uint16), "8-bit pixels"),
    ],
)
def test_a_picture_that_is_no_radar_patch_is_named(
    sen1_2_archive: Path,
    tmp_path: Path,
    pixels: np.ndarray,
    reason: str,  # type: ignore[type-arg]
) -> None:
    shutil.copytree(sen1_2_archive, tmp_path / "raw")
    path = tmp_path / "raw/ROIs1158_spring/s1_0/ROIs1158_spring_s1_0_p30.png"
    path.write_bytes(encoded(pixels, "PNG"))
    found = next(record for record in records(tmp_path / "raw") if record.files[0].path.endswith(path.name))
    with pytest.raises(BadRecord, match=reason):
        PIPELINE.read(Folder.at(tmp_path / "raw"), found)
