"""SEN12MS patches come with land cover in ten classes or seventeen, held apart by scene, split by lists of S2 names."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio

from pipelines.sen12ms import PIPELINE
from pipelines.synth import sen12ms
from sar_data import synth
from sar_data.build import build
from sar_data.errors import BadRecord, MissingList
from sar_data.labels import igbp
from sar_data.record import Record
from sar_data.sources.tree import Folder
from sar_data.stages.prepare import Options
from tests.contract.pipelines import PipelineContract

WHOLE = PIPELINE.variants["igbp"]


@pytest.fixture(scope="module")
def sen12ms_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sen12ms")
    sen12ms.synthesise(out, count=24, seed=0)
    return out


class TestSen12ms(PipelineContract):
    pipeline = PIPELINE

    @pytest.fixture
    def archive(self, sen12ms_archive: Path) -> Path:
        return sen12ms_archive

    def raw_bands(self, root: Path, record: Record) -> npt.NDArray[Any]:
        return super().raw_bands(root, record)[:2]


def records(root: Path) -> dict[str, Record]:
    tree = Folder.at(root)
    return {record.key: record for unit in PIPELINE.units(tree) for record in PIPELINE.scan(tree, unit)}


@pytest.fixture
def copy(sen12ms_archive: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sen12ms_archive, tmp_path / "raw"))


def test_the_masks_are_the_first_band_of_the_map_in_ten_classes_or_in_seventeen(sen12ms_archive: Path) -> None:
    tree = Folder.at(sen12ms_archive)
    for record in list(records(sen12ms_archive).values())[::6]:
        with rasterio.open(sen12ms_archive / record.files[1].path) as source:
            codes = source.read(1)
        simple, whole = PIPELINE.read(tree, record).mask, WHOLE.read(tree, record).mask
        assert simple is not None
        assert whole is not None
        for code in np.unique(codes).tolist():
            assert set(whole[codes == code].tolist()) == {code - 1 if code else 255}
            assert set(simple[codes == code].tolist()) == {igbp.TO_DFC[code] - 1 if code else 255}
        assert (simple == 255).any()


def test_the_grouping_is_that_of_the_contest() -> None:
    grouped = [igbp.DFC[i - 1] for i in igbp.TO_DFC[1:]]
    assert len(igbp.IGBP) == len(grouped) == 17
    assert grouped[:5] == ["Forest"] * 5
    assert [grouped[i - 1] for i in (6, 7, 8, 9, 10, 11, 12, 14, 13, 15, 16, 17)] == [
        *("Shrubland", "Shrubland", "Savanna", "Savanna", "Grassland", "Wetlands", "Croplands", "Croplands"),
        *("Urban/Built-up", "Snow/Ice", "Barren", "Water"),
    ]


def test_lists_of_sentinel_2_names_place_the_radar_and_the_patch_with_nan_is_in_none(
    sen12ms_archive: Path, tmp_path: Path
) -> None:
    options = Options(split="official", lists=sen12ms_archive / "lists")
    made = build(PIPELINE, source=sen12ms_archive, out=tmp_path, options=options).manifest
    assert {split: made.splits[split].count for split in made.splits} == {"train": 19, "val": 0, "test": 4}
    assert made.unused == {"in no official list": 1}
    with pytest.raises(MissingList, match=r"train_list\.txt"):
        build(PIPELINE, source=sen12ms_archive, out=tmp_path, options=Options(split="official", lists=tmp_path))


def test_nan_is_counted_and_wider_floats_are_narrowed_and_counted(sen12ms_archive: Path, tmp_path: Path) -> None:
    made = build(PIPELINE, source=sen12ms_archive, out=tmp_path, options=Options(split="random")).manifest
    assert made.statistics is not None
    masked = [figures.bands["VV"].masked for figures in made.statistics.values()]
    assert sum(found["nan"] for found in masked) == 81
    assert sum(found["nodata"] for found in masked) == 0
    assert made.narrowed_records == 12


def test_patches_of_a_scene_overlap_and_stay_together(sen12ms_archive: Path, tmp_path: Path) -> None:
    index = build(PIPELINE, source=sen12ms_archive, out=tmp_path, options=Options()).index()
    pairs = set(zip(index["group"].to_pylist(), index["split"].to_pylist(), strict=True))
    assert len(pairs) == len({group for group, _ in pairs}) == 6


def test_the_sibling_with_clouds_has_other_folders_and_is_refused(copy: Path) -> None:
    (copy / "ROIs1158_spring_s1").mkdir()
    shutil.move(copy / "ROIs1158_spring/s1_1", copy / "ROIs1158_spring_s1/s1_1")
    assert not [key for key in records(copy) if key.startswith("ROIs1158_spring_s1_1_")]


@pytest.mark.parametrize(
    ("kind", "pixels", "reason"),
    [
        ("s1", np.zeros((2, 256, 256), np.int16), "expected float32 or float64 pixels, found int16"),
        ("s1", np.zeros((1, 256, 256), np.float32), "expected 2 bands"),
        ("s1", np.zeros((2, 128, 256), np.float32), "256x256"),
        ("lc", np.zeros((1, 256, 256), np.uint16), "expected 4 bands"),
        ("lc", np.full((4, 256, 256), 18, np.uint16), "expected IGBP codes 0 to 17"),
    ],
)
def test_a_file_that_is_none_of_this_dataset_is_named(
    copy: Path, kind: str, pixels: npt.NDArray[Any], reason: str
) -> None:
    path = copy / f"ROIs1158_spring/{kind}_1/ROIs1158_spring_{kind}_1_p30.tif"
    path.write_bytes(synth.geotiff(pixels, epsg=32633, transform=(10, 0, 4e5, 0, -10, 5e6), rows_per_strip=32))
    with pytest.raises(BadRecord, match=reason) as raised:
        PIPELINE.read(Folder.at(copy), records(copy)["ROIs1158_spring_s1_1_p30"])
    assert raised.value.path.endswith(path.name)


def test_a_patch_without_its_map_is_named(copy: Path) -> None:
    (copy / "ROIs1158_spring/lc_1/ROIs1158_spring_lc_1_p30.tif").unlink()
    with pytest.raises(BadRecord, match=r"lc_1_p30\.tif: expected a file, found none"):
        records(copy)
