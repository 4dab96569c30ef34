"""SARDet-100K says what it contains, finds its images either way, and cuts boxes to their chips."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pipelines import sardet_100k as sardet
from pipelines.synth import sardet_100k as synthetic
from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.errors import BadRecord, SourceError
from sar_data.record import Record
from sar_data.sources.tree import Folder
from tests.contract.pipelines import PipelineContract

TOP = "SARDet_100K"


def scan(root: Path) -> list[Record]:
    tree = Folder.at(root)
    return [record for unit in sorted(sardet.units(tree)) for record in sardet.scan(tree, unit)]


@pytest.fixture(scope="module")
def sardet_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sardet")
    synthetic.synthesise(out, count=15, seed=0)
    return out


@pytest.fixture
def copy(sardet_archive: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sardet_archive, tmp_path / "raw"))


class TestSardet(PipelineContract):
    pipeline = sardet.PIPELINE

    @pytest.fixture
    def archive(self, sardet_archive: Path) -> Path:
        return sardet_archive


def test_the_build_warns_of_the_sets_it_contains(sardet_archive: Path, tmp_path: Path) -> None:
    made = build(BuildRequest(dataset=sardet.PIPELINE, source=sardet_archive, out=tmp_path, format="webdataset"))
    assert made.manifest.discovered[0] == "images in one folder a split"
    assert "contains SSDD, HRSID, SAR-Ship-Dataset and AIR-SARShip under other splits" in made.manifest.discovered[1]
    assert "CONTAINS SSDD, HRSID" in (sardet.__doc__ or "")


def test_the_splits_are_those_of_the_files_and_names_may_recur(sardet_archive: Path) -> None:
    records = scan(sardet_archive)
    for split, count in (("train", 9), ("val", 3), ("test", 3)):
        known = json.loads((sardet_archive / TOP / f"Annotations/{split}.json").read_text())
        assert len(known["images"]) == sum(record.official == split for record in records) == count
    assert len({record.key.partition("_")[2] for record in records}) < len(records)


def test_images_in_one_flat_folder_are_found_as_well(sardet_archive: Path, tmp_path: Path) -> None:
    shutil.copytree(sardet_archive, tmp_path / "raw")
    top = tmp_path / "raw" / TOP
    for split in sardet.SPLITS:
        for path in (top / "JPEGImages" / split).iterdir():
            path.rename(top / "JPEGImages" / f"{split}{path.name}")
        (top / "JPEGImages" / split).rmdir()
        file = top / "Annotations" / f"{split}.json"
        known = json.loads(file.read_text())
        for one in known["images"]:
            one["file_name"] = split + one["file_name"]
        file.write_text(json.dumps(known))
    assert [record.objects for record in scan(tmp_path / "raw")] == [r.objects for r in scan(sardet_archive)]


def test_images_in_both_places_are_an_ambiguity_and_in_none_an_error(copy: Path) -> None:
    top = copy / TOP
    path = next((top / "JPEGImages/train").iterdir())
    shutil.copy(path, top / "JPEGImages")
    with pytest.raises(SourceError, match="found both: keep one"):
        scan(copy)
    shutil.rmtree(top / "JPEGImages")
    with pytest.raises(SourceError, match="found neither"):
        scan(copy)


def test_boxes_that_leave_their_chip_are_cut_and_marked(sardet_archive: Path) -> None:
    cut = [(record, found) for record in scan(sardet_archive) for found in record.objects if found.attrs]
    assert len(cut) == 4
    assert all(record.shape and found.box[2] == record.shape[1] for record, found in cut)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("bbox", [5, 5, 3], "bbox of four numbers"),
        ("category_id", 9, "category_id"),
        ("image_id", 10**6, "found some of image_id 1000000"),
    ],
)
def test_an_annotation_that_cannot_be_is_named(copy: Path, field: str, value: object, reason: str) -> None:
    path = copy / TOP / "Annotations/val.json"
    known = json.loads(path.read_text())
    known["annotations"][0][field] = value
    path.write_text(json.dumps(known))
    with pytest.raises(BadRecord, match=reason) as caught:
        scan(copy)
    assert "Annotations/val.json" in caught.value.path
