"""The job of rotated boxes: SSDD's own and those around HRSID's outlines, from windows to maps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
import rasterio.warp
import torch
from torch import Tensor

import sar_data.train
from sar_data import catalog
from sar_data.errors import UsageError
from sar_data.labels.boxes import corners
from sar_data.sealed.opened import Build
from sar_data.train import preset
from sar_data.train import training as run
from sar_data.train.detect.tiles import detect_in_tiles
from sar_data.train.detect.truth import Truth
from sar_data.train.predictions import read
from sar_data.train.reported import report
from sar_data.train.rotated.boxes import hulls, of_targets, overlaps
from sar_data.train.settings import Detect
from tests.mini.builds import make
from tests.train import cut, test_detect
from tests.train.conftest import DETECT as TINY
from tests.train.conftest import ships
from tests.train.test_predict import GRID, write

pytestmark = pytest.mark.usefixtures("unrendered")


@pytest.fixture(scope="module")
def trained(few: Build, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("rotated") / "run"
    settings = Detect(**{**TINY, "boxes": "rotated", "score_threshold": 0.0})
    run.run("detect", str(few.path), out, settings, say=lambda line: None)
    return out


@pytest.fixture(scope="module")
def outlined(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Five windows of HRSID, whose ships are outlines."""
    folder = tmp_path_factory.mktemp("outlined")
    catalog.synthesise("hrsid")(folder / "raw", count=5, seed=0)
    return make(catalog.pipeline("hrsid"), folder / "raw", folder / "out", format="lmdb", split="official")


@pytest.mark.learn
def test_rotated_ships_are_learnt_in_a_short_run_and_not_found_without_any(tmp_path: Path) -> None:
    build = ships(tmp_path, 80)
    told = {"model": "resnet10t", "crop": 128, "overlap": 0.4, "optimiser": "adamw", "max_detections": 100}
    long = {**told, "epochs": 18, "lr": 0.004, "warmup": 1.0}
    figures = {
        name: test_detect.started(build, tmp_path / name, **options)["test"]
        for name, options in {
            "untrained": {**told, "boxes": "rotated", "lr": 1e-12},
            "rotated-fcos": {**long, "boxes": "rotated"},
            # Its layers without norms want smaller steps, and more of them.
            "oriented-rcnn": {**long, "detector": "oriented-rcnn", "lr": 0.001, "epochs": 14, "batch_size": 2},
            "horizontal": long,
        }.items()
    }
    print(
        {
            name: {key: found[key] for key in ("ap", "ap50", "ap50_11_point", "ap50_area")}
            for name, found in figures.items()
        }
    )
    assert figures["untrained"]["ap50"] < 0.05
    assert figures["rotated-fcos"]["ap50"] >= 0.5
    assert figures["oriented-rcnn"]["ap50"] >= 0.5
    assert figures["horizontal"]["ap50"] >= 0.5


def test_what_is_there_are_the_rotated_boxes_of_the_index(few: Build, trained: Path) -> None:
    rows = read(trained / "predictions.parquet")[0]["test"].to_pylist()
    index = {row["key"]: row["objects"] for row in few.index().to_pylist() if row["split"] == "test"}
    assert {row["key"] for row in rows} == index.keys()
    for row in rows:
        assert len(row["true_rotated"]) == len(index[row["key"]])
        for found, stored in zip(row["true_rotated"], index[row["key"]], strict=True):
            assert found[2] >= found[3]
            assert -90 <= found[4] < 90
            one, other = (
                set(zip(*[np.round(corners(tuple(box)), 3)[i::2] for i in (0, 1)], strict=True))
                for box in (found, stored["rotated"])
            )
            assert one == other
        said = torch.tensor(row["rotated"]).reshape(-1, 5)
        assert len(said) == len(row["boxes"]) == len(row["box_scores"]) > 0
        inside = hulls(said).clamp(min=0)[:, :2]  # hulls are cut to the image
        np.testing.assert_allclose(inside, np.array(row["boxes"])[:, :2], atol=1e-3)
    found = json.loads((trained / "metrics.json").read_text())["test"]
    assert found.keys() >= {"ap", "ap50", "ap75", "ap50_11_point", "ap50_area", "by_scene", "calibration"}
    assert found["objects"] == sum(map(len, index.values()))
    assert found["intervals"].keys() >= {"ap", "ap50", "ap75"}


def test_rotated_boxes_are_drawn_with_their_corners(trained: Path, tmp_path: Path) -> None:
    text = report(trained, out=tmp_path / "run.html").read_text()
    row = read(trained / "predictions.parquet")[0]["test"].to_pylist()[0]
    ring = corners(tuple(row["true_rotated"][0]))
    assert f"M{' '.join(f'{value:.1f}' for value in ring)}z" in text


def test_boxes_are_those_around_outlines_where_a_build_has_no_others(outlined: Build) -> None:
    job, data = test_detect.job(outlined, boxes="rotated", crop=None, batch_size=2)
    truth = Truth(outlined.path / "index.parquet", "scene", boxes="rotated")
    seen = 0
    for batch in (batch for split in ("train", "test") for batch in data.evaluation(split)):
        columns = truth.columns(batch["key"])
        for own, there, flat in zip(
            of_targets(batch["target"]),
            columns["true_rotated"].to_pylist(),
            columns["true_boxes"].to_pylist(),
            strict=True,
        ):
            np.testing.assert_allclose(own, np.reshape(there, (-1, 5)), atol=1e-2)
            around = hulls(torch.tensor(there).reshape(-1, 5)).numpy()
            boxes = np.reshape(flat, (-1, 4))
            assert (around[:, :2] <= boxes[:, :2] + 0.01).all()
            assert (own[:, 2] * own[:, 3] <= torch.tensor(boxes[:, 2:] - boxes[:, :2]).prod(dim=1) + 0.1).all()
            seen += len(own)
        known = job.known(batch)
        assert float(known[3]) > 0 or not any(map(len, columns["true_rotated"].to_pylist()))
    data.close()
    assert seen > 3


def oracle(images: Tensor, there: Tensor, corner: Tensor) -> list[dict[str, Tensor]]:
    """Find every box whose centre lies in a tile of 64 pixels, cut where it ends."""
    found = []
    for image in images:
        left, top = (float(image[axis, 0, 0]) for axis in (0, 1))
        moved = there - torch.tensor([left, top, 0, 0, 0])
        own = moved[((moved[:, :2] >= 0) & (moved[:, :2] <= 64)).all(dim=1)]
        found.append(
            {
                "boxes": hulls(own),
                "rotated": own,
                "scores": torch.full((len(own),), 0.9),
                "labels": torch.zeros(len(own)).long(),
            }
        )
    return found


def test_rotated_boxes_of_tiles_are_put_together_in_the_image() -> None:
    y, x = torch.meshgrid(torch.arange(150.0), torch.arange(170.0), indexing="ij")
    images = torch.stack([x, y])[None]
    there = torch.tensor([[20.0, 30, 30, 8, 40], [100, 60, 30, 8, -30], [150, 130, 24, 6, 80], [60, 62, 30, 10, 0]])
    (found,) = detect_in_tiles(
        lambda images: oracle(images, there, images), images, [(150, 170)], tile=64, overlap=0.5, nms=0.1, most=20
    )
    assert len(found["rotated"]) == len(there)
    assert overlaps(found["rotated"], there).amax(dim=0).tolist() == pytest.approx([1.0] * 4, abs=1e-4)
    np.testing.assert_allclose(found["boxes"], hulls(found["rotated"]), atol=1e-4)


def test_rotated_boxes_lie_on_the_map_in_all_forms(trained: Path, tmp_path: Path) -> None:
    pixels: npt.NDArray[np.uint8] = np.random.default_rng(0).integers(0, 255, (1, 120, 150)).astype(np.uint8)
    scene = write(tmp_path / "scene.tif", pixels, crs="EPSG:32633", transform=GRID)
    said = sar_data.train.predict(trained, scene, out=tmp_path / "out", tile=96)
    rows = pq.read_table(tmp_path / "out" / "boxes.parquet").to_pylist()
    document = json.loads((tmp_path / "out" / "boxes.json").read_text())
    features = json.loads((tmp_path / "out" / "boxes.geojson").read_text())["features"]
    lines = (tmp_path / "out" / "dota" / "Task1_ship.txt").read_text().splitlines()
    assert len(rows) == sum(said.values()) > 0
    for row, one, feature, line in zip(rows, document["annotations"], features, lines, strict=True):
        turned = [row[name] for name in ("centre_x", "centre_y", "width", "height", "degrees")]
        ring = np.reshape(corners(tuple(turned)), (4, 2))
        assert one["rotated"] == pytest.approx(turned)
        assert one["area"] == pytest.approx(turned[2] * turned[3], rel=1e-5)
        np.testing.assert_allclose(one["segmentation"], [ring.ravel()], atol=1e-3)
        np.testing.assert_allclose(row["corners"], [GRID @ tuple(point) for point in ring], atol=1e-2)
        placed = np.array(feature["geometry"]["coordinates"][0])
        back = np.array(rasterio.warp.transform("EPSG:4326", "EPSG:32633", placed[:4, 0], placed[:4, 1])).T
        np.testing.assert_allclose(back, row["corners"], atol=0.05)
        np.testing.assert_allclose([float(v) for v in line.split()[2:]], ring.ravel(), atol=0.01)


def test_a_finished_run_is_judged_on_a_build_of_outlines(trained: Path, outlined: Build, tmp_path: Path) -> None:
    found = sar_data.train.evaluate(trained, outlined.path, split="train", out=tmp_path / "judged")
    table = read(tmp_path / "judged" / "predictions.parquet")[0]["train"]
    assert {"rotated", "true_rotated"} <= set(table.column_names)
    assert found["train"]["objects"] == sum(map(len, table["true_rotated"].to_pylist())) > 0


def test_a_stopped_evaluation_of_rotated_boxes_goes_on(
    trained: Path, few: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut.check_resume(trained, few.path, tmp_path, monkeypatch)


def test_a_detector_of_rotated_boxes_is_no_file_for_others(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"rotated boxes has no form for other programs.*sar_data\.train\.load"):
        sar_data.train.export(trained, to="torchscript", out=tmp_path)


def test_boxes_and_detectors_imply_each_other_or_are_refused() -> None:
    def chosen(**given: Any) -> tuple[str, str, str | None]:
        found = preset.resolved("detect", None, given)
        assert isinstance(found, Detect)
        return found.boxes, found.detector, found.box_loss

    assert chosen() == ("horizontal", "fcos", None)
    assert chosen(boxes="rotated") == ("rotated", "rotated-fcos", "gwd")
    assert chosen(detector="oriented-rcnn") == ("rotated", "oriented-rcnn", None)
    assert chosen(detector="rotated-fcos", box_loss="kfiou") == ("rotated", "rotated-fcos", "kfiou")
    with pytest.raises(
        UsageError, match=r"detector fcos: expected rotated-fcos or oriented-rcnn, which find rotated boxes"
    ):
        chosen(boxes="rotated", detector="fcos")
    with pytest.raises(
        UsageError, match=r"detector oriented-rcnn: expected fcos or faster-rcnn, which find horizontal"
    ):
        chosen(boxes="horizontal", detector="oriented-rcnn")
    with pytest.raises(UsageError, match=r"box_loss kfiou: is of `detector=rotated-fcos`, found fcos"):
        chosen(box_loss="kfiou")
