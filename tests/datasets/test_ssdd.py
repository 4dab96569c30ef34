"""SSDD's three kinds of drawing become one record a picture, and only the official release passes."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pipelines import ssdd
from pipelines.synth import ssdd as synthetic
from sar_data.errors import BadRecord, SourceError
from sar_data.labels import boxes
from sar_data.record import Record
from sar_data.sources.tree import Folder
from tests.contract.pipelines import PipelineContract
from tests.datasets.test_real_sample import SAMPLES

REAL = SAMPLES / "ssdd" / "Official-SSDD-OPEN"
needs_samples = pytest.mark.skipif(not REAL.is_dir(), reason="no real SSDD: name its folder by SAR_DATA_SAMPLES")
TOP = "Official-SSDD-OPEN"


def scan(root: Path) -> list[Record]:
    tree = Folder.at(root)
    return [record for unit in sorted(ssdd.units(tree)) for record in ssdd.scan(tree, unit)]


@pytest.fixture(scope="module")
def ssdd_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ssdd")
    synthetic.synthesise(out, count=12, seed=0)
    return out


@pytest.fixture
def copy(ssdd_archive: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ssdd_archive, tmp_path / "raw"))


class TestSsdd(PipelineContract):
    pipeline = ssdd.PIPELINE

    @pytest.fixture
    def archive(self, ssdd_archive: Path) -> Path:
        return ssdd_archive


@needs_samples
class TestRealSsdd(PipelineContract):
    pipeline = ssdd.PIPELINE

    @pytest.fixture
    def archive(self) -> Path:
        return REAL.parent


@needs_samples
def test_the_real_ships_are_those_of_the_complete_coco_files() -> None:
    for record in scan(REAL.parent):
        split = json.loads((REAL / f"BBox_SSDD/coco_style/annotations/{record.official}.json").read_text())
        truth = [a for a in split["annotations"] if a["image_id"] == int(record.key)]
        assert len(truth) == len(record.objects) == 1
        (ship,), (x, y, w, h) = record.objects, truth[0]["bbox"]
        assert ship.box == pytest.approx((x, y, x + w, y + h), abs=1)
        assert boxes.bounding_box(ship.polygons[0]) == pytest.approx(ship.box, abs=1)
        assert ship.rotated is not None
        assert boxes.bounding_box(boxes.corners(ship.rotated)) == pytest.approx(ship.box, abs=10)


@needs_samples
def test_the_rule_of_the_split_gives_the_published_lists() -> None:
    counts = Counter[str]()
    for split, count in (("train", 928), ("test", 232)):
        known = json.loads((REAL / f"BBox_SSDD/coco_style/annotations/{split}.json").read_text())
        stems = [Path(one["file_name"]).stem for one in known["images"]]
        assert len(stems) == count
        assert all(("test" if stem.endswith(ssdd.TEST_ENDS) else "train") == split for stem in stems)
        counts["images"] += count
        counts["ships"] += len(known["annotations"])
    assert counts == {"images": ssdd.IMAGES, "ships": ssdd.SHIPS}


def test_images_stored_many_times_are_records_once(ssdd_archive: Path) -> None:
    assert len(list(ssdd_archive.rglob("000001.jpg"))) == 5
    records = scan(ssdd_archive)
    assert [record.key for record in records] == [f"{i:06d}" for i in range(1, 13)]
    assert {len(record.files) for record in records} == {4}


def test_ships_are_joined_though_files_order_them_differently(ssdd_archive: Path) -> None:
    records = scan(ssdd_archive)
    assert sum(len(record.objects) for record in records) > 20
    for ship in (ship for record in records for ship in record.objects):
        assert ship.rotated is not None
        assert boxes.bounding_box(ship.polygons[0]) == ship.box
        x, y = ship.rotated[:2]
        assert (x, y) == pytest.approx(((ship.box[0] + ship.box[2]) / 2, (ship.box[1] + ship.box[3]) / 2), abs=1.5)


def test_rotated_boxes_lie_on_what_is_bright(ssdd_archive: Path) -> None:
    tree = Folder.at(ssdd_archive)
    for record in scan(ssdd_archive):
        pixels = ssdd.read(tree, record).image[0]
        for ship in record.objects:
            x, y, length, _, degrees = ship.rotated or (0, 0, 0, 0, 0)
            along = np.linspace(-0.4, 0.4, 9) * length
            at = (
                (y + along * np.sin(np.radians(degrees))).astype(int),
                (x + along * np.cos(np.radians(degrees))).astype(int),
            )
            assert pixels[at].mean() > 150


def test_inshore_and_offshore_are_told_by_the_folders(ssdd_archive: Path) -> None:
    assert Counter(r.attrs["scene"] for r in scan(ssdd_archive)) == {"inshore": 3, "offshore": 9}


def test_the_lists_must_agree_with_the_rule(copy: Path) -> None:
    for split in ("train", "test"):
        path = copy / TOP / f"BBox_SSDD/voc_style/ImageSets/Main/{split}.txt"
        path.write_text("\n".join({"train": ["000001"], "test": ["000002"]}[split]))
    with pytest.raises(BadRecord, match=r"expected 000001 in ImageSets/Main/test\.txt .* found it in train"):
        scan(copy)


def test_the_old_ssdd_is_told_by_its_ships(ssdd_archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (said,) = ssdd.fit(Folder.at(ssdd_archive))[1]
    assert said.startswith("12 of 1,160 images with ")
    monkeypatch.setattr(ssdd, "IMAGES", 12)
    with pytest.raises(SourceError, match="perhaps the OLD SSDD"):
        ssdd.fit(Folder.at(ssdd_archive))


@pytest.mark.parametrize(
    ("kind", "old", "new", "reason"),
    [
        ("BBox", b"<height>", b"<height>9", "expected one size in all"),
        ("BBox", b"<name>ship", b"<name>boat", "expected objects named ship, found 'boat'"),
        ("BBox", b"<xmin>", b"<xmin>nan", "expected a number in <xmin>, found 'nan"),
        ("BBox", b"<bndbox>", b"<bndbos>", "expected XML, found"),
        ("BBox", b"bndbox>", b"bnd>", "expected a box of each"),
        ("RBox", b"<annotation>", b"<!DOCTYPE a [<!ENTITY b 'c'>]><annotation>", "without DTD and entities"),
        ("RBox", b"rotated_bndbox>", b"other>", "objects, as its sister file has, found 0"),
        ("RBox", b"_cx>", b"_cx>9", "expected an object in the box|expected XML"),
        ("PSeg", b"<point>", b"<point>1,", "expected a <point> of x,y"),
        ("PSeg", b"annotation>", b"html>", "expected the root <annotation>, found <html>"),
    ],
)
def test_a_broken_annotation_is_named_with_its_file(copy: Path, kind: str, old: bytes, new: bytes, reason: str) -> None:
    path = copy / TOP / f"{kind}_SSDD/voc_style/Annotations/000002.xml"
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))
    with pytest.raises(BadRecord, match=reason) as caught:
        scan(copy)
    assert caught.value.path.endswith("000002.xml")


@pytest.mark.parametrize("change", [lambda d: b"\xef\xbb\xbf" + d, lambda d: d.replace(b"\n", b"\r\n")])
def test_a_bom_and_the_line_ends_of_windows_change_nothing(ssdd_archive: Path, copy: Path, change: object) -> None:
    for path in copy.rglob("*.xml"):
        path.write_bytes(change(path.read_bytes()))  # type: ignore[operator]
    assert [r.objects for r in scan(copy)] == [r.objects for r in scan(ssdd_archive)]


def test_an_image_of_another_size_than_its_annotation_says_is_named(copy: Path) -> None:
    folder = copy / TOP / "BBox_SSDD/voc_style/JPEGImages"
    shutil.copy(folder / "000001.jpg", folder / "000002.jpg")
    (record,) = (record for record in scan(copy) if record.key == "000002")
    with pytest.raises(BadRecord, match=r"000002\.jpg: expected .* as its annotation says"):
        ssdd.read(Folder.at(copy), record)


@pytest.mark.parametrize("left_out", [("RBox_SSDD",), ("PSeg_SSDD",), ("RBox_SSDD", "PSeg_SSDD")])
def test_a_copy_without_rotated_boxes_or_polygons_is_read_as_far_as_it_goes(
    ssdd_archive: Path, tmp_path: Path, left_out: tuple[str, ...]
) -> None:
    shutil.copytree(ssdd_archive, tmp_path / "raw")
    for kind in left_out:
        shutil.rmtree(next((tmp_path / "raw").rglob(kind)))
    things = [thing for record in scan(tmp_path / "raw") for thing in record.objects]
    assert things
    assert all((thing.rotated is None) == ("RBox_SSDD" in left_out) for thing in things)
    assert all(bool(thing.polygons) != ("PSeg_SSDD" in left_out) for thing in things)
