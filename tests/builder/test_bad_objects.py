"""Objects that no image can have are left out alone, counted and told; or they stop a build, or quarantine a record."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sar_data
from sar_data import catalog
from sar_data.builder.itinerary import build
from sar_data.builder.request import BadObjects, BuildRequest
from sar_data.builder.scan import scan
from sar_data.errors import BadObject, BadRecord
from sar_data.labels.boxes import NO_AREA, NO_OUTLINE, OUTSIDE
from sar_data.record import Record
from sar_data.runners import Serial
from sar_data.sources.archives.open import open_tree


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("archives")
    for name in ("sardet-100k", "hrsid", "ssdd", "ls-ssdd", "sar-ship-dataset"):
        catalog.synthesise(name)(root / name, count=6, seed=0)
    return root


def scanned(source: Path, name: str, bad_objects: BadObjects = "drop") -> tuple[dict[str, Record], list[Any]]:
    found = scan(catalog.pipeline(name), open_tree(source), runner=Serial(), bad_objects=bad_objects)
    return {record.key: record for record in found.records}, found.quarantined


def annotated(source: Path, change: Callable[[dict[str, Any]], object], name: str) -> Path:
    """Change the first annotation of an image that has several, in a COCO file of a copy."""
    (path,) = source.rglob(name)
    known = json.loads(path.read_text())
    ids = [one["image_id"] for one in known["annotations"]]
    change(next(one for one in known["annotations"] if ids.count(one["image_id"]) > 1))
    path.write_text(json.dumps(known))
    return source


@pytest.mark.parametrize(
    ("name", "file", "bbox", "kind"),
    [
        ("sardet-100k", "train.json", [5, 5, 0, 3], NO_AREA),
        ("sardet-100k", "train.json", [5, 5, -3, 3], NO_AREA),
        ("sardet-100k", "train.json", [9000, 5, 3, 3], OUTSIDE),
        ("hrsid", "train2017.json", [790, 5, 60, 9], OUTSIDE),
        ("hrsid", "train2017.json", [-90, 5, 60, 9], OUTSIDE),
    ],
)
def test_one_bad_object_goes_and_the_image_and_its_others_stay(
    archives: Path, tmp_path: Path, name: str, file: str, bbox: list[int], kind: str
) -> None:
    before, _ = scanned(archives / name, name)
    source = shutil.copytree(archives / name, tmp_path / "raw")
    annotated(source, lambda one: one.update(bbox=bbox), file)
    after, bad = scanned(source, name)
    assert (after.keys(), bad) == (before.keys(), [])
    (key,) = [key for key, record in after.items() if record.dropped]
    assert after[key].dropped == {kind: 1}
    kept = after[key].objects
    assert len(kept) == len(before[key].objects) - 1
    assert [one for one in before[key].objects if one in kept] == list(kept)


def test_the_policy_stops_or_quarantines_the_record(archives: Path, tmp_path: Path) -> None:
    source = shutil.copytree(archives / "sardet-100k", tmp_path / "raw")
    annotated(source, lambda one: one.update(bbox=[5, 5, 0, 3]), "train.json")
    told = (
        r"train.json: train_\d+: expected objects .*, found 1 box of no area in 1 of \d+ records. `bad_objects=drop` "
    )
    with pytest.raises(BadRecord, match=told) as caught:
        scanned(source, "sardet-100k", "stop")
    assert caught.value.path.endswith("train.json")
    found, bad = scanned(source, "sardet-100k", "quarantine")
    assert [one.key in found for one in bad] == [False]
    # A policy for records is none for objects.
    with pytest.raises(BadRecord, match="1 box of no area"):
        scan(
            catalog.pipeline("sardet-100k"),
            open_tree(source),
            runner=Serial(),
            bad_records="quarantine",
            bad_objects="stop",
        )


def _flat(source: Path, to: Path) -> Path:
    """Write the VOC form of SSDD into two flat folders, as copies have it, the first box of one image without area."""
    for ending, name in (("jpg", "JPEGImages"), ("xml", "Annotations")):
        (to / name).mkdir(parents=True)
        for path in source.rglob(f"BBox_SSDD/voc_style/**/*.{ending}"):
            shutil.copy(path, to / name)
    for path in sorted(to.rglob("*.xml"))[:1]:
        left, _, rest = path.read_text().partition("<xmax>")
        path.write_text(f"{left}<xmax>0</xmax><x>{rest.replace('</xmax>', '</x>', 1)}")
    return to


def test_the_default_is_to_drop_where_a_pipeline_says_why_and_else_to_stop(archives: Path, tmp_path: Path) -> None:
    source = _flat(archives / "ssdd", tmp_path / "flat")
    copy = sar_data.build("ssdd", source=source, out=tmp_path / "out", runner="serial")
    assert copy.manifest.dropped_objects == {NO_AREA: 1}
    asked: dict[str, Any] = {"source": source, "out": tmp_path / "own", "runner": "serial"}
    with pytest.raises(BadRecord, match=r"found 1 box of no area in 1 of \d+ records\. `bad_objects=drop` leaves"):
        sar_data.build("custom", **asked)
    own = sar_data.build("custom", **asked, bad_objects="drop")
    assert own.manifest.dropped_objects == copy.manifest.dropped_objects
    stopping = {name for name, one in catalog.sound()[0].items() if not one.spec.bad_objects}
    assert {"ssdd", "custom"} <= stopping
    assert stopping.isdisjoint({"sardet-100k", "sar-ship-dataset", "hrsid"})


def test_what_was_left_out_is_told_and_in_the_manifest(archives: Path, tmp_path: Path) -> None:
    source = shutil.copytree(archives / "sardet-100k", tmp_path / "raw")
    annotated(source, lambda one: one.update(bbox=[5, 5, 0, 3]), "train.json")
    said: list[str] = []
    made = build(BuildRequest(dataset="sardet-100k", source=source, out=tmp_path / "out"), say=said.append)
    assert made.manifest.dropped_objects == {NO_AREA: 1}
    assert "dropped: 1 box of no area" in said
    assert any(
        line.endswith("of 116,598 published records: train 7 of 94,493, val 3 of 10,492 and test 2 of 11,613")
        or "of 116,598 published records" in line
        for line in said
    )


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [(b"<xmin>", b"<xmin>-9", OUTSIDE), (b"<xmax>", b"<xmax>9", OUTSIDE), (b"<xmax>", b"<xmax>0", NO_AREA)],
)
@pytest.mark.parametrize("name", ["ssdd", "ls-ssdd"])
def test_a_box_in_xml_goes_alone_too(
    archives: Path, tmp_path: Path, name: str, old: bytes, new: bytes, kind: str
) -> None:
    source = shutil.copytree(archives / name, tmp_path / "raw")
    paths = sorted(source.rglob("BBox_SSDD/**/*.xml")) or sorted(source.rglob("*_*_*.xml"))
    path = max(paths, key=lambda path: path.read_bytes().count(b"<object>"))
    data = path.read_bytes()
    if new.endswith(b"0"):  # an edge left of the other one
        at = data.index(old)
        data = data[:at] + b"<xmax>0</xmax><x>" + data[at + len(old) :].replace(b"</xmax>", b"</x>", 1)
    else:
        data = data.replace(old, new, 1)
    path.write_bytes(data)
    before, after = scanned(archives / name, name)[0], scanned(source, name)[0]
    record = after[path.stem]
    assert record.dropped == {kind: 1}
    assert len(record.objects) == len(before[path.stem].objects) - 1


@pytest.mark.parametrize(
    ("line", "kind"), [("0 0.5 0.5 -0.1 0.1", NO_AREA), ("0 0.5 0.5 0 0.1", NO_AREA), ("0 1.5 0.5 0.1 0.1", OUTSIDE)]
)
def test_a_line_of_yolo_goes_alone_too(archives: Path, tmp_path: Path, line: str, kind: str) -> None:
    source = shutil.copytree(archives / "sar-ship-dataset", tmp_path / "raw")
    path = sorted(source.rglob("*.txt"))[0]
    path.write_text(f"0 0.5 0.5 0.1 0.1\n{line}\n")
    record = scanned(source, "sar-ship-dataset")[0][path.stem]
    assert (record.dropped, len(record.objects)) == ({kind: 1}, 1)


def test_an_outline_of_two_points_goes_alone() -> None:
    from sar_data.labels import boxes, voc

    points = "".join(f"<point>{x},{y}</point>" for x, y in ((1, 1), (5, 1)))
    whole = points + "<point>5,5</point>"
    text = "".join(f"<object><name>ship</name><points>{one}</points></object>" for one in (points, whole))
    found = voc.parse(f"<annotation>{text}</annotation>".encode(), "a.xml", ("ship",))
    objects = boxes.collect_objects(found.things, lambda thing: voc.object_of(thing, (9, 9), "a.xml", 1.0))
    assert (len(objects), objects.dropped) == (1, {NO_OUTLINE: 1})


@pytest.mark.parametrize("boxed", [True, False])
def test_a_rotated_box_with_a_side_that_is_not_above_zero_goes_alone(boxed: bool) -> None:
    from sar_data.labels import boxes, voc

    box = "<bndbox><xmin>2</xmin><ymin>2</ymin><xmax>6</xmax><ymax>5</ymax></bndbox>" * boxed
    sides = ((4, 3), (-4, 3), (4, 0))
    tags = ("cx", "cy", "w", "h", "theta")
    turned = [
        "".join(
            f"<rotated_bbox_{tag}>{v}</rotated_bbox_{tag}>" for tag, v in zip(tags, (4, 3.5, *pair, 0), strict=True)
        )
        for pair in sides
    ]
    text = "".join(f"<object><name>ship</name>{box}<rotated_bndbox>{one}</rotated_bndbox></object>" for one in turned)
    found = voc.parse(f"<annotation>{text}</annotation>".encode(), "a.xml", ("ship",))
    objects = boxes.collect_objects(found.things, lambda thing: voc.object_of(thing, (9, 9), "a.xml", 1.0))
    assert ([item.rotated for item in objects], objects.dropped) == ([(4, 3.5, 4, 3, 0)], {NO_AREA: 2})
    if boxed:
        joined = voc.join_annotations({"a.xml": found, "b.xml": found}, (9, 9))
        assert ([item.rotated for item in joined], joined.dropped) == ([(4, 3.5, 4, 3, 0)], {NO_AREA: 2})


def test_a_size_of_zero_in_xml_is_that_of_the_picture(archives: Path, tmp_path: Path) -> None:
    for name in ("ssdd", "ls-ssdd"):
        source = shutil.copytree(archives / name, tmp_path / name)
        for path in source.rglob("*.xml"):
            data = path.read_text()
            for tag in ("width", "height"):
                first, _, rest = data.partition(f"<{tag}>")
                data = f"{first}<{tag}>0</{tag}>" + rest.partition(f"</{tag}>")[2]
            path.write_text(data)
        before, after = scanned(archives / name, name)[0], scanned(source, name)[0]
        assert {key: (r.shape, r.objects) for key, r in after.items()} == {
            key: (r.shape, r.objects) for key, r in before.items()
        }


def _as_text(known: dict[str, Any]) -> None:
    for one in known["images"]:
        one["id"] = f"image {one['id']}"
    for one in known["annotations"]:
        one["image_id"] = f"image {one['image_id']}"


def _floats(known: dict[str, Any]) -> None:
    for one in known["images"]:
        one["height"], one["width"], one["id"] = float(one["height"]), str(one["width"]), float(one["id"])


def _from_zero(known: dict[str, Any]) -> None:
    for one in known["categories"]:
        one["id"] -= 1
    for one in known["annotations"]:
        one["category_id"] = str(one["category_id"] - 1)


def _same_ids(known: dict[str, Any]) -> None:
    for one in known["annotations"]:
        one["id"] = 7


@pytest.mark.parametrize("change", [_as_text, _floats, _from_zero, _same_ids])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig"])
def test_ids_sizes_and_encodings_of_converters_change_nothing(
    archives: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None], encoding: str
) -> None:
    source = shutil.copytree(archives / "hrsid", tmp_path / "raw")
    for path in source.rglob("annotations/t*2017.json"):
        known = json.loads(path.read_text())
        change(known)
        path.write_bytes(json.dumps(known).encode(encoding))
    before, after = scanned(archives / "hrsid", "hrsid")[0], scanned(source, "hrsid")[0]
    assert {key: record.objects for key, record in after.items()} == {
        key: record.objects for key, record in before.items()
    }


def test_a_bad_object_crosses_to_another_process_as_it_is() -> None:
    error = copy.copy(BadObject("a.xml", "expected a box", NO_AREA))
    assert (type(error), error.path, error.reason, error.kind) == (BadObject, "a.xml", "expected a box", NO_AREA)
