"""Sen1Floods11 keeps what is missing apart from what is dry, follows its lists, and holds Bolivia out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pipelines.sen1floods11 import EVENTS, PIPELINE
from pipelines.synth import sen1floods11
from sar_data import synth
from sar_data.errors import BadRecord
from sar_data.record import Record
from sar_data.sources.tree import Folder
from sar_data.spec import Pipeline
from sar_data.testing.pipelines import ListsIn
from tests.contract.pipelines import PipelineContract
from tests.places import SAMPLES

WEAK = PIPELINE.variants["weak"]
LISTS = "v1.1/splits/flood_handlabeled"
SHAPE = (512, 512)


@pytest.fixture(scope="module")
def floods_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sen1floods11")
    sen1floods11.synthesise(out, count=12, seed=0)
    return out


def records(root: Path, pipeline: Pipeline = PIPELINE) -> dict[str, Record]:
    tree = Folder.at(root)
    return {record.key: record for unit in pipeline.units(tree) for record in pipeline.scan(tree, unit)}


class Floods(PipelineContract):
    pipeline = PIPELINE

    def raw_bands(self, root: Path, record: Record) -> npt.NDArray[Any]:
        return super().raw_bands(root, record)[:2]  # the third is the label


class TestSen1Floods11(Floods):
    @pytest.fixture
    def archive(self, floods_archive: Path) -> Path:
        return floods_archive

    @pytest.fixture
    def lists(self, archive: Path) -> Path:
        return archive / LISTS


class TestSen1Floods11Weak(Floods):
    pipeline = WEAK

    @pytest.fixture
    def archive(self, floods_archive: Path) -> Path:
        return floods_archive


class TestRealSen1Floods11(Floods):
    split = "random"
    fallbacks = 2  # they are deflated

    @pytest.fixture
    def archive(self) -> Path:
        root = SAMPLES / "sen1floods11"
        if not root.is_dir():
            pytest.skip(f"no real chip of Sen1Floods11 in {SAMPLES}: set SAR_DATA_SAMPLES")
        return root

    @pytest.mark.parametrize("name", ["group", "blocks", "random"])
    def test_every_split_places_every_record(self, records: list[Record], name: str) -> None:
        assert PIPELINE.splits[name].assign(records, seed=0, lists=ListsIn(Path())).split == ["train"]

    def test_the_counted_pixels_are_there(self, tree: Folder, records: list[Record]) -> None:
        (record,) = records
        sample = PIPELINE.read(tree, record)
        assert sample.mask is not None
        assert np.bincount(sample.mask.ravel())[[0, 1, 255]].tolist() == [192_010, 70_035, 99]
        assert sample.image.mean(axis=(1, 2)) == pytest.approx([-11.36, -19.11], abs=0.005)
        assert sample.image.std(axis=(1, 2)) == pytest.approx([5.64, 5.74], abs=0.005)
        assert (record.orbit_pass, record.relative_orbit, record.attrs["day"]) == ("descending", 110, "2019-09-17")


def test_what_was_not_seen_is_ignored_and_missing_and_never_0_db(floods_archive: Path) -> None:
    sample = PIPELINE.read(Folder.at(floods_archive), records(floods_archive)["Ghana_100"])
    assert sample.mask is not None
    assert set(np.unique(sample.mask).tolist()) == {0, 1, 255}
    assert np.isnan(sample.image[:, sample.mask == 255]).all()
    assert np.isfinite(sample.image[:, sample.mask != 255]).all()


def test_lists_of_no_heading_place_their_first_row_too(floods_archive: Path) -> None:
    found = list(records(floods_archive).values())
    made = PIPELINE.splits["official"].assign(found, seed=0, lists=ListsIn(floods_archive / LISTS))
    placed = dict(zip((record.key for record in found), made.split, strict=True))
    for part, split in (("train", "train"), ("valid", "val"), ("test", "test"), ("bolivia", "unused")):
        rows = (floods_archive / LISTS / f"flood_{part}_data.csv").read_text().split()
        assert {placed[row.partition("_S1Hand")[0]] for row in rows} == {split}


def test_bolivia_is_tested_alone(floods_archive: Path) -> None:
    for pipeline in (PIPELINE, WEAK):
        found = list(records(floods_archive, pipeline).values())
        made = pipeline.splits["bolivia"].assign(found, seed=0, lists=ListsIn(floods_archive / LISTS))
        events = {
            split: {r.group for r, s in zip(found, made.split, strict=True) if s == split} for split in made.split
        }
        assert events["test"] == {"Bolivia"}
        assert "Bolivia" not in events["train"]


def test_weak_labels_are_trained_on_and_labels_by_hand_tested(floods_archive: Path) -> None:
    found = list(records(floods_archive, WEAK).values())
    made = WEAK.splits["hand"].assign(found, seed=0, lists=ListsIn(floods_archive))
    pairs = {(record.attrs["labels"], split) for record, split in zip(found, made.split, strict=True)}
    assert {("weak", "train"), ("hand", "test")} <= pairs
    assert not {("weak", "test"), ("hand", "train")} & pairs


def test_each_form_of_weak_labels_is_of_its_own_folder(floods_archive: Path) -> None:
    for variant, folder in (("weak", "S2IndexLabelWeak"), ("weak-otsu", "S1OtsuLabelWeak")):
        weak = [one for key, one in records(floods_archive, PIPELINE.variants[variant]).items() if "weak" in key]
        assert {record.files[1].path.split("/")[-2] for record in weak} == {folder}


def test_the_flood_of_cambodia_is_found_by_its_name_in_files() -> None:
    assert "Mekong" in EVENTS
    assert "Cambodia" not in EVENTS


DRY = np.zeros((1, *SHAPE), np.int16)
SQUARE = (1e-4, 0.0, 0.0, 0.0, -1e-4, 0.0)


def tiff(pixels: npt.NDArray[Any]) -> bytes:
    return synth.geotiff(pixels, epsg=4326, transform=SQUARE, rows_per_strip=64)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda image, label: label.unlink(), "LabelHand.tif: expected a file, found none"),
        (lambda image, label: label.write_bytes(tiff(DRY[:, :256])), "expected 1 band of 512x512"),
        (lambda image, label: label.write_bytes(tiff(DRY + 2)), "expected labels -1, 0 and 1, found 2"),
        (lambda image, label: image.write_bytes(tiff(DRY)), "expected 2 bands of 512x512"),
        (lambda image, label: os.truncate(image, 9000), "truncated"),
        (lambda image, label: image.rename(image.with_name("Atlantis_1_S1Hand.tif")), "expected a chip EVENT_NUMBER"),
    ],
)
def test_a_chip_that_is_not_as_documented_is_a_bad_record(
    floods_archive: Path, tmp_path: Path, damage: Callable[[Path, Path], Any], reason: str
) -> None:
    root = Path(shutil.copytree(floods_archive, tmp_path / "raw"))
    damage(*(root / file.path for file in records(root)["Ghana_100"].files))
    with pytest.raises(BadRecord, match=reason):
        PIPELINE.read(Folder.at(root), records(root)["Ghana_100"])
