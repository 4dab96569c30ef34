"""The report of runs says what the runs say, shows the worst and the best, and tests differences in pairs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

import sar_data.train
from sar_data.cli import main
from sar_data.errors import RunError, UsageError
from sar_data.sealed.opened import Build
from sar_data.train import hardest, predictions
from tests.reports.document import Document
from tests.train import predicted
from tests.train.test_compare import CLASSES, run


def test_figures_intervals_and_differences_are_those_of_a_comparison(tmp_path: Path) -> None:
    paths = [run(tmp_path / "first"), run(tmp_path / "second", score=3.0, lr=0.2)]
    found = CliRunner().invoke(main, ["train", "report", *map(str, paths)])
    assert found.exit_code == 0, found.output
    assert Path(found.output.strip()) == tmp_path / "first.report.html"
    text = " ".join(Document(Path(found.output.strip())).text.split())
    metrics = json.loads((paths[1] / "metrics.json").read_text())["test"]
    low, high = metrics["intervals"]["oa"]
    assert f"{metrics['oa']:.3f} [{low:.3f}, {high:.3f}]" in text
    for fact in ("Differences to first", "p (Holm)", "McNemar's p", "resnet18", "What differs"):
        assert fact in text


def test_a_confusion_matrix_and_calibration_are_those_of_the_predictions(tmp_path: Path) -> None:
    path = run(tmp_path / "run")
    table = predictions.read(path / predictions.NAME)[0]["test"]
    said, true = predictions.scores(table).argmax(axis=1), predictions.targets(table)
    page = Document(sar_data.train.report(path))
    text = "".join(page.text.split())
    for number, name in enumerate(CLASSES):
        counts = "".join(str(((true == number) & (said == other)).sum()) for other in range(2))
        assert f"{number + 1}{name}{counts}" in text
    assert "Share of right answers by confidence" in page.text


def test_samples_come_from_the_worst_to_the_best() -> None:
    target = np.array([0, 1, 0, 1])
    scores = np.array([[2.0, 0.0], [2.0, 0.0], [0.0, 0.0], [-3.0, 3.0]])
    table = predictions.gathered([predicted.part(list("abcd"), target, scores)])
    right = hardest.rightness(table)
    expected = [1 / (1 + np.exp(-2)), 1 / (1 + np.exp(2)), 0.5, 1 / (1 + np.exp(-6))]
    assert right == pytest.approx(expected, rel=1e-6)
    assert [hardest.said(table, row, CLASSES) for row in range(2)] == ["wood", "wood ≠ water"]


def test_boxes_come_from_the_worst_to_the_best_by_f1() -> None:
    there = [[0.0, 0.0, 10.0, 10.0], [20.0, 20.0, 30.0, 30.0]]
    rows = {"both": there, "one": there[:1], "none": [], "wrong": [[50.0, 50.0, 60.0, 60.0]]}
    empty = {"true_boxes": [], "true_labels": []}
    columns = [
        {"key": key, "boxes": boxes, "box_scores": [0.9] * len(boxes), "labels": [0] * len(boxes)}
        | {"true_boxes": there, "true_labels": [0, 0]}
        for key, boxes in rows.items()
    ]
    columns.append({"key": "empty", "boxes": [], "box_scores": [], "labels": [], **empty})
    table = pa.Table.from_pylist(columns)
    expected = [1, 2 / 3, 0, 0, np.nan]
    assert hardest.rightness(table) == pytest.approx(expected, nan_ok=True)
    assert hardest.said(table, 3, ("ship",)) == "0 found, 1 wrong, 2 missed"


def test_of_several_labels_the_added_and_the_missed_are_told() -> None:
    target, scores = np.array([[1, 0, 1]]), np.array([[4.0, 4.0, -4.0]])
    table = predictions.gathered([predicted.part(["a"], target, scores)])
    right = hardest.rightness(table)
    share = 1 / (1 + np.exp(-4))
    assert right[0] == pytest.approx(1 - (2 * share + 1 - share) / 3, rel=1e-6)
    assert hardest.said(table, 0, ("a", "b", "c")) == "+ b, − c"


def test_samples_of_a_build_that_is_there_are_pictured(sealed: dict[str, Build], tmp_path: Path) -> None:
    build, path = sealed["zarr"], run(tmp_path / "run")
    keys = build.index()["key"].to_pylist()[:20]
    target = np.arange(20) % 2
    table = predictions.gathered([predicted.part(keys, target, np.eye(2)[1 - target])])
    predictions.write(path / predictions.NAME, {"test": table}, CLASSES)
    config = json.loads((path / "config.json").read_text())
    config["build"] |= {"path": str(build.path), "content_digest": build.manifest.content_digest}
    (path / "config.json").write_text(json.dumps(config))
    page = Document(sar_data.train.report(path, language="zh"))
    assert sum(tag == "image" for tag, _ in page.elements) == 12
    assert "最差的回答" in page.text
    config["build"]["content_digest"] = "0" * 64
    (path / "config.json").write_text(json.dumps(config))
    page = Document(sar_data.train.report(path))
    assert not [tag for tag, _ in page.elements if tag == "image"]
    assert "another build lies where the run's was" in page.text


def test_what_is_no_run_and_no_page_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="expected the folder of a finished run"):
        sar_data.train.report(tmp_path)
    path = run(tmp_path / "run")
    with pytest.raises(UsageError, match=r"expected a file name ending in \.html"):
        sar_data.train.report(path, out=tmp_path / "page.pdf")
    with pytest.raises(UsageError, match="unknown language 'de'"):
        sar_data.train.report(path, language="de")
    (path / "log.jsonl").write_text("[1]\n")
    with pytest.raises(RunError, match="found rows without an epoch"):
        sar_data.train.report(path)
