"""HRSID's windows know their scene, follow the two lists that count, and keep their polygons."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from pipelines import hrsid
from pipelines.synth import hrsid as synthetic
from sar_data.errors import BadRecord
from sar_data.record import Record
from sar_data.sources.tree import Folder
from tests.contract.pipelines import PipelineContract
from tests.datasets.test_real_sample import SAMPLES

REAL = SAMPLES / "hrsid"
needs_samples = pytest.mark.skipif(not REAL.is_dir(), reason="no real HRSID: name its folder by SAR_DATA_SAMPLES")
TOP = Path("HRSID_JPG") / "HRSID_JPG"


def scan(root: Path) -> list[Record]:
    tree = Folder.at(root)
    return [record for unit in sorted(hrsid.units(tree)) for record in hrsid.scan(tree, unit)]


@pytest.fixture(scope="module")
def hrsid_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("hrsid")
    synthetic.synthesise(out, count=10, seed=0)
    return out


@pytest.fixture
def copy(hrsid_archive: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(hrsid_archive, tmp_path / "raw"))


class TestHrsid(PipelineContract):
    pipeline = hrsid.PIPELINE

    @pytest.fixture
    def archive(self, hrsid_archive: Path) -> Path:
        return hrsid_archive


@pytest.fixture(scope="module")
def real_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 18 real images, with annotations made from their ship masks: one polygon around all that is ship."""
    out = tmp_path_factory.mktemp("hrsid-real") / "HRSID_JPG"
    shutil.copytree(REAL / "HRSID_JPG" / "JPEGImages", out / "JPEGImages")
    (out / "annotations").mkdir()
    part: dict[str, Any] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "ship"}]}
    for i, path in enumerate(sorted((out / "JPEGImages").iterdir())):
        part["images"].append({"file_name": path.name, "height": 800, "width": 800, "id": i})
        with pytest.warns(NotGeoreferencedWarning), rasterio.open(REAL / "masks" / f"{path.stem}.png") as mask:
            y, x = np.nonzero(mask.read(2) > 127)
        left, top, right, bottom = (float(v) for v in (x.min(), y.min(), x.max() + 1, y.max() + 1))
        part["annotations"].append(
            {
                "id": i,
                "image_id": i,
                "category_id": 1,
                "iscrowd": 0,
                "bbox": [left, top, right - left, bottom - top],
                "area": 1.0,
                "segmentation": [[left, top, right, top, right, bottom, left, bottom]],
            }
        )
    for name, chosen in (("train2017", part), ("test2017", {**part, "images": [], "annotations": []})):
        (out / "annotations" / f"{name}.json").write_text(json.dumps(chosen))
    return out.parent


@needs_samples
class TestRealHrsid(PipelineContract):
    pipeline = hrsid.PIPELINE

    @pytest.fixture
    def archive(self, real_archive: Path) -> Path:
        return real_archive


@needs_samples
def test_the_real_names_tell_scene_and_window_and_ships_are_bright(real_archive: Path) -> None:
    records = scan(real_archive)
    assert len(records) == 18
    assert {record.group for record in records} == {f"P{n:04d}" for n in (1, 3, 4, 5, 7, 8, 9, 11)}
    assert records[0].attrs == {"row": "1200", "column": "9600"}
    for record in records:
        pixels = hrsid.read(Folder.at(real_archive), record).image[0]
        left, top, right, bottom = (int(v) for v in record.objects[0].box)
        assert pixels[top:bottom, left:right].max() > 2 * np.median(pixels)


def test_tiles_of_p0137_have_a_scene_but_no_window(hrsid_archive: Path) -> None:
    found = {record.key: record for record in scan(hrsid_archive)}
    assert found["P0137_4"].attrs.keys() == {"scene"}
    assert found["P0137_4"].group == found["P0137_9"].group == "P0137"
    assert found["P0001_600_1400_600_1400"].attrs["row"] == "600"
    assert found["P0001_600_1400_600_1400"].group == "P0001"


def test_a_window_lies_in_the_pixels_of_its_scene(hrsid_archive: Path) -> None:
    found = {record.key: record for record in scan(hrsid_archive)}
    window = found["P0001_600_1400_600_1400"]
    assert (window.footprint, window.footprint_frame) == ((600, 600, 1400, 1400), "pixels of HRSID P0001")
    for record in found.values():
        if "row" not in record.attrs:
            assert (record.footprint, record.footprint_frame) == (None, None)
            continue
        left, top = float(record.attrs["column"]), float(record.attrs["row"])
        assert record.footprint == (left, top, left + 800, top + 800)
        assert record.footprint_frame == f"pixels of HRSID {record.group}"


def test_the_joint_annotation_file_is_not_believed(hrsid_archive: Path) -> None:
    joint = json.loads((hrsid_archive / TOP / "annotations/train_test2017.json").read_text())
    missing = {record.key for record in scan(hrsid_archive) if record.official}
    missing -= {Path(one["file_name"]).stem for one in joint["images"]}
    assert missing == {"P0001_0_800_0_800"}


def test_images_without_annotation_are_unused_and_say_so(hrsid_archive: Path) -> None:
    (found,) = (record for record in scan(hrsid_archive) if record.unused)
    assert (found.key, found.unused, found.objects) == ("P0099_0_800_0_800", "in no annotation file", ())


def test_the_png_release_is_read_as_the_jpeg_one(hrsid_archive: Path, copy: Path) -> None:
    before = {record.key: hrsid.read(Folder.at(hrsid_archive), record).image for record in scan(hrsid_archive)}
    from sar_data import synth

    for path in (copy / TOP / "JPEGImages").iterdir():
        path.with_suffix(".png").write_bytes(synth.png(before[path.stem][0]))
        path.unlink()
    for path in copy.rglob("*.json"):
        path.write_text(path.read_text().replace(".jpg", ".png"))
    after = {record.key: hrsid.read(Folder.at(copy), record).image for record in scan(copy)}
    assert after.keys() == before.keys()
    assert all(np.array_equal(after[key], image) for key, image in before.items())


def test_every_published_name_has_one_of_two_forms() -> None:
    assert hrsid.NAME.fullmatch("P0001_1200_2000_9600_10400.jpg")
    assert hrsid.NOWHERE.fullmatch("P0137_108.jpg")
    assert not hrsid.NAME.fullmatch("P0137_108.jpg")


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: d["annotations"][0].update(category_id="1"), None),
        (lambda d: d["annotations"][0].update(category_id=0), "category_id"),
        (lambda d: d["annotations"][0].update(image_id=999), "found some of image_id 999"),
        (lambda d: d["annotations"][0].update(bbox=[5, 5, float("nan"), 9]), "expected a number, found NaN"),
        (lambda d: d["annotations"][0].update(bbox=None), "bbox of four numbers"),
        (lambda d: d["annotations"][0].update(segmentation=[[1, 2, 3]]), None),
        (
            lambda d: d["annotations"][0].update(segmentation=[[1, 2, 3, 4, 5, float("inf")]]),
            "expected a number, found Infinity",
        ),
        (lambda d: d["categories"][0].update(name="boat"), "expected categories ship, found 'boat'"),
        (lambda d: d["images"][0].update(height=700), "of 800x800 pixels, found"),
        (lambda d: d["images"][0].pop("width"), "expected height and width"),
        (lambda d: d["images"].append(d["images"][0]), "expected every image once"),
        (lambda d: d["images"][0].update(file_name="boat.jpg"), "expected a name that matches"),
        (lambda d: d["images"][0].update(file_name="P0001_0_700_0_800.jpg"), "expected a window of 800x800"),
        (lambda d: d["images"][0].update(file_name="P0008_0_800_0_800.jpg"), "expected a file, found none"),
        (lambda d: d["images"][0].update(file_name="P0001_1200_2000_0_800.jpg"), "found it in both"),
        (lambda d: d.pop("categories"), "expected COCO annotations"),
    ],
)
def test_annotations_that_cannot_be_are_named(copy: Path, change: Change, reason: str | None) -> None:
    path = copy / TOP / "annotations/train2017.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8-sig")
    if reason is None:
        assert sum(len(record.objects) for record in scan(copy)) > 3
        return
    with pytest.raises(BadRecord, match=reason):
        scan(copy)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"images": 3}', "[" * 100_000])
def test_a_broken_json_is_named(copy: Path, text: str) -> None:
    (copy / TOP / "annotations/test2017.json").write_text(text)
    with pytest.raises(BadRecord, match=re.escape("annotations/test2017.json: expected COCO annotations")):
        scan(copy)


def test_a_colour_picture_is_no_radar_image(copy: Path) -> None:
    from sar_data.raster.gdal import encode

    path = copy / TOP / "JPEGImages/P0001_0_800_0_800.jpg"
    path.write_bytes(encode(np.random.default_rng(0).integers(0, 255, (3, 800, 800), np.uint8), "JPEG"))
    (record,) = (record for record in scan(copy) if record.key == path.stem)
    with pytest.raises(BadRecord, match="three equal ones"):
        hrsid.read(Folder.at(copy), record)
