"""LS-SSDD's tiles follow their scenes, empty ones stay, and whole scenes are another form of the same."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from pipelines import ls_ssdd
from pipelines.ls_ssdd import PIPELINE, TILE
from pipelines.synth import ls_ssdd as synthetic
from sar_data.errors import BadRecord, SourceError
from sar_data.labels import coco
from sar_data.record import Record
from sar_data.sources.tree import Folder
from tests.contract.pipelines import PipelineContract
from tests.datasets.test_real_sample import SAMPLES

REAL = SAMPLES / "ls_ssdd"
needs_samples = pytest.mark.skipif(not REAL.is_dir(), reason="no LS-SSDD lists: name their folder by SAR_DATA_SAMPLES")
TOP = "LS-SSDD-v1.0-OPEN"


def scan(root: Path) -> list[Record]:
    tree = Folder.at(root)
    return [record for unit in sorted(ls_ssdd.units(tree)) for record in ls_ssdd.scan(tree, unit)]


@pytest.fixture(scope="module")
def ls_ssdd_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ls-ssdd")
    synthetic.synthesise(out, count=6, seed=0)
    return out


@pytest.fixture
def copy(ls_ssdd_archive: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ls_ssdd_archive, tmp_path / "raw"))


class TestTiles(PipelineContract):
    pipeline = PIPELINE

    @pytest.fixture
    def archive(self, ls_ssdd_archive: Path) -> Path:
        return ls_ssdd_archive


class TestScenes(PipelineContract):
    pipeline = PIPELINE.variants["scenes"]

    @pytest.fixture
    def archive(self, ls_ssdd_archive: Path) -> Path:
        return ls_ssdd_archive


@needs_samples
def test_the_published_names_fall_into_the_published_splits() -> None:
    ships, tiles, busy = Counter[str](), Counter[str](), Counter[str]()
    for split in ("train", "test"):
        known = coco.load(Folder.at(REAL), f"LS_SSDDv1.0_{split}.json")
        for name in known.images:
            found = TILE.fullmatch(name)
            assert found is not None
            assert ("train" if int(found[1]) <= 10 else "test") == split
            assert 1 <= int(found[2]) <= ls_ssdd.ROWS
            assert 1 <= int(found[3]) <= ls_ssdd.COLUMNS
            objects = known.objects(name, ls_ssdd.CLASSES)
            tiles[split] += 1
            busy[split] += bool(objects)
            ships[split] += len(objects)
    assert tiles == {"train": 6000, "test": 3000}
    assert ships == {"train": 3637, "test": 2378}
    assert busy == {"train": 1123, "test": 736}


@needs_samples
def test_a_category_id_that_is_text_and_a_polygon_of_two_corners_are_understood() -> None:
    raw = json.loads((REAL / "LS_SSDDv1.0_test.json").read_text())["annotations"][0]
    assert (raw["category_id"], len(raw["segmentation"][0])) == ("1", 4)
    known = coco.load(Folder.at(REAL), "LS_SSDDv1.0_test.json")
    (first, *_) = known.objects("15_20_9.jpg", ls_ssdd.CLASSES)
    assert (first.label, first.box, first.polygons) == (0, (148, 393, 165, 420), ())


def test_empty_tiles_stay_and_belong_to_the_task(ls_ssdd_archive: Path) -> None:
    records = scan(ls_ssdd_archive)
    assert Counter(bool(record.objects) for record in records) == {True: 2, False: 4}
    assert all(record.unused is None and "ships" in record.labels for record in records)


def test_scene_row_and_column_come_from_the_name(ls_ssdd_archive: Path) -> None:
    found = {record.key: record for record in scan(ls_ssdd_archive)}
    tile = found["11_1_2"]
    assert (tile.group, tile.attrs, tile.official) == ("11", {"row": "1", "column": "2"}, "test")
    assert found["02_1_2"].official == "train"


def test_a_tile_lies_in_the_pixels_of_its_scene(ls_ssdd_archive: Path) -> None:
    found = {record.key: record for record in scan(ls_ssdd_archive)}
    assert found["11_1_2"].footprint == (800, 0, 1600, 800)
    for record in found.values():
        row, column = (int(record.attrs[name]) - 1 for name in ("row", "column"))
        assert record.footprint == (800 * column, 800 * row, 800 * (column + 1), 800 * (row + 1))
        assert record.footprint_frame == f"pixels of LS-SSDD {record.group}"


@pytest.mark.parametrize("flat", ["JPEGImages_sub", "JPEGImages_all"])
def test_a_flat_folder_of_tiles_is_as_good(ls_ssdd_archive: Path, copy: Path, flat: str) -> None:
    (copy / TOP / flat).mkdir(exist_ok=True)
    for path in list(copy.rglob("*_*_*.jpg")):
        path.rename(copy / TOP / flat / path.name)
    assert [r.key for r in scan(copy)] == sorted(r.key for r in scan(ls_ssdd_archive))


def test_a_tile_stored_twice_is_an_ambiguity(copy: Path) -> None:
    (copy / TOP / "again").mkdir()
    shutil.copy(next(copy.rglob("01_1_1.jpg")), copy / TOP / "again")
    with pytest.raises(SourceError, match=r"expected 01_1_1\.jpg once, found .* and "):
        scan(copy)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("01_1_1.xml", None, r"found no 01_1_1\.xml"),
        ("01_1_1.jpg", None, r"found no 01_1_1\.jpg"),
        ("01_1_1.*", "01_21_1", "rows to 20 and columns to 30, found 01_21_1"),
        ("01_1_1.*", "01_1_31", "rows to 20 and columns to 30, found 01_1_31"),
        ("01_1_1.*", "16_1_1", "a scene 01 to 15"),
        ("01_1_1.*", "15_1_1", "expected scene 15 among the test images"),
    ],
)
def test_a_name_that_cannot_be_is_told(copy: Path, old: str, new: str | None, reason: str) -> None:
    for path in list(copy.rglob(old)):
        if new is None:
            path.unlink()
        else:
            path.rename(path.with_name(f"{new}{path.suffix}"))
    with pytest.raises(BadRecord, match=reason):
        scan(copy)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"<height>800", b"<height>600", r"expected a size of 800x800, found \(600, 800\)"),
        (b"bndbox>", b"box>", "expected a <bndbox> in every"),
    ],
)
def test_a_broken_annotation_is_named(copy: Path, old: bytes, new: bytes, reason: str) -> None:
    path = next(copy.rglob("01_1_1.xml"))
    assert old in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(BadRecord, match=reason):
        scan(copy)
