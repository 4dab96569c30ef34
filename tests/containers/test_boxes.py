"""Boxes in COCO documents beside arrays, and in rows of a table, are those of the dataset; a wrong one is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines import rsdd_sar
from pipelines.synth import rsdd_sar as miniature
from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.containers.object_rows import objects_of
from sar_data.errors import BadRecord
from sar_data.exporters import export
from tests.containers.imports import imported, scanned

Document = dict[str, Any]
Change = Callable[[Document], object]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Ships of a dataset without copies of its own, as COCO and as Parquet, and a file with their content digest."""
    out = tmp_path_factory.mktemp("ships")
    miniature.synthesise(out / "raw", count=6, seed=0)
    made = build(BuildRequest(dataset=rsdd_sar.PIPELINE, source=out / "raw", out=out, format="lmdb"))
    (out / "digest").write_text(made.manifest.content_digest)
    return {
        "coco": export("coco", made, out / "coco").folder,
        "hf": export("hf", made, out / "hf").folder,
        "npy": export("npy", made, out / "npy").folder,
        "digest": out / "digest",
    }


@pytest.mark.parametrize("kind", ["coco", "hf", "npy"])
def test_boxes_of_a_container_are_those_of_the_dataset(kind: str, folders: dict[str, Path], tmp_path: Path) -> None:
    manifest = imported("rsdd-sar", folders[kind], tmp_path).manifest
    assert manifest.content_digest == folders["digest"].read_text()
    assert [task.name for task in manifest.tasks] == ["ships"]


def rotate(sides: list[Any]) -> Change:
    return lambda document: document["annotations"][0].update(rotated=sides)


WRONG: dict[str, tuple[Change, str]] = {
    "a strange class": (
        lambda document: document["categories"][0].update(name="plane"),
        r"expected objects of the classes ship, found plane",
    ),
    "another size": (
        lambda document: document["images"][0].update(height=7),
        r"train\.json: expected .* of 512x512 pixels, found 7x512",
    ),
    "no such image": (
        lambda document: document["images"][0].update(file_name="a/none.png"),
        r"train\.json: expected the image a/none\.png once, found none",
    ),
    "four sides": (rotate([1, 2, 3, 4]), "expected a rotated box of centre x"),
    "an infinite side": (rotate([1, 2, "inf", 4, 5]), "expected a rotated box of centre x"),
    "no area": (rotate([1, 2, 0, 4, 5]), "expected objects that an image can have, found 1 box"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_document_is_named(kind: str, folders: dict[str, Path], tmp_path: Path) -> None:
    change, says = WRONG[kind]
    copy = Path(shutil.copytree(folders["coco"], tmp_path / "coco"))
    document = json.loads((copy / "train.json").read_text())
    change(document)
    (copy / "train.json").write_text(json.dumps(document))
    with pytest.raises(BadRecord, match=says):
        imported("rsdd-sar", copy, tmp_path / "out")


def test_an_image_in_two_documents_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folders["coco"], tmp_path / "coco"))
    shutil.copy(copy / "train.json", copy / "val.json")
    with pytest.raises(BadRecord, match=r"val\.json: expected .* in one document, found it in train\.json too"):
        scanned(rsdd_sar.PIPELINE, copy)


def test_wrong_objects_of_a_row_are_named(folders: dict[str, Path], tmp_path: Path) -> None:
    source = next((folders["hf"] / "data").glob("train*"))
    table = pq.read_table(source)
    rows = table["objects"].to_pylist()
    rows[0][0]["label"] = 5
    at = table.schema.get_field_index("objects")
    changed = table.set_column(at, table.schema.field(at), pa.array(rows, table.schema.field(at).type))
    pq.write_table(changed, tmp_path / "train.parquet")
    with pytest.raises(BadRecord, match=r"train\.parquet, key .*: expected objects of the classes ship, found 5"):
        scanned(rsdd_sar.PIPELINE, tmp_path)


BOX: dict[str, Any] = {"label": 0, "box": [1, 1, 3, 3], "rotated": None, "polygons": [], "attrs": []}


@pytest.mark.parametrize(
    "change",
    [
        {"box": [1, 1, 3]},
        {"box": None},
        {"box": [1, 1, 3, float("nan")]},
        {"label": -1},
        {"label": None},
        {"rotated": [1, 1, 1]},
        {"rotated": [1, 1, 1, 1, float("inf")]},
        {"polygons": [[1, 1, 2, 2]]},
        {"polygons": [[0, 0, 1, 0, 1, float("nan")]]},
        {"attrs": [{"value": "1"}]},
    ],
)
def test_numbers_that_are_no_object_are_named(change: dict[str, Any]) -> None:
    assert len(objects_of([BOX], (8, 8), "a.parquet, row 0")) == 1
    with pytest.raises(BadRecord, match=r"a\.parquet, row 0: expected"):
        objects_of([BOX | change], (8, 8), "a.parquet, row 0")


def test_a_box_outside_its_image_is_a_bad_object() -> None:
    assert objects_of([BOX | {"box": [9, 9, 12, 12]}, BOX], (8, 8), "a").dropped == {
        "box beside the image, or reaching out of it": 1
    }
    assert [dict(item.attrs) for item in objects_of([BOX | {"box": [1, 1, 12, 3]}], (8, 8), "a")] == [{"cut": "1"}]
