"""SEN12MS is split by whole scenes, and its MODIS maps become ten classes, or stay the 17 of IGBP."""

from __future__ import annotations

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

from pipelines.sen12ms import FILE, PARTNER, PIPELINE
from pipelines.synth import sen12ms
from sar_data import synth
from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.errors import BadRecord, MissingList, SplitError
from sar_data.labels import igbp
from sar_data.record import Record, SourceFile
from sar_data.sources.tree import Folder
from sar_data.spec import Pipeline
from sar_data.testing.pipelines import ListsIn
from tests.contract.pipelines import PipelineContract

WHOLE = PIPELINE.variants["igbp"]


def records(root: Path, pipeline: Pipeline = PIPELINE) -> dict[str, Record]:
    tree = Folder.at(root)
    return {record.key: record for unit in pipeline.units(tree) for record in pipeline.scan(tree, unit)}


@pytest.fixture(scope="module")
def sen12ms_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sen12ms")
    sen12ms.synthesise(out, count=14, seed=0)
    return out


@pytest.fixture
def copy(sen12ms_archive: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sen12ms_archive, tmp_path / "raw"))


class TestSen12ms(PipelineContract):
    pipeline = PIPELINE

    @pytest.fixture
    def archive(self, sen12ms_archive: Path) -> Path:
        return sen12ms_archive

    def raw_bands(self, root: Path, record: Record) -> npt.NDArray[Any]:
        return super().raw_bands(root, replace(record, files=record.files[:1]))


class TestIgbp(TestSen12ms):
    pipeline = WHOLE


def test_the_patch_that_holds_nan_is_unused_and_says_why(sen12ms_archive: Path) -> None:
    unused = {key: record.unused for key, record in records(sen12ms_archive).items() if record.unused}
    assert unused == {"ROIs1868_summer_s1_146_p202": "holds NaN, and is in no official list"}


def test_the_lists_name_sentinel_2_and_hold_whole_scenes_out(sen12ms_archive: Path) -> None:
    found = list(records(sen12ms_archive).values())
    made = PIPELINE.splits["official"].assign(found, seed=0, lists=ListsIn(sen12ms_archive / "lists"))
    assert not made.bad
    assert Counter(made.split) == {"train": 11, "test": 2, "unused": 1}
    tested = {record.group for record, split in zip(found, made.split, strict=True) if split == "test"}
    assert tested == {"ROIs1158_spring_106"}


def test_val_is_carved_from_train_by_whole_scenes_and_test_stays(sen12ms_archive: Path) -> None:
    found, lists = list(records(sen12ms_archive).values()), ListsIn(sen12ms_archive / "lists")
    official = PIPELINE.splits["official"].assign(found, seed=0, lists=lists)
    for seed in range(4):
        made = PIPELINE.splits["official-val"].assign(found, seed=seed, lists=lists)
        assert {"train", "val", "test"} <= set(made.split)
        homes: dict[str | None, set[str]] = {}
        for record, split, before in zip(found, made.split, official.split, strict=True):
            assert split == before or (before, split) == ("train", "val")
            if split != "unused":
                homes.setdefault(record.group, set()).add(split)
        assert all(len(splits) == 1 for splits in homes.values())
    with pytest.raises(SplitError, match="expected a group, found none"):
        PIPELINE.splits["official-val"].assign([replace(r, group=None) for r in found], seed=0, lists=lists)


def test_without_the_lists_the_build_stops_and_says_what_to_fetch(sen12ms_archive: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingList, match=r"expected the lists train_list.txt, test_list.txt, found no train_list.txt"):
        build(BuildRequest(dataset=PIPELINE, source=sen12ms_archive, out=tmp_path / "out", lists=tmp_path))
    known = {source.name: source.checksum for source in PIPELINE.spec.sources}
    assert known["train_list.txt"] == "md5:0a68d4e1eb24f128fccdb930000b2546"
    assert known["test_list.txt"] == "md5:c7faad064001e646445c4c634169484d"


def test_published_counts_of_the_lists_fill_the_dataset() -> None:
    """162,555 and 18,106 patches are listed; the one that holds NaN is the only other."""
    broken = Record(key="ROIs1868_summer_s1_146_p202", files=(SourceFile("x", 1),), unused="NaN")
    assert 162_555 + 18_106 + 1 == 62_201 + 45_753 + 40_883 + 31_825 == PIPELINE.spec.samples
    assert FILE.fullmatch(f"{broken.key}.tif")
    assert PARTNER.fullmatch("ROIs1970_fall_s2_22_p30.tif")
    assert not PARTNER.fullmatch("ROIs1158_spring_s2_cloudy_1_p30.tif")


def write(root: Path, kind: str, pixels: Any) -> None:
    path = root / "ROIs1158_spring" / f"{kind}_1" / f"ROIs1158_spring_{kind}_1_p30.tif"
    place = (10.0, 0.0, 400_000.5, 0.0, -10.0, 5_000_000.25)
    path.write_bytes(synth.geotiff(pixels, epsg=32737, transform=place, rows_per_strip=16))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_float_is_read_and_none_is_changed(copy: Path, dtype: type[np.floating]) -> None:
    image = np.random.default_rng(0).normal(-12, 3, (2, 256, 256)).astype(dtype)
    write(copy, "s1", image)
    found = PIPELINE.read(Folder.at(copy), records(copy)["ROIs1158_spring_s1_1_p30"]).image
    assert found.tobytes() == image.tobytes()


def test_half_floats_are_widened(copy: Path) -> None:
    image = np.random.default_rng(0).normal(-12, 3, (2, 256, 256)).astype(np.float16)
    write(copy, "s1", image)
    found = PIPELINE.read(Folder.at(copy), records(copy)["ROIs1158_spring_s1_1_p30"]).image
    assert found.dtype == np.float32
    assert np.array_equal(found, image)


def test_codes_of_igbp_become_ten_classes_or_stay_seventeen_and_none_is_ignored(copy: Path) -> None:
    codes = np.zeros((4, 256, 256), np.uint16)
    codes[0, 0, :19] = [*range(18), 255]
    write(copy, "lc", codes)
    tree = Folder.at(copy)
    ten, whole = (p.read(tree, records(copy, p)["ROIs1158_spring_s1_1_p30"]).mask for p in (PIPELINE, WHOLE))
    assert ten is not None
    assert whole is not None
    assert ten[0, :19].tolist() == [255, 0, 0, 0, 0, 0, 1, 1, 2, 2, 3, 4, 5, 6, 5, 7, 8, 9, 255]
    assert whole[0, :19].tolist() == [255, *range(17), 255]
    assert (len(igbp.DFC), len(igbp.IGBP), len(igbp.TO_DFC)) == (10, 17, 18)


FIRST = Path("ROIs1158_spring/s1_1/ROIs1158_spring_s1_1_p30.tif")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda root: write(root, "s1", np.zeros((2, 256, 256), np.int16)), "found int16"),
        (lambda root: write(root, "s1", np.zeros((1, 256, 256), np.float32)), "found 1 band"),
        (lambda root: write(root, "s1", np.zeros((2, 256, 128), np.float32)), "256x128"),
        (lambda root: write(root, "lc", np.zeros((1, 256, 256), np.uint16)), "expected 4 bands"),
        (lambda root: write(root, "lc", np.full((4, 256, 256), 18, np.uint16)), r"IGBP codes 0 to 17.*found \[18\]"),
        (lambda root: os.truncate(root / FIRST, 9000), "truncated"),
        (lambda root: (root / FIRST).write_text("<!DOCTYPE html>"), "DOCTYPE"),
        (
            lambda root: (root / FIRST).rename(root / FIRST.parent / "ROIs1158_spring_s1_2_p30.tif"),
            "expected a patch of s1_1",
        ),
        (lambda root: (root / "ROIs1158_spring/lc_1/ROIs1158_spring_lc_1_p30.tif").unlink(), "found none"),
    ],
)
def test_a_damaged_file_is_a_bad_record(copy: Path, damage: Callable[[Path], Any], reason: str) -> None:
    damage(copy)
    with pytest.raises(BadRecord, match=reason):
        PIPELINE.read(Folder.at(copy), records(copy)["ROIs1158_spring_s1_1_p30"])
