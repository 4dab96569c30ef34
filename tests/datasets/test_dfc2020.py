"""DFC2020 is found by its file names wherever they lie, and its codes become eight classes."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pipelines.dfc2020 import CLASSES, KEPT, OFFICIAL, PIPELINE
from pipelines.synth import dfc2020
from sar_data import synth
from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.errors import BadRecord, SourceError
from sar_data.record import Record, SourceFile
from sar_data.sources.tree import Folder
from sar_data.spec import Pipeline
from sar_data.testing.pipelines import ListsIn
from tests.contract.pipelines import PipelineContract
from tests.places import SAMPLES

COARSE = PIPELINE.variants["lc"]


def records(root: Path, pipeline: Pipeline = PIPELINE) -> dict[str, Record]:
    tree = Folder.at(root)
    return {record.key: record for unit in pipeline.units(tree) for record in pipeline.scan(tree, unit)}


@pytest.fixture(scope="module")
def dfc_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dfc")
    dfc2020.synthesise(out, count=12, seed=0)
    return out


@pytest.fixture
def copy(dfc_archive: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(dfc_archive, tmp_path / "raw"))


class TestDfc(PipelineContract):
    pipeline = PIPELINE

    @pytest.fixture
    def archive(self, dfc_archive: Path) -> Path:
        return dfc_archive

    def raw_bands(self, root: Path, record: Record) -> npt.NDArray[Any]:
        return super().raw_bands(root, replace(record, files=record.files[:1]))


class TestCoarse(TestDfc):
    pipeline = COARSE


def test_wrapped_and_flat_archives_are_found_and_macos_junk_is_not(dfc_archive: Path) -> None:
    found = records(dfc_archive)
    folders = {record.files[0].path.rpartition("/")[0] for record in found.values()}
    assert folders == {"ROIs0000_validation/s1_validation", "s1_0"}
    assert Counter(record.official for record in found.values()) == {"train": 4, "test": 8}


def test_the_folder_says_validation_and_the_file_says_0(dfc_archive: Path) -> None:
    assert "ROIs0000_validation_s1_0_p0" in records(dfc_archive)


def test_files_are_known_by_name_in_any_folder(dfc_archive: Path, copy: Path) -> None:
    keys = set(records(dfc_archive))
    flat = copy / "all"
    flat.mkdir()
    for path in [path for path in copy.rglob("ROIs*.tif") if "_s1_" in path.name or "_dfc_" in path.name]:
        path.rename(flat / path.name)
    assert set(records(copy)) == keys


def test_float64_is_narrowed_and_counted(dfc_archive: Path, tmp_path: Path) -> None:
    made = build(BuildRequest(dataset=PIPELINE, source=dfc_archive, out=tmp_path, format="lmdb"))
    assert made.manifest.narrowed_records == 12
    assert made.manifest.storage.dtype == "float32"


def test_an_identity_transform_is_no_georeference(copy: Path) -> None:
    path = copy / "s1_0" / "ROIs0000_test_s1_0_p0.tif"
    identity = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    path.write_bytes(synth.geotiff(np.full((2, 256, 256), -10.0), epsg=4326, transform=identity, rows_per_strip=16))
    record = records(copy)["ROIs0000_test_s1_0_p0"]
    assert (record.crs, record.transform, record.footprint) == (None, None, None)
    assert PIPELINE.read(Folder.at(copy), record).image.dtype == np.float64


def test_codes_become_eight_classes_in_a_row_and_the_others_are_ignored(copy: Path) -> None:
    path = copy / "dfc_0" / "ROIs0000_test_dfc_0_p0.tif"
    codes = np.tile(np.arange(256, dtype=np.int32) % 11, (256, 1))
    path.write_bytes(synth.geotiff(codes[None], epsg=None, transform=None, rows_per_strip=16))
    mask = PIPELINE.read(Folder.at(copy), records(copy)["ROIs0000_test_s1_0_p0"]).mask
    assert mask is not None
    assert mask[0, :11].tolist() == [255, 0, 1, 255, 2, 3, 4, 5, 255, 6, 7]
    assert CLASSES == ("Forest", "Shrubland", "Grassland", "Wetlands", "Croplands", "Urban/Built-up", "Barren", "Water")


def test_the_coarse_maps_are_igbp_and_come_to_the_same_classes(copy: Path) -> None:
    tree = Folder.at(copy)
    path = copy / "lc_0" / "ROIs0000_test_lc_0_p0.tif"
    igbp = np.zeros((4, 256, 256), np.uint16)
    igbp[0, 0, :19] = [*range(18), 255]
    path.write_bytes(synth.geotiff(igbp, epsg=None, transform=None, rows_per_strip=16))
    mask = COARSE.read(tree, records(copy, COARSE)["ROIs0000_test_s1_0_p0"]).mask
    assert mask is not None
    expected = [255, 0, 0, 0, 0, 0, 1, 1, 255, 255, 2, 3, 4, 5, 4, 255, 6, 7, 255]
    assert mask[0, :19].tolist() == expected


def write(root: Path, kind: str, pixels: Any) -> None:
    path = root / f"{kind}_0" / f"ROIs0000_test_{kind}_0_p0.tif"
    path.write_bytes(synth.geotiff(pixels, epsg=None, transform=None, rows_per_strip=16))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda root: write(root, "s1", np.zeros((1, 256, 256))), "expected 2 bands of 256x256 pixels, found 1 band"),
        (lambda root: write(root, "s1", np.zeros((3, 256, 256))), "found 3 bands"),
        (lambda root: write(root, "s1", np.zeros((2, 128, 256))), "128x256"),
        (lambda root: write(root, "s1", np.zeros((2, 256, 256), np.int16)), "found int16"),
        (lambda root: write(root, "dfc", np.full((1, 256, 256), 11, np.int32)), r"found \[11\]"),
        (lambda root: write(root, "dfc", np.full((1, 256, 256), -1, np.int32)), r"found \[-1\]"),
        (lambda root: write(root, "dfc", np.ones((1, 64, 64), np.int32)), "64x64"),
        (lambda root: write(root, "dfc", np.ones((1, 256, 256), np.float32)), "found float32"),
        (lambda root: (root / "s1_0" / "ROIs0000_test_s1_0_p0.tif").write_bytes(b""), "an empty file"),
        (lambda root: (root / "dfc_0" / "ROIs0000_test_dfc_0_p0.tif").write_text("<!DOCTYPE html>"), "DOCTYPE"),
        (lambda root: os.truncate(root / "s1_0" / "ROIs0000_test_s1_0_p0.tif", 9000), "truncated"),
    ],
)
def test_a_damaged_file_is_a_bad_record_at_read(copy: Path, damage: Callable[[Path], Any], reason: str) -> None:
    damage(copy)
    with pytest.raises(BadRecord, match=reason):
        PIPELINE.read(Folder.at(copy), records(copy)["ROIs0000_test_s1_0_p0"])


def test_missing_twofold_and_strange_files_are_named(dfc_archive: Path, tmp_path: Path) -> None:
    for case, (damage, kind, reason) in enumerate(
        (
            (
                lambda root: (root / "dfc_0" / "ROIs0000_test_dfc_0_p0.tif").unlink(),
                BadRecord,
                "expected ROIs0000_test_dfc_0_p0.tif in the source, found none",
            ),
            (lambda root: shutil.copytree(root / "dfc_0", root / "dfc_1"), SourceError, "expected .* once, found dfc_"),
            (
                lambda root: (root / "s1_0" / "ROIs0000_test_s1_0_p0 (1).tif").write_bytes(b""),
                BadRecord,
                "expected a name that matches",
            ),
        )
    ):
        root = Path(shutil.copytree(dfc_archive, tmp_path / str(case)))
        damage(root)
        with pytest.raises(kind, match=reason):
            records(root)


def test_the_official_split_has_no_val_and_copernicus_bench_leaves_the_validation_out(dfc_archive: Path) -> None:
    found = list(records(dfc_archive).values())
    official = PIPELINE.splits["official"].assign(found, seed=0, lists=ListsIn(dfc_archive / "lists"))
    assert Counter(official.split) == {"train": 4, "test": 8}
    bench = PIPELINE.splits["copernicus-bench"].assign(found, seed=0, lists=ListsIn(dfc_archive / "lists"))
    assert not bench.bad
    assert {reason for record, reason in zip(found, bench.reason, strict=True) if record.official == "train"} == {
        "in no official list"
    }
    assert Counter(bench.split)["unused"] == 4


def test_all_published_names_give_the_published_split() -> None:
    names = [f"ROIs0000_{part}_s1_0_p{n}" for part, size in (("validation", 986), ("test", 5128)) for n in range(size)]
    made = [Record(key=name, files=(SourceFile(name, 1),), official=OFFICIAL[name.split("_")[1]]) for name in names]
    found = PIPELINE.splits["official"].assign(made, seed=0, lists=ListsIn(Path()))
    assert Counter(found.split) == {"train": 986, "test": 5128}


def test_the_real_statistics_know_the_same_classes_and_986_patches() -> None:
    folder = SAMPLES / "dfc2020"
    if not folder.is_dir():
        pytest.skip(f"no real statistics in {SAMPLES}: set SAR_DATA_SAMPLES")
    classes = json.loads((folder / "dataset_stats.json").read_text())["classes"]
    assert tuple(classes["present_classes"]) == KEPT
    counts = {int(code): n for code, n in classes["per_class_count"].items()}
    assert [counts[code] for code in KEPT] == [
        *(5_904_112, 3_353_501, 7_655_859, 11_272_496, 8_405_224, 3_517_590, 1_887_823, 22_621_891)
    ]
    assert sum(counts.values()) == classes["total_labeled_pixels"] == 986 * 256 * 256
    parts = json.loads((folder / "splits_thirdparty_seed53.json").read_text())
    numbers = sorted(int(name[1:]) for part in parts.values() if isinstance(part, list) for name in part)
    assert numbers == list(range(986))
