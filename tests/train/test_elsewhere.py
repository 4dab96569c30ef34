"""A model of boxes on another build, the documents that other tools read, and commands that are stopped."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner
from matplotlib import image as pictures
from pycocotools.coco import COCO

import sar_data.train
from sar_data.cli import main
from sar_data.errors import RunError
from sar_data.sealed.opened import Build
from sar_data.train.documents import read as read_json
from sar_data.train.inference import card, overview, parts
from sar_data.train.inference import features as feature_file
from sar_data.train.inference.embedding import Encoding
from sar_data.train.inference.finished import opened
from sar_data.train.inference.overview import BRIGHT
from sar_data.train.run import countdown
from sar_data.train.run.folder import write as write_json
from sar_data.train.run.halt import Halted
from sar_data.views.palette import palette
from tests.mini import invented
from tests.train import cut
from tests.train.conftest import Finished, sizes
from tests.train.test_inference import answers, features, images, judged
from tests.train.test_predict import GRID, read, write

PAGE = Path("docs/how-to/from-a-scene-to-a-map.md")


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A scene of VV and VH in dB, 70 × 90 pixels, in UTM."""
    pixels = np.random.default_rng(0).normal(-12, 4, (2, 70, 90)).astype(np.float32)
    return write(tmp_path / "scene.tif", pixels, ("VV", "VH"), crs="EPSG:32633", transform=GRID)


def test_a_detector_is_judged_and_says_boxes_of_another_build(detected: Path, few: Build, tmp_path: Path) -> None:
    made = invented.pipeline("detection", shape=(96, 96), bands=("other", "grey"), unit="8-bit", dtype="uint8")
    (ship,) = sar_data.train.load(detected).classes
    task = dataclasses.replace(made.spec.tasks[0], classes=("ice", ship.upper(), "wood", "town"))
    made = dataclasses.replace(made, spec=dataclasses.replace(made.spec, tasks=(task,)))
    build = invented.sealed(made, sizes(tmp_path / "raw", [(96, 96)] * 30), tmp_path / "builds").path
    found, _ = judged(detected, build, tmp_path / "judged", split="val")
    assert found["matching"][0] == "classes that the model does not know: ice, wood, town; these objects do not count"
    said, model = answers(tmp_path / "judged", "val"), sar_data.train.load(detected)
    index = {row["key"]: row["objects"] for row in Build.open(build).index().to_pylist() if row["split"] == "val"}
    assert said.keys() == index.keys()
    for key, image in images(str(build), "val", bands=("grey",)).items():
        assert len(said[key]["true_boxes"]) == sum(one["label"] == 1 for one in index[key])
        with torch.inference_mode():  # which has the figures of the run's train split inside
            expected = model(image)[0]
        np.testing.assert_allclose(said[key]["box_scores"], expected["scores"], atol=1e-4)
        np.testing.assert_allclose(said[key]["boxes"], expected["boxes"], atol=0.1)
    sar_data.train.predict(detected, build, out=tmp_path / "out", split="val")
    rows = pq.read_table(tmp_path / "out" / "boxes.parquet").to_pylist()
    for key, row in said.items():
        own = [[one[side] for side in ("x0", "y0", "x1", "y1")] for one in rows if one["key"] == key]
        np.testing.assert_allclose(own, row["boxes"], atol=0.1)


@pytest.fixture
def shown(detected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The prediction of two images of different sizes, with a sheet of all boxes."""
    monkeypatch.setattr(overview, "SHOWN", 0.0)
    (tmp_path / "images").mkdir()
    for seed, (height, width) in enumerate([(96, 80), (64, 90)]):
        pixels = np.random.default_rng(seed).integers(0, 255, (1, height, width)).astype(np.uint8)
        write(tmp_path / "images" / f"P{seed:04d}.tif", pixels)
    sar_data.train.predict(detected, tmp_path / "images", out=tmp_path / "out")
    return tmp_path / "out"


def test_boxes_are_the_same_in_every_document(shown: Path) -> None:
    rows = pq.read_table(shown / "boxes.parquet").to_pylist()
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO(str(shown / "boxes.json"))
    assert {image["file_name"]: (image["height"], image["width"]) for image in known.loadImgs(known.getImgIds())} == {
        "P0000": (96, 80),
        "P0001": (64, 90),
    }
    assert sorted(known.anns) == list(range(1, len(rows) + 1))
    for number, row in enumerate(rows, 1):
        (one,) = known.loadAnns([number])
        (image,), (category,) = known.loadImgs([one["image_id"]]), known.loadCats([one["category_id"]])
        x, y, width, height = one["bbox"]
        assert (image["file_name"], category["name"]) == (row["key"], row["label"])
        assert [x, y, x + width, y + height] == pytest.approx([row[side] for side in ("x0", "y0", "x1", "y1")])
        assert one["area"] == pytest.approx(width * height)
        assert 0 <= x < x + width <= image["width"]
        assert 0 <= y < y + height <= image["height"]
        assert (one["iscrowd"], one["score"]) == (0, row["score"])
    (path,) = (shown / "dota").iterdir()
    assert path.name == f"Task2_{rows[0]['label']}.txt"
    lines = [line.split(" ") for line in path.read_text().splitlines()]
    for line, row in zip(lines, rows, strict=True):
        assert line[0] == row["key"]
        numbers = [row[name] for name in ("score", "x0", "y0", "x1", "y1")]
        assert [float(field) for field in line[1:]] == pytest.approx(numbers, abs=0.006)


def colours_of(sheet: Path) -> npt.NDArray[np.int64]:
    """Return the pixels of a picture, [pixel, 3] in 0–255."""
    return (pictures.imread(sheet)[..., :3] * 255).round().astype(np.int64).reshape(-1, 3)


def count(pixels: npt.NDArray[np.int64], colour: Any) -> int:
    return int((np.abs(pixels - np.asarray(colour)).max(axis=1) <= 2).sum())


def test_a_sheet_shows_boxes_in_their_colour(shown: Path) -> None:
    assert count(colours_of(shown / "sheet.png"), [255 * part for part in BRIGHT]) > 100


def test_a_sheet_of_power_shows_the_scene_and_the_colours_of_its_classes(segmented: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    power = (10 ** (rng.normal(-12, 4, (2, 70, 90)) / 10)).astype(np.float32)
    power[:, :20] = np.nan
    source = write(tmp_path / "power.tif", power, ("VV", "VH"))
    said = sar_data.train.predict(segmented, source, out=tmp_path / "out", unit="power")
    pixels = colours_of(tmp_path / "out" / "sheet.png")
    model, colours = sar_data.train.load(segmented), palette(4)
    mask = read(tmp_path / "out" / "masks" / "power.tif")
    for label, name in enumerate(model.classes):
        assert said[name] == (mask == label).sum()
        if said[name] > 0.1 * mask.size:
            assert count(pixels, colours[label]) > 100
    picture = pixels[(pixels.max(axis=1) - pixels.min(axis=1)) > 8]  # neither the page nor grey
    assert np.median(picture.max(axis=1)) > 60  # power as it is would be nearly black


@pytest.mark.usefixtures("unrendered")
def test_progress_says_how_much_is_left(
    segmented: Path, finished: Finished, classes: str, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(countdown, "EVERY_S", 0)
    monkeypatch.setattr(parts, "BLOCKS", {"segmentation": 48})
    lines: list[str] = []

    def reported(total: int, items: str) -> list[int]:
        report = re.compile(rf"(\d+) of {total} {items}, about (\d+ min )?\d+ s left")
        return [int(match[1]) for line in lines if (match := report.fullmatch(line))]

    sar_data.train.predict(segmented, scene, out=tmp_path / "map", say=lines.append)
    assert reported(4, "parts") == [1, 2, 3]
    sar_data.train.evaluate(finished.out, classes, split="train", out=tmp_path / "judged", say=lines.append)
    assert reported(87, "samples") == [16, 32, 48, 64, 80]
    chosen: dict[str, Any] = {"split": "train", "device": "cpu", "say": lines.append}
    sar_data.train.embed(finished.out, classes, out=tmp_path / "f.parquet", **chosen)
    assert reported(87, "images") == [16, 32, 48, 64, 80]
    assert [countdown.duration(seconds) for seconds in (0.4, 61, 3 * 3600 + 125)] == ["0 s", "1 min 1 s", "3 h 2 min"]


STOPPED = """
import json, os, signal, sys
from sar_data.cli import main
from sar_data.train.inference import embedding, evaluation, prediction
from sar_data.train.inference.parts import Parts
from sar_data.train.inference.steps import Steps

def stop_at_the_third(owner, name):
    method, calls = getattr(owner, name), []

    def stopped(*given):
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return method(*given)

    setattr(owner, name, stopped)

stop_at_the_third(Steps, "add")
stop_at_the_third(Parts, "keep")
codes = []
for typed in json.loads(sys.argv[1]):
    child = os.fork()
    if not child:
        main(typed)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print("codes", *codes)
"""


@pytest.fixture(scope="module")
def halted(
    finished: Finished, classes: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The folder and the output of three commands that SIGTERM stopped, which share what torch costs to import."""
    folder, run = tmp_path_factory.mktemp("halted"), str(finished.out)
    (folder / "features").mkdir()
    (folder / "features" / "f.parquet.999999.0123456789abcdef.partial").write_bytes(b"of a killed process")
    of_train = ["--split", "train", "--device", "cpu"]
    lines = [
        ["train", "embed", run, classes, "--out", str(folder / "features" / "f.parquet"), "--device", "cpu"],
        ["train", "evaluate", run, classes, "--out", str(folder / "judged"), *of_train],
        ["train", "predict", run, classes, "--out", str(folder / "said"), *of_train],
    ]
    command = [sys.executable, "-c", STOPPED, json.dumps(lines)]
    return folder, subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.usefixtures("unrendered")
def test_a_command_that_sigterm_stops_exits_with_143_and_goes_on(
    finished: Finished, classes: str, halted: tuple[Path, subprocess.CompletedProcess[str]]
) -> None:
    folder, ended = halted
    assert ended.stdout.splitlines()[-1] == "codes 143 143 143", ended.stderr
    for kept in ("what was encoded is kept", "what was evaluated is kept", "3 of 6 parts are kept"):
        assert f"{kept}; the same command continues from there" in ended.stderr
    lines: list[str] = []
    chosen: dict[str, Any] = {"split": "train", "device": "cpu", "say": lines.append}
    sar_data.train.evaluate(finished.out, classes, out=folder / "judged", **chosen)
    assert "64 samples are there already, read from " in "\n".join(lines)
    sar_data.train.predict(finished.out, classes, out=folder / "said", **chosen)
    assert "3 of 6 parts are there already" in lines


def test_a_stopped_embedding_goes_on_to_the_same_bytes(
    finished: Finished,
    classes: str,
    halted: tuple[Path, subprocess.CompletedProcess[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, vectors = halted[0] / "features" / "f.parquet", Encoding.vectors
    steps, halts = list[int](), list[int]()
    chosen: dict[str, Any] = {"source": finished.out, "build": classes, "device": "cpu"}

    def counted(self: Encoding, images: torch.Tensor, pooling: str) -> torch.Tensor:
        steps.append(len(images))
        if halts:
            os.kill(os.getpid(), halts.pop())
        return vectors(self, images, pooling)

    monkeypatch.setattr(Encoding, "vectors", counted)
    monkeypatch.setattr(feature_file, "GROUP", 1 << 12)  # so that the file has several groups of rows
    plain = sar_data.train.embed(**chosen, out=tmp_path / "plain.parquet").read_bytes()
    whole = len(steps)
    assert not path.exists()
    halts.append(signal.SIGTERM)
    with pytest.raises(Halted):  # other features, whose parts are their own
        sar_data.train.embed(**chosen, out=path, dtype="float32")
    steps.clear()
    lines: list[str] = []
    sar_data.train.embed(**chosen, out=path, say=lines.append)
    assert len(steps) == whole - 3
    assert f"{3 * steps[0]} images are there already" in lines
    assert path.read_bytes() == plain
    assert [file.name for file in path.parent.iterdir()] == ["f.parquet"]


def test_features_at_work_are_left_to_one_process(
    finished: Finished, classes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, vectors = tmp_path / "f.parquet", Encoding.vectors

    def twice(self: Encoding, *given: Any) -> torch.Tensor:
        with pytest.raises(RunError, match=r"another process is at work on it"):
            sar_data.train.embed(finished.out, classes, out=path, device="cpu")
        return vectors(self, *given)

    monkeypatch.setattr(Encoding, "vectors", twice)
    sar_data.train.embed(finished.out, classes, out=path, device="cpu")
    assert len(features(path)[0]) == 103


@pytest.mark.usefixtures("unrendered")
@pytest.mark.parametrize("names", [("finished", "classes"), ("segmented", "squares"), ("detected", "few")])
def test_a_stopped_evaluation_goes_on_to_the_same_result(
    names: tuple[str, str], request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, build = map(request.getfixturevalue, names)
    cut.check_resume(getattr(run, "out", run), getattr(build, "path", build), tmp_path, monkeypatch)


def test_figures_of_another_unit_are_warned_of(
    finished: Finished, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = invented.pipeline(unit="8-bit", dtype="uint8")
    build = invented.sealed(made, invented.archive(tmp_path / "raw", 60), tmp_path / "builds").path
    judged(finished.out, build, tmp_path / "out", normalize_by="build")
    assert any(
        "expected values in dB, as the model takes, found 8-bit: normalized by the build's own figures" in line
        for line in caplog.messages
    )


def test_a_card_names_the_weights_that_a_run_began_from(finished: Finished, tmp_path: Path) -> None:
    run = finished.copied(tmp_path / "run")
    config = read_json(run / "config.json")
    for more, licence in (
        ({}, "unknown, ask their publisher."),
        ({"licence": "CC-BY-4.0"}, "CC-BY-4.0."),
        ({"licence": "CC-BY-NC-4.0"}, "CC-BY-NC-4.0.\n- That licence allows no commercial use."),
    ):
        weights = {"source": "hf:a/b/c.pth@1", "sha256": "ab" * 32, **more}
        write_json(run / "config.json", config | {"weights": weights})
        described = {"input": {"shape": [1]}, "output": [], "checked": {"samples": "noise", "furthest": 0.0}}
        told = card.text(opened(run), described).partition("## Licence\n")[2].partition("\n\n## ")[0]
        source = f"hf:a/b/c.pth@1 (SHA-256 `{'ab' * 32}`)"
        data = f"- {config['build']['title']}: {config['build']['licence']}."
        assert told == f"{data}\n- It began from weights whose licence holds on: {source}: {licence}"


@pytest.mark.usefixtures("unrendered")
def test_the_commands_of_the_page_make_a_map(
    segmented: Path, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = PAGE.absolute().read_text()
    typed = re.findall(r"^sar-data (train predict .*)$", page, re.MULTILINE)
    (python,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert typed == ["train predict RUN scene.tif --out map"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "RUN").symlink_to(segmented)
    for line in typed:
        result = CliRunner().invoke(main, line.split())
        assert result.exit_code == 0, result.output
    assert (tmp_path / "map" / "masks" / "scene.tif").is_file()
    power = (10 ** (np.full((2, 70, 90), -12.0) / 10)).astype(np.float32)
    write(tmp_path / "scene.tif", power, ("VV", "VH"))
    (tmp_path / "map").rename(tmp_path / "first")
    names: dict[str, Any] = {}
    exec(python, names)
    assert sum(names["counts"].values()) == 70 * 90
    assert names["model"].kind == "segmentation"


def test_rows_of_both_tables_of_classes_are_the_same(finished: Finished, tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).normal(-12, 4, (2, 6, 5)).astype(np.float32)
    (tmp_path / "images").mkdir()
    write(tmp_path / "images" / "a.tif", pixels, ("VV", "VH"), crs="EPSG:32633", transform=GRID)
    write(tmp_path / "images" / "b, c.tif", pixels - 9, ("VV", "VH"))
    sar_data.train.predict(finished.out, tmp_path / "images", out=tmp_path / "out")
    rows = pq.read_table(tmp_path / "out" / "classes.parquet").to_pylist()
    with (tmp_path / "out" / "classes.csv").open(newline="", encoding="utf-8") as file:
        printed = list(csv.DictReader(file))
    assert [row["key"] for row in rows] == ["a", "b, c"]
    for row, line in zip(rows, printed, strict=True):
        assert line == {name: "" if value is None else str(value) for name, value in row.items()}
    assert (rows[0]["x"], rows[0]["y"]) == pytest.approx(GRID @ (2.5, 3))
    assert json.loads((tmp_path / "out" / "prediction.json").read_text())["images"] == 2
