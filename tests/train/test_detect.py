"""The job of boxes: learnt from windows, evaluated on whole images, in pixels as stored, on one rank and on two."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sar_data.errors import UsageError
from sar_data.exporters import export
from sar_data.sealed.opened import Build
from sar_data.train import preset
from sar_data.train import training as run
from sar_data.train.data import Data
from sar_data.train.detect import Detection
from sar_data.train.models import backbone
from sar_data.train.pictures.detections import COLOURS, box_outcomes, boxes_to_draw
from sar_data.train.predictions import read
from sar_data.train.ranks import Ranks
from sar_data.train.reported import report
from sar_data.train.settings import Detect
from tests.mini import invented
from tests.train import cut
from tests.train.conftest import DETECT as TINY
from tests.train.conftest import ships

pytestmark = pytest.mark.usefixtures("unrendered")

# Many a window of 96 pixels has no ship.


@pytest.fixture(scope="module")
def trained(few: Build, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "run"
    started(few, out)
    return out


def started(build: Build, out: Path, **chosen: Any) -> dict[str, Any]:
    return run.run("detect", str(build.path), out, Detect(**{**TINY, **chosen}), say=lambda line: None)


def job(build: Build, **chosen: Any) -> tuple[Detection, Data]:
    settings = Detect(**{**TINY, **chosen})
    data = Data(str(build.path), settings, Ranks(0, 1, torch.device("cpu")))
    return Detection(backbone(settings.model, data.channels, image_size=data.side), data, settings), data


@pytest.mark.learn
def test_ships_are_learnt_in_a_short_run_and_not_found_without_any(tmp_path: Path) -> None:
    build = ships(tmp_path, 80)
    told = {"model": "resnet10t", "crop": 128, "overlap": 0.4, "optimiser": "adamw", "max_detections": 100}
    untrained = started(build, tmp_path / "untrained", **told, lr=1e-12)["test"]
    learnt = started(build, tmp_path / "learnt", **told, epochs=18, lr=0.004, warmup=1.0)["test"]
    assert untrained["ap50"] < 0.05
    assert learnt["ap50"] >= 0.5
    assert learnt["by_scene"]["offshore"]["ap50"] >= 0.5
    assert learnt["by_scene"].keys() == {"inshore", "offshore"}


def test_evaluation_is_of_whole_images_as_the_coco_export_has_them(few: Build, trained: Path, tmp_path: Path) -> None:
    tables, names = read(trained / "predictions.parquet")
    export("coco", few, tmp_path / "coco")
    document = json.loads((tmp_path / "coco" / "test.json").read_text())
    assert names == tuple(one["name"] for one in document["categories"])
    rows = {row["key"]: row for row in tables["test"].to_pylist()}
    assert rows.keys() == {image["key"] for image in document["images"]}
    for image in document["images"]:
        row = rows[image["key"]]
        there = [one["bbox"] for one in document["annotations"] if one["image_id"] == image["id"]]
        assert row["true_boxes"] == [[x, y, x + width, y + height] for x, y, width, height in there]
        found = np.reshape(row["boxes"], (-1, 4))
        assert len(found) == len(row["box_scores"]) == len(row["labels"]) <= 20
        assert (found >= 0).all()
        assert (found[:, 2] <= image["width"]).all()
        assert (found[:, 3] <= image["height"]).all()
        assert row["box_scores"] == sorted(row["box_scores"], reverse=True)
    metrics = json.loads((trained / "metrics.json").read_text())["test"]
    assert metrics["objects"] == len(document["annotations"])
    assert sum(part["objects"] for part in metrics["by_scene"].values()) == metrics["objects"]


def test_a_sheet_shows_what_was_found(trained: Path) -> None:
    data = (trained / "boxes-test.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    assert len(data) > 50_000


def test_a_report_draws_each_kind_of_box_in_its_colour_with_a_legend(few: Build, trained: Path, tmp_path: Path) -> None:
    text = report(trained, out=tmp_path / "run.html").read_text()
    rows = read(trained / "predictions.parquet")[0]["test"].to_pylist()
    kinds = {name for row in rows for name, _, _ in boxes_to_draw(row)}
    assert "missed" in kinds
    for name, colour in COLOURS.items():
        assert (f'stroke="{colour}"' in text) == (name in kinds)
        assert f"background:{colour}" in text


def test_boxes_are_sorted_into_found_wrong_and_missed() -> None:
    row = {
        "boxes": [[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60], [20, 20, 30, 30]],
        "box_scores": [0.9, 0.8, 0.7, 0.1],
        "labels": [0, 0, 0, 0],
        "true_boxes": [[0, 0, 10, 10], [20, 20, 30, 30], [50, 50, 60, 60]],
        "true_labels": [0, 0, 1],
    }
    assert box_outcomes(row) == {"found": [0], "wrong": [1, 2], "missed": [1, 2]}
    assert boxes_to_draw(row)[:3] == [("true", "true_", 0), ("found", "", 0), ("wrong", "", 1)]
    assert boxes_to_draw(row)[3:] == [("wrong", "", 2), ("missed", "true_", 1), ("missed", "true_", 2)]
    nothing: dict[str, Any] = {name: [] for name in row}
    assert box_outcomes(nothing) == {"found": [], "wrong": [], "missed": []}


@pytest.mark.parametrize("chosen", [{}, {"pad": 360, "crop": None}, {"pad": 400, "crop": None, "image_size": 200}])
def test_what_a_model_sees_is_told_in_pixels_as_stored(few: Build, chosen: dict[str, Any]) -> None:
    made, data = job(few, **chosen)
    seen = 0.5 if "image_size" in chosen else 1.0

    def bright(images: Tensor, targets: Any) -> list[dict[str, Tensor]]:
        """Find the one pixel that is set, at no loss."""
        found = []
        for image in images:
            y, x = divmod(int(image[0].argmax()), image.shape[-1])
            box = torch.tensor([[x, y, x + 1, y + 1]], dtype=torch.float32)[: int(image[0].max() == 99)]
            one = {"boxes": box, "scores": torch.ones(len(box)), "labels": torch.zeros(len(box)).long()}
            found.append({**one, "sums": torch.zeros(4)})
        return found

    for batch in data.evaluation("test"):
        batch["image"][:] = 0
        batch["image"][:, 0, 30, 40] = 99
        columns = made.predict(bright, batch)
        expected = [40 / seen, 30 / seen, 41 / seen, 31 / seen]
        assert [row[0] for row in columns["boxes"].to_pylist()] == [expected] * len(batch["key"])
        batch["image"][:] = 0
        batch["image"][:, 0, -1, -1] = 99  # no image is as large as that in both directions
        assert [len(row) for row in made.predict(bright, batch)["boxes"].to_pylist()] == [0] * len(batch["key"])
    data.close()


def test_options_that_would_evaluate_parts_of_images_are_refused(few: Build) -> None:
    with pytest.raises(UsageError, match=r"detect evaluates whole images: expected 1"):
        job(few, centre=0.875)
    with pytest.raises(UsageError, match=r"tiles are of images as stored: give one of both"):
        job(few, image_size=96)
    with pytest.raises(UsageError, match=r"size it is trained on only: expected `tile=96`, found 64"):
        job(few, model="test_vit", tile=64)


def test_images_that_are_not_square_are_not_resized(tmp_path: Path) -> None:
    source = invented.archive(tmp_path / "raw", 24)
    build = invented.sealed(invented.pipeline("detection"), source, tmp_path / "out")
    with pytest.raises(UsageError, match=r"expected square images, found 6 × 5, .*: give `pad=6`, too"):
        job(build, crop=None, image_size=32)


def test_a_build_without_boxes_is_refused(tmp_path: Path) -> None:
    build = invented.sealed(invented.pipeline(), invented.archive(tmp_path / "raw", 24), tmp_path / "out")
    for size in (4, 1000):  # of a batch: more than there are samples is not the complaint
        with pytest.raises(
            UsageError, match=r"of kind multiclass: detect takes boxes; there is `probe` and `finetune`"
        ):
            job(build, crop=4, batch_size=size)


def test_a_run_on_horizontal_boxes_says_that_there_are_rotated_ones(
    few: Build, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="sar_data.train"):
        job(few)[1].close()
        job(few, boxes="rotated")[1].close()
    told = [line for line in caplog.messages if "rotated" in line]
    assert len(told) == 1
    assert told[0].endswith("have a rotated box: this run takes their horizontal ones, `boxes=rotated` the others")


def test_bands_classes_and_images_of_any_kind_are_trained(tmp_path: Path) -> None:
    # Two bands and a difference, four classes, images of 6 to 10 pixels, a quarter of them without any object.
    source = invented.archive(tmp_path / "raw", 40, ragged=True)
    build = invented.sealed(invented.pipeline("detection", shape=None), source, tmp_path / "out", format="webdataset")
    metrics = started(build, tmp_path / "run", bands=("VV", "VH", "VV-VH"), crop=None, pad=32, augment=("hflip",))
    assert metrics["test"].keys() >= {"ap", "ap50", "per_class"}
    assert metrics["test"]["per_class"].keys() == set(invented.CLASSES)
    assert "by_scene" not in metrics["test"]


@pytest.mark.parametrize(
    "chosen",
    [
        {"detector": "faster-rcnn", "crop": 256, "batch_size": 2, "fraction": 0.5},
        {"accumulate": 2, "freeze": True, "model": "test_resnet"},
        {"amp": "bf16", "layer_decay": 0.8, "drop_path": 0.1},
        {"model": "test_vit"},
        {"boxes": "rotated", "box_loss": "kfiou", "amp": "bf16"},
    ],
    ids=str,
)
def test_a_run_stopped_in_an_epoch_goes_on_to_the_same_bits(
    few: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: dict[str, Any]
) -> None:
    cut.assert_resumes(lambda out: started(few, out, **chosen), tmp_path, monkeypatch, 2)


def test_the_preset_is_of_this_job_and_says_where_it_differs() -> None:
    found = preset.find("sarhub-detection")
    settings = preset.resolved("detect", found, {"pad": 668})
    assert isinstance(settings, Detect)
    assert (settings.detector, settings.lr, settings.epochs, settings.select) == ("fcos", 0.005, 36, "last")
    assert "What differs" in found.about


def test_some_ranks_of_that_training_have_no_positive_place_while_the_other_has(few: Build) -> None:
    made, data = job(few, batch_size=2)
    positives = [float(made.known(batch)[3]) for batch in data.training()]
    data.close()
    assert 0 in positives
    assert max(positives) > 0
