"""Each image gets the annotation that means it, whatever Roboflow made of the names, and nothing else counts as one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sar_data.labels.discovery import AnnotatedImages, discover
from sar_data.sources.tree import Folder
from tests.mini.detections import put

LEFTS = {"a_png.rf.aaa": 10, "a_png.rf.bbb": 20}  # two augmented copies of a.png, each with a box of its own
SHAPE = (100, 100)


def _coco(lefts: dict[str, int]) -> str:
    names = list(lefts)
    return json.dumps(
        {
            "categories": [{"id": 0, "name": "ship"}],
            "images": [
                {"id": i, "file_name": f"{name}.png", "height": 100, "width": 100} for i, name in enumerate(names)
            ],
            "annotations": [
                {"id": i, "image_id": i, "category_id": 0, "bbox": [lefts[name], 0, 10, 10], "iscrowd": 0}
                for i, name in enumerate(names)
            ],
        }
    )


def _text(form: str, left: int) -> str:
    right = left + 10
    if form == "VOC":
        box = f"<xmin>{left}</xmin><ymin>0</ymin><xmax>{right}</xmax><ymax>10</ymax>"
        return f"<annotation><object><name>ship</name><bndbox>{box}</bndbox></object></annotation>"
    if form == "DOTA":
        return f"{left} 0 {right} 0 {right} 10 {left} 10 ship 0\n"
    return f"0 {(left + 5) / 100} 0.05 0.1 0.1\n"


def _write(out: Path, form: str, lefts: dict[str, int]) -> None:
    if form == "COCO":
        put(out / "train/_annotations.coco.json", _coco(lefts))
    for name, left in lefts.items() if form != "COCO" else ():
        put(out / f"train/{name}.{'xml' if form == 'VOC' else 'txt'}", _text(form, left))


def _found(out: Path, *images: str) -> AnnotatedImages:
    for name in images:
        put(out / f"train/{name}.png", b"")
    found = discover(Folder(str(out)), unique=False)
    assert found is not None
    return found


def _lefts(found: AnnotatedImages) -> dict[str, list[float]]:
    return {
        path.rpartition("/")[2].removesuffix(".png"): [
            round(thing.box[0], 6) for thing in found.read_objects(path, SHAPE, ("ship",), most=1).objects
        ]
        for path in found.pictures
    }


@pytest.mark.parametrize("form", ["COCO", "VOC", "DOTA", "YOLO"])
def test_each_augmented_copy_has_boxes_of_its_own(tmp_path: Path, form: str) -> None:
    _write(tmp_path, form, LEFTS)
    found = _found(tmp_path, *LEFTS, "a_png.rf.ccc")
    assert _lefts(found) == {name: [left] for name, left in LEFTS.items()} | {"a_png.rf.ccc": []}
    assert found.missing == ()


@pytest.mark.parametrize("form", ["COCO", "VOC", "DOTA", "YOLO"])
def test_boxes_of_a_missing_copy_go_to_no_other_image(tmp_path: Path, form: str) -> None:
    _write(tmp_path, form, LEFTS)
    found = _found(tmp_path, "a_png.rf.bbb", "a_png.rf.ccc")
    assert {name: len(lefts) for name, lefts in _lefts(found).items()} == {"a_png.rf.bbb": 1, "a_png.rf.ccc": 0}
    assert [Path(name).name.removesuffix(".png") for name in found.missing] == ["a_png.rf.aaa"]


@pytest.mark.parametrize("form", ["COCO", "VOC", "DOTA", "YOLO"])
@pytest.mark.parametrize(("label", "image"), [("a_png.rf.aaa", "a"), ("a", "a_png.rf.aaa")])
def test_one_export_means_the_image_it_was_made_of(tmp_path: Path, form: str, label: str, image: str) -> None:
    _write(tmp_path, form, {label: 10})
    found = _found(tmp_path, image)
    assert _lefts(found) == {image: [10]}
    assert found.missing == ()


def test_endings_tell_two_images_of_one_stem_apart_in_coco(tmp_path: Path) -> None:
    document = json.loads(_coco({"a": 10, "b": 20}))
    document["images"][1]["file_name"] = "a.jpg"
    put(tmp_path / "train/_annotations.coco.json", json.dumps(document))
    put(tmp_path / "train/a.jpg", b"")
    assert _lefts(_found(tmp_path, "a")) == {"a": [10], "a.jpg": [20]}


def test_readmes_and_lists_are_no_annotations(tmp_path: Path) -> None:
    _write(tmp_path, "YOLO", LEFTS)
    for name in ("README.dataset", "README.roboflow", "notes"):
        put(tmp_path / f"{name}.txt", "Ships of the Yellow Sea, seen by Sentinel-1 in nine words\n")
    put(tmp_path / "classes.txt", "ship\n")
    put(tmp_path / "train.txt", "".join(f"train/{name}.png\n" for name in LEFTS))
    found = _found(tmp_path, *LEFTS)
    assert found.sentence() == "YOLO boxes, 2 train, PNG"
    assert found.names == ("ship",)


def test_boxes_of_missing_images_are_counted(tmp_path: Path) -> None:
    _write(tmp_path, "YOLO", LEFTS)
    put(tmp_path / "README.txt", "Ships\n")
    put(tmp_path / "test/labels/z.txt", _text("YOLO", 10))
    found = _found(tmp_path, *LEFTS)
    assert found.sentence() == "YOLO boxes, 2 train, PNG; 1 annotated images are not there, as z"
