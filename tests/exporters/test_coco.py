"""Exported COCO JSON is what pycocotools loads, and what was drawn is found to be perfect."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pipelines import ssdd
from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.cli import main
from sar_data.exporters import export
from sar_data.exporters.source import Source
from sar_data.record import Object
from sar_data.sealed.opened import Build
from tests.datasets.test_real_sample import SAMPLES

REAL = SAMPLES / "ssdd"
needs_samples = pytest.mark.skipif(not REAL.is_dir(), reason="no real SSDD: name its folder by SAR_DATA_SAMPLES")


def average_precision(truth: Path, kind: str, shift: float = 0.0) -> tuple[float, float]:
    """Return AP (0.50:0.95) and AR of predictions that are the truth, moved by `shift` pixels."""
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO(str(truth))
        found = []
        for one in known.dataset["annotations"]:
            x, y, width, height = one["bbox"]
            drawn = {"bbox": [x + shift, y, width, height]} if kind == "bbox" else {"segmentation": known.annToRLE(one)}
            found.append({"image_id": one["image_id"], "category_id": one["category_id"], "score": 0.9, **drawn})
        evaluated = COCOeval(known, known.loadRes(found), kind)
        evaluated.evaluate()
        evaluated.accumulate()
        evaluated.summarize()
    return float(evaluated.stats[0]), float(evaluated.stats[8])


@pytest.mark.parametrize("name", ["ssdd", "hrsid"])
def test_perfect_predictions_are_found_perfect_and_others_are_not(
    built: dict[str, Build], name: str, tmp_path: Path
) -> None:
    made = export("coco", built[name], tmp_path / "coco")
    assert made.samples == sum(split.count for split in built[name].manifest.splits.values())
    for path in (made.folder / "train.json", made.folder / "test.json"):
        assert average_precision(path, "bbox") == pytest.approx((1, 1))
        assert average_precision(path, "segm") == pytest.approx((1, 1))
        assert average_precision(path, "bbox", shift=4)[0] < 0.9


@needs_samples
def test_the_real_ships_go_from_the_release_through_a_build_to_a_perfect_evaluation(tmp_path: Path) -> None:
    made = build(BuildRequest(dataset=ssdd.PIPELINE, source=REAL, out=tmp_path, format="lmdb"))
    out = export("coco", made, tmp_path / "coco").folder
    for path in (out / "train.json", out / "test.json"):
        assert average_precision(path, "bbox") == pytest.approx((1, 1))
        assert average_precision(path, "segm") == pytest.approx((1, 1))
        document = json.loads(path.read_text())
        release = REAL / "Official-SSDD-OPEN/BBox_SSDD/coco_style/annotations" / path.name
        (image,), (ship,) = document["images"], document["annotations"]
        assert (out / image["file_name"]).is_file()
        known = json.loads(release.read_text())
        (theirs,) = (one for one in known["annotations"] if one["image_id"] == int(image["key"]))
        assert ship["bbox"] == pytest.approx(theirs["bbox"], abs=1)
        assert ship["area"] == pytest.approx(theirs["area"], rel=0.1)
        assert len(ship["rotated"]) == 5


def test_every_number_is_as_coco_wants_it(built: dict[str, Build], tmp_path: Path) -> None:
    out = export("coco", built["ssdd"], tmp_path / "coco").folder
    document = json.loads((out / "train.json").read_text())
    assert [image["id"] for image in document["images"]] == list(range(1, 10))
    assert [one["id"] for one in document["annotations"]] == list(range(1, len(document["annotations"]) + 1))
    assert document["categories"] == [{"id": 1, "name": "ship", "supercategory": ""}]
    for one in document["annotations"]:
        assert all(isinstance(v, float) for v in (*one["bbox"], *one["segmentation"][0], one["area"]))
        assert 0 < one["area"] <= one["bbox"][2] * one["bbox"][3]
        assert one["iscrowd"] == 0


def test_the_area_is_that_of_the_most_exact_drawing() -> None:
    from sar_data.exporters.coco import _annotation

    box: dict[str, Any] = {"label": 0, "box": (0.0, 0.0, 4.0, 2.0)}
    for more, area in (
        ({}, 8),
        ({"rotated": (2.0, 1.0, 3.0, 1.0, 30.0)}, 3),
        ({"rotated": (2.0, 1.0, 3.0, 1.0, 30.0), "polygons": ((0.0, 0.0, 4.0, 0.0, 4.0, 2.0),)}, 4),
    ):
        assert _annotation(Object(**box, **more))["area"] == area  # type: ignore[arg-type]
    assert _annotation(Object(**box, attrs={"crowd": "1"}))["iscrowd"] == 1


def test_the_images_are_the_stored_ones_where_the_file_names_say(built: dict[str, Build], tmp_path: Path) -> None:
    build = built["ssdd"]
    out = export("coco", build, tmp_path / "coco").folder
    stored = {row["key"]: image for row, image, _ in Source.of(build).samples("test")}
    images = json.loads((out / "test.json").read_text())["images"]
    assert {image["key"] for image in images} == stored.keys()
    for image in images:
        with Image.open(out / image["file_name"]) as file:
            assert file.size == (image["width"], image["height"])
            pixels = np.asarray(file)
        assert (pixels.reshape(pixels.shape[0], pixels.shape[1], -1).transpose(2, 0, 1) == stored[image["key"]]).all()


def test_the_command_says_what_it_wrote_and_what_it_cannot(
    built: dict[str, Build], sealed: dict[str, Build], tmp_path: Path
) -> None:
    run = CliRunner().invoke
    done = run(main, ["export", "coco", str(built["ssdd"].path), "--out", str(tmp_path / "a")])
    assert (done.exit_code, done.stdout.split()) == (0, [str(tmp_path / "a")])
    assert "lost: " in done.stderr
    other = run(main, ["export", "coco", str(sealed["lmdb"].path), "--out", str(tmp_path / "b")])
    assert (other.exit_code, (tmp_path / "b").exists()) == (2, False)
    assert "expected a build with a detection task, found tasks of kind: multilabel" in other.stderr
    (tmp_path / "file").write_text("")
    bad = run(main, ["export", "coco", str(built["ssdd"].path), "--out", str(tmp_path / "file" / "x")])
    assert bad.exit_code == 1
    assert "cannot write" in bad.stderr
