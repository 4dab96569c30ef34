"""Boxes of one's own data belong to the image that lies nearest, and masks beside images are none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipelines.custom import PIPELINE
from sar_data.own.pipeline import fit
from sar_data.own.template import declaration_text
from sar_data.sources.tree import Folder
from tests.own.trees import SIDE, png

LINE = "0 0.5 0.5 0.25 0.25\n"


def counts(root: Path) -> dict[str, int]:
    """Return how many objects each sample has."""
    tree = Folder.at(root)
    found, _ = fit(tree, PIPELINE, {})
    return {
        record.files[0].path: len(record.objects) for unit in found.units(tree) for record in found.scan(tree, unit)
    }


def yolo(root: Path, **labels: int) -> Path:
    """Write pictures, and labels of so many objects, by paths in which __ is a slash."""
    for number, (path, objects) in enumerate(labels.items()):
        png(root / f"{path.replace('__', '/images/')}.png", number)
        if objects >= 0:
            text = root / f"{path.replace('__', '/labels/')}.txt"
            text.parent.mkdir(parents=True, exist_ok=True)
            text.write_text(LINE * objects)
    return root


def coco(images: Mapping[str, int]) -> str:
    """Return a document in COCO's form with so many objects of each image."""
    return json.dumps(
        {
            "images": [{"id": i, "file_name": name, "width": SIDE, "height": SIDE} for i, name in enumerate(images)],
            "annotations": [
                {"id": 10 * i + j, "image_id": i, "category_id": 1, "bbox": [j, 2, 5, 5]}
                for i, objects in enumerate(images.values())
                for j in range(objects)
            ],
            "categories": [{"id": 1, "name": "ship"}],
        }
    )


@pytest.mark.parametrize("form", ["masks/{i}.png", "masks/{i}_mask.png", "images/{i}_mask.png"])
@pytest.mark.parametrize("kind", ["YOLO", "COCO"])
def test_masks_beside_images_with_boxes_are_no_images(tmp_path: Path, kind: str, form: str) -> None:
    for i in range(4):
        png(tmp_path / f"images/{i}.png", i)
        png(tmp_path / form.format(i=i), 10 + i)
        if kind == "YOLO":
            (tmp_path / "labels").mkdir(exist_ok=True)
            (tmp_path / f"labels/{i}.txt").write_text(LINE)
    if kind == "COCO":
        (tmp_path / "boxes.json").write_text(coco({f"{i}.png": 1 for i in range(4)}))
    assert counts(tmp_path) == {f"images/{i}.png": 1 for i in range(4)}
    text = " ".join(declaration_text(Folder.at(tmp_path), "ships").split("\n# "))
    assert 'task = "detection"' in text
    assert "4 images, PNG" in text
    assert "left out beside boxes" in text


def test_an_image_does_not_take_the_labels_of_its_namesake_in_another_split(tmp_path: Path) -> None:
    yolo(tmp_path, train__a=2, train__b=1, test__a=-1, test__b=3, valid__c=1)
    assert counts(tmp_path) == {
        "train/images/a.png": 2,
        "train/images/b.png": 1,
        "test/images/a.png": 0,
        "test/images/b.png": 3,
        "valid/images/c.png": 1,
    }


def test_an_image_does_not_take_the_labels_of_its_namesake_at_another_site(tmp_path: Path) -> None:
    yolo(tmp_path, north__1=2, north__2=1, south__1=1, south__2=-1)
    assert sorted(counts(tmp_path).values()) == [0, 1, 1, 2]
    assert counts(tmp_path)["south/images/2.png"] == 0


@pytest.mark.parametrize("documents", ["one a site", "one of all"])
def test_documents_of_coco_mean_the_images_of_their_folders(tmp_path: Path, documents: str) -> None:
    for number, site in enumerate(("north", "south")):
        for i in range(3):
            png(tmp_path / f"{site}/images/{i}.png", 10 * number + i)
        if documents == "one a site":
            (tmp_path / f"{site}/boxes.json").write_text(coco({f"{i}.png": number + 1 for i in range(3)}))
    if documents == "one of all":
        names = {f"{site}/images/{i}.png": n + 1 for n, site in enumerate(("north", "south")) for i in range(3)}
        (tmp_path / "boxes.json").write_text(coco(names))
    assert counts(tmp_path) == {
        f"{site}/images/{i}.png": n + 1 for n, site in enumerate(("north", "south")) for i in range(3)
    }


def test_folders_of_a_split_pair_whatever_they_are_called(tmp_path: Path) -> None:
    for number, (images, labels) in enumerate({"val2017": "valid", "train2017": "train"}.items()):
        for i in range(2):
            png(tmp_path / f"images/{images}/{i}.png", 10 * number + i)
            (tmp_path / f"labels/{labels}").mkdir(parents=True, exist_ok=True)
            (tmp_path / f"labels/{labels}/{i}.txt").write_text(LINE * (number + 1))
    assert counts(tmp_path) == {
        f"images/{name}/{i}.png": n for name, n in (("val2017", 1), ("train2017", 2)) for i in (0, 1)
    }
