"""COCO's average precision: what is perfect is 1, what is known by hand, and what an export says the same of."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sar_data import catalog
from sar_data.errors import BuildError
from sar_data.exporters import export
from sar_data.sealed.opened import Build
from sar_data.train.detect.truth import BOXES, COLUMNS, Truth
from sar_data.train.metrics.box_intervals import measure
from sar_data.train.metrics.boxes import MOST_VALUES, figures
from sar_data.train.metrics.jackknife import intervals
from tests.mini import invented
from tests.mini.builds import make
from tests.places import SAMPLES

SMALL, MEDIUM, LARGE = [10.0, 10, 30, 30], [100.0, 100, 150, 150], [200.0, 0, 300, 100]
FAR = [400.0, 400, 420, 420]


def table(*images: dict[str, Any], **more: list[Any]) -> pa.Table:
    """Return predictions of images given as {"there": [(box, label)], "found": [(box, label, score)]}."""
    there = [image.get("there", []) for image in images]
    found = [image.get("found", []) for image in images]
    columns: dict[str, Any] = {
        "key": [f"image-{i}" for i in range(len(images))],
        "boxes": pa.array([[one[0] for one in row] for row in found], BOXES),
        "labels": pa.array([[one[1] for one in row] for row in found], pa.list_(pa.int64())),
        "box_scores": pa.array([[one[2] for one in row] for row in found], pa.list_(pa.float64())),
        "true_boxes": [[one[0] for one in row] for row in there],
        "true_labels": [[one[1] for one in row] for row in there],
        "true_areas": [[(b[2] - b[0]) * (b[3] - b[1]) for b, *_ in row] for row in there],
        "true_crowds": [[len(one) > 2 for one in row] for row in there],
    }
    columns |= {name: pa.array(columns[name], kind) for name, kind in COLUMNS.items() if name in columns}
    return pa.table({**columns, **more})


def perfect(truth: Truth, keys: list[str]) -> pa.Table:
    columns = truth.columns(keys)
    scores = pa.array([[0.9] * len(row) for row in columns["true_boxes"].to_pylist()], pa.list_(pa.float64()))
    found = {"boxes": columns["true_boxes"], "labels": columns["true_labels"], "box_scores": scores}
    return pa.table({"key": keys, **found, **columns})


def test_what_is_found_exactly_has_every_figure_1() -> None:
    objects = [(SMALL, 0), (MEDIUM, 1), (LARGE, 0)]
    found = figures(table({"there": objects, "found": [(*one, 0.5) for one in objects]}), ["ship", "buoy"])
    names = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar10", "ar100", "ar_small", "ar_large")
    assert [found[name] for name in names] == pytest.approx([1.0] * len(names))
    assert found["ar1"] == pytest.approx(0.75)  # of two ships one, of one buoy one
    assert (found["count"], found["objects"], found["empty_images"]) == (1, 3, 0)
    assert found["per_class"]["buoy"] == pytest.approx({"ap": 1.0, "ap50": 1.0, "recall": 1.0, "support": 1})


def test_one_of_two_ships_below_a_false_one_has_the_precision_worked_out_by_hand() -> None:
    # Best first: wrong, right. At recall 0 to 0.5, 51 of the 101 places, precision is 1/2, beyond it 0.
    found = figures(table({"there": [(SMALL, 0), (MEDIUM, 0)], "found": [(FAR, 0, 0.9), (SMALL, 0, 0.8)]}), ["ship"])
    assert found["ap50"] == pytest.approx(0.5 * 51 / 101)
    assert found["ar100"] == pytest.approx(0.5)


def test_a_box_of_two_thirds_overlap_counts_for_the_lower_overlaps_only() -> None:
    # 20 × 20 against 20 × 30: 400 of 600 pixels, above 0.50 to 0.65, four of the ten overlaps.
    found = figures(table({"there": [([0.0, 0, 20, 30], 0)], "found": [([0.0, 0, 20, 20], 0, 0.9)]}), ["ship"])
    assert (found["ap50"], found["ap75"]) == pytest.approx((1.0, 0.0))
    assert found["ap"] == pytest.approx(0.4)


def test_what_is_found_in_an_image_without_ships_lowers_the_precision() -> None:
    ship = {"there": [(SMALL, 0)], "found": [(SMALL, 0, 0.5)]}
    clean = figures(table(ship, {}), ["ship"])
    dirty = figures(table(ship, {"found": [(FAR, 0, 0.9)]}), ["ship"])
    assert clean["ap50"] == pytest.approx(1.0)
    assert dirty["ap50"] == pytest.approx(0.5)
    assert (dirty["count"], dirty["empty_images"]) == (2, 1)


def test_another_class_is_no_match() -> None:
    found = figures(table({"there": [(SMALL, 0)], "found": [(SMALL, 1, 0.9)]}), ["ship", "buoy"])
    assert found["ap50"] == 0.0
    assert found["without_support"] == ["buoy"]
    assert found["per_class"]["buoy"]["ap"] is None


def test_of_a_crowd_neither_a_hit_nor_a_miss_counts() -> None:
    crowd = {"there": [(SMALL, 0), (LARGE, 0, "crowd")], "found": [(SMALL, 0, 0.5), ([210.0, 10, 290, 90], 0, 0.9)]}
    found = figures(table(crowd), ["ship"])
    assert found["ap50"] == pytest.approx(1.0)
    assert found["objects"] == 1


def test_a_split_without_objects_has_no_figures_and_one_without_findings_has_noughts() -> None:
    assert figures(table({"found": [(FAR, 0, 0.9)]}), ["ship"])["ap"] is None
    assert figures(table({"there": [(SMALL, 0)]}), ["ship"])["ap"] == 0.0
    nothing = figures(table(), ["ship"])
    assert (nothing["count"], nothing["ap50"]) == (0, None)


def test_no_more_than_the_best_are_looked_at() -> None:
    ships = [([20.0 * i, 0, 20 * i + 10, 10], 0) for i in range(4)]
    whole = table({"there": ships, "found": [(*one, 0.9 - 0.1 * i) for i, one in enumerate(ships)]})
    found = figures(whole, ["ship"], most=2)
    assert found["ar2"] == pytest.approx(0.5)
    assert "ar10" not in found
    crowded = table({"there": ships * 40, "found": [(*one, 0.9) for one in ships * 40]})
    assert figures(crowded, ["ship"], most=160)["ar160"] > figures(crowded, ["ship"])["ar100"]


def test_figures_are_told_of_each_value_of_an_attribute_if_they_are_few() -> None:
    images = [
        {"there": [(SMALL, 0)], "found": [(SMALL, 0, 0.9)]},
        {"there": [(SMALL, 0)], "found": [(FAR, 0, 0.9)]},
        {"there": [(SMALL, 0)]},
    ]
    found = figures(table(*images, scene=["offshore", "inshore", None]), ["ship"], by="scene")
    assert found["by_scene"]["offshore"]["ap50"] == pytest.approx(1.0)
    assert (found["by_scene"]["inshore"]["ap50"], found["by_scene"]["inshore"]["count"]) == (0.0, 1)
    assert found["count"] == 3
    unknown = figures(table(*images, scene=pa.nulls(3, pa.string())), ["ship"], by="scene")
    assert "by_scene" not in unknown
    many = [{"there": [(SMALL, 0)]}] * (MOST_VALUES + 1)
    names = [str(i) for i in range(len(many))]
    assert "by_tile" not in figures(table(*many, tile=names), ["ship"], by="tile")


def scattered(seed: int, count: int = 12) -> list[dict[str, Any]]:
    """Return images with objects of three classes, some of them found, some twice, some somewhere else."""
    random = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        there = [([float(x), 0.0, float(x) + 20, 20.0], int(random.integers(3))) for x in range(0, 100, 25)]
        there = [one for one in there if random.random() < 0.6]
        found = []
        for box, label in there:
            for _ in range(int(random.integers(0, 3))):
                shift = float(random.normal(0, 5))
                found.append(([box[0] + shift, 0.0, box[2] + shift, 20.0], label, float(random.random())))
        found += [(FAR, int(random.integers(3)), float(random.random()))] * int(random.integers(0, 2))
        images.append({"there": there, "found": found})
    return images


@pytest.mark.parametrize("seed", range(5))
def test_drawing_an_image_twice_is_having_it_twice(seed: int) -> None:
    images, classes = scattered(seed), ["ship", "buoy", "wharf"]
    weights = np.random.default_rng(seed).integers(0, 3, (4, len(images))).astype(np.int32)
    weights[0] = 1
    measured, cells, objects = measure(table(*images), len(classes), np.arange(len(images)), len(images))
    found = measured(weights)
    for i, row in enumerate(weights):
        repeated = [image for image, times in zip(images, row, strict=True) for _ in range(times)]
        expected = figures(table(*repeated), classes)
        for name in ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large"):
            value = expected[name]
            assert found[name][i] == pytest.approx(np.nan if value is None else value, abs=1e-9, nan_ok=True)
        for name in ("ap", "ap50"):
            each = [expected["per_class"][label][name] for label in classes]
            np.testing.assert_allclose(found[f"per_class.{name}"][i], np.array(each, np.float64), atol=1e-9)
    assert cells >= len(images)
    assert objects["per_class."].sum(axis=0).tolist() == [
        figures(table(*images), classes)["per_class"][label]["support"] for label in classes
    ]


def test_images_of_one_scene_are_drawn_together_and_a_draw_without_objects_has_no_figure() -> None:
    ship = {"there": [(SMALL, 0)], "found": [(SMALL, 0, 0.5)]}
    measured, _, _ = measure(table(ship, {"found": [(FAR, 0, 0.9)]}, {}), 1, np.array([0, 0, 1]), 2)
    found = measured(np.array([[1, 0], [0, 1], [1, 1]], np.int32))["ap50"]
    np.testing.assert_allclose(found, [0.5, np.nan, 0.5])


def test_a_run_s_intervals_are_of_groups_and_hold_the_figure() -> None:
    images, classes = scattered(7, 60), ["ship", "buoy", "wharf"]
    grouped = table(*images, group=[f"scene-{i % 12}" for i in range(len(images))])
    found = intervals(grouped, classes)
    low, high = found["ap50"]
    assert found["method"] == "jackknife-t on the logit over 12 groups"
    assert 0 < low < figures(grouped, classes)["ap50"] < high < 1
    assert intervals(table(group=[]), classes)["method"].startswith("no interval")
    nothing = intervals(table({}, {}, group=["a", "b"]), classes)
    assert nothing["ap50"] is None


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    figures(table({"there": [(SMALL, 0)], "found": [(SMALL, 0, 0.9)]}), ["ship"])
    assert capfd.readouterr() == ("", "")


def test_the_truth_is_that_of_the_coco_export_image_by_image(tmp_path: Path) -> None:
    source = invented.archive(tmp_path / "raw", 40, ragged=True)
    build = invented.sealed(invented.pipeline("detection", shape=None), source, tmp_path / "out", format="lmdb")
    _equals_export(build, "train", tmp_path / "coco")


def _equals_export(build: Build, split: str, out: Path) -> dict[str, Any]:
    """Check that perfect predictions have AP 1, by our truth and by an export that pycocotools itself has loaded."""
    export("coco", build, out)
    document = json.loads((out / f"{split}.json").read_text())
    keys = [image["key"] for image in document["images"]]
    truth = Truth(build.path / "index.parquet", "scene")
    found = perfect(truth, keys)
    rows = {row["key"]: row for row in found.to_pylist()}
    for image in document["images"]:
        drawn = [one for one in document["annotations"] if one["image_id"] == image["id"]]
        row = rows[image["key"]]
        corners = [[x, y, x + width, y + height] for x, y, width, height in (one["bbox"] for one in drawn)]
        np.testing.assert_allclose(np.reshape(row["true_boxes"], (-1, 4)), np.reshape(corners, (-1, 4)), rtol=1e-9)
        assert row["true_areas"] == pytest.approx([one["area"] for one in drawn])
        assert row["true_labels"] == [one["category_id"] - 1 for one in drawn]
        assert row["true_crowds"] == [bool(one["iscrowd"]) for one in drawn]
    ours = figures(found, [one["name"] for one in document["categories"]])
    with contextlib.redirect_stdout(io.StringIO()):
        there = COCO(str(out / f"{split}.json"))
        answers = [
            {"image_id": one["image_id"], "category_id": one["category_id"], "bbox": one["bbox"], "score": 0.9}
            for one in document["annotations"]
        ]
        evaluation = COCOeval(there, there.loadRes(answers), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    theirs = [None if value == -1 else float(value) for value in evaluation.stats]
    names = (
        "ap",
        "ap50",
        "ap75",
        "ap_small",
        "ap_medium",
        "ap_large",
        "ar1",
        "ar10",
        "ar100",
        "ar_small",
        "ar_medium",
        "ar_large",
    )
    assert [ours[name] for name in names] == [None if one is None else pytest.approx(one) for one in theirs]
    assert ours["ap"] == pytest.approx(1.0)
    return ours


def test_the_real_images_with_their_official_boxes_pass_through_build_export_and_evaluation(tmp_path: Path) -> None:
    source = SAMPLES / "ssdd"
    if not source.is_dir():
        pytest.skip("no real SSDD images: name the folder that holds ssdd by SAR_DATA_SAMPLES")
    build = make(catalog.pipeline("ssdd"), source, tmp_path / "out", format="lmdb", split="official")
    counts = pc.value_counts(build.index()["split"]).to_pylist()
    assert {one["values"]: one["counts"] for one in counts} == {"train": 1, "test": 1}
    for split, key in (("train", "000002"), ("test", "000001")):
        ours = _equals_export(build, split, tmp_path / f"coco-{split}")
        assert ours["ap"] == pytest.approx(1.0)
        official = json.loads(
            (source / f"Official-SSDD-OPEN/BBox_SSDD/coco_style/annotations/{split}.json").read_text()
        )
        image = next(one for one in official["images"] if one["file_name"] == f"{key}.jpg")
        drawn = [one for one in official["annotations"] if one["image_id"] == image["id"]]
        there = Truth(build.path / "index.parquet", "scene").columns([key])
        assert len(there["true_boxes"][0]) == len(drawn) > 0
        # The official COCO files draw boxes around polygons of fractions of pixels, the XML in whole ones.
        ours_sorted = sorted(there["true_boxes"].to_pylist()[0])
        theirs = sorted([x, y, x + width, y + height] for x, y, width, height in (one["bbox"] for one in drawn))
        np.testing.assert_allclose(ours_sorted, theirs, atol=2.0)
        areas = zip(sorted(there["true_areas"].to_pylist()[0]), sorted(one["area"] for one in drawn), strict=True)
        assert all(mine == pytest.approx(other, rel=0.1) for mine, other in areas)


def test_rotated_boxes_are_counted_and_attributes_are_found_by_name(tmp_path: Path) -> None:
    catalog.synthesise("ssdd")(tmp_path / "raw", count=20, seed=0)
    build = make(catalog.pipeline("ssdd"), tmp_path / "raw", tmp_path / "out", format="lmdb", split="official")
    truth = Truth(build.path / "index.parquet", "scene")
    keys = build.index()["key"].to_pylist()
    columns = truth.columns(keys)
    assert set(columns["scene"].to_pylist()) == {"inshore", "offshore"}
    assert truth.rotated == sum(map(len, columns["true_boxes"].to_pylist())) > 0
    other = Truth(build.path / "index.parquet", "pass").columns(keys[:2])
    assert other["pass"].to_pylist() == [None, None]


def test_an_index_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"index.parquet: cannot read: No such file"):
        Truth(tmp_path / "index.parquet", "scene")
