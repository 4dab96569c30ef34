"""Two real ranks under torchrun on gloo: the same answers as one, and no rank left waiting for a dead one."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

import sar_data.train
from sar_data.sealed.opened import Build
from sar_data.train.builds import Together
from sar_data.train.predictions import confusions, loss_sums, read, scores
from sar_data.train.run import checkpoint
from sar_data.train.settings import JOBS
from sar_data.train.training import run
from tests.mini import changes
from tests.mini.hang import HANG_S
from tests.places import ROOT
from tests.train import grouped, test_detect, test_pretrain, test_probe, test_segment, test_together
from tests.train.conftest import TINY
from tests.train.rows import ROWS, built, shrink

pytestmark = pytest.mark.distributed


class Ran(NamedTuple):
    """One start of two ranks: what it printed, and a folder of runs for each number of ranks."""

    output: subprocess.CompletedProcess[str]
    one: Path
    two: Path


def plan(
    classes: str, other: str, masks: tuple[str, str], ships: str, rows: dict[str, str], out: Path
) -> list[dict[str, Any]]:
    """Return jobs of two ranks, of which each has half of a step of one rank; `rows` are the builds of recipes."""
    probe = {name: test_probe.TINY[name] for name in ("model", "image_size", "epochs", "threads", "device", "knn")}
    probe |= {"poolings": ("cls", "mean"), "logistic": (1.0,), "lrs": (0.01, 0.3)}
    halves = {**TINY, "optimiser": "sgd", "augment": ("flips",), "batch_size": 8}
    first = str(out / "finetune")
    quarters = {**halves, "batch_size": 4, "accumulate": 2}
    found: list[dict[str, Any]] = [
        {"name": "finetune", "job": "finetune", "build": classes, "settings": halves},
        {"name": "quarters", "job": "finetune", "build": classes, "settings": quarters},
        # Of 87 images, so that the last step has none for the second rank.
        {"name": "probe", "job": "probe", "build": classes, "settings": {**probe, "batch_size": 43}},
        {"name": "together", "job": "finetune", "build": [classes, other], "settings": halves, "together": TOGETHER},
        {"name": "detect", "job": "detect", "build": ships, "settings": {**test_detect.TINY, "batch_size": 2}},
        *({"name": name, "job": ROWS[name].preset.job, "build": build, "row": name} for name, build in rows.items()),
        {"name": "segment", "job": "segment", "build": masks[0], "settings": MASKS, "typed": True},
        {"name": "change", "job": "change", "build": masks[1], "settings": {**CHANGES, "batch_size": 4}},
        {"name": "pretrain", "job": "pretrain", "build": masks[0], "settings": PRETRAIN},
        {"name": "begun", "job": "finetune", "build": classes, "settings": {**halves, **BEGUN, "init": first}},
        {"name": "judged", "job": "evaluate", "build": classes, "run": first},
        {"name": "features", "job": "embed", "build": classes, "run": first},
        {"name": "killed", "job": "finetune", "build": classes, "settings": TINY, "dies": True},
    ]
    return [one | {"out": str(out / one["name"])} for one in found]


RECIPES = ("oriented", "scenes", "mtp", "rsp", "footprints")  # whose proposals or batch statistics are those of a rank
BEGUN = {"epochs": 1, "pooling": "cls"}
TOGETHER = {"mix": [1.0, 2.0], "statistics": "joint", "drop_duplicates": True}
CHANGES = {**test_segment.TINY, "model": "test_convnext", "head": grouped.HEAD, "fusion": "concat", "optimiser": "sgd"}
PRETRAIN = {**test_pretrain.SMALL, "optimiser": "sgd", "noise": "speckle:4", "batch_size": 4, "lr": 0.01}
MASKS = {**test_segment.TINY, "batch_size": 4, "epochs": 1, "auxiliary": 0.4, "loss": "dice+ce", "tile": 32}


@pytest.fixture(scope="module")
def ran(
    classes: str, squares: str, few: Build, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Ran:
    folder = tmp_path_factory.mktemp("ranks")
    other = test_together.sealed(folder, "other", count=40, first=90)
    grouped.register()
    floods = str(changes.sealed(changes.pipeline(), folder / "floods", 48).path)
    rows = {name: built(request, name) for name in ("rotated", *RECIPES)}
    jobs = plan(classes, other, (squares, floods), str(few.path), rows, folder / "two")
    (folder / "plan.json").write_text(json.dumps(jobs))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "-m", "tests.train.two", str(folder / "plan.json")],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=HANG_S,
    )
    for one in jobs:
        if one["name"] in ("finetune", "probe", "detect", "rotated", "together", "change", "pretrain", "begun"):
            settings = ROWS[one["row"]].settings() if "row" in one else JOBS[one["job"]](**one["settings"])
            times = 1 if one["job"] == "probe" else 2  # a head is trained on one rank, however many there are
            settings = settings.model_copy(update={"batch_size": times * settings.batch_size})
            together, out = Together(**one.get("together", {})), folder / "one" / one["name"]
            run(one["job"], one["build"], out, settings, say=lambda line: None, together=together)
    return Ran(done, folder / "one", folder / "two")


def assert_close(one: Path, other: Path) -> None:
    """Compare the last weights of two runs."""
    states = [checkpoint.load(out / "checkpoints" / "last.pt") for out in (one, other)]
    first, second = (state["model"] for state in states if state is not None)
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], atol=1e-6, rtol=1e-5)


def test_every_job_ends_but_for_the_one_that_loses_a_rank(ran: Ran) -> None:
    ended = sorted(path.parent.name for path in ran.two.glob("*/metrics.json"))
    alone = ["finetune", "judged", "pretrain", "probe", "quarters", "rotated", "segment", "together", *RECIPES]
    assert ended == sorted(["begun", "change", "detect", *alone]), ran.output.stderr


@pytest.mark.parametrize(
    ("whole", "parts"),
    [("finetune", "finetune"), ("finetune", "quarters"), ("begun", "begun"), ("pretrain", "pretrain")],
)
def test_two_ranks_train_to_the_weights_of_one(ran: Ran, whole: str, parts: str) -> None:
    """A step of two ranks has the samples of one rank's, also in 2 batches of half the size on each."""
    assert_close(ran.one / whole, ran.two / parts)
    logs = [(out / "log.jsonl").read_text().splitlines() for out in (ran.one / whole, ran.two / parts)]
    one, two = ([json.loads(row)["loss"] for row in log] for log in logs)
    assert two == pytest.approx(one, rel=1e-5)


def test_two_ranks_train_on_two_builds_to_the_weights_of_one(ran: Ran) -> None:
    assert_close(ran.one / "together", ran.two / "together")
    one, two = (json.loads((runs / "together" / "metrics.json").read_text()) for runs in (ran.one, ran.two))
    assert one.keys() == two.keys()
    assert one["duplicates"] == two["duplicates"]
    assert [one[name]["count"] for name in ("test", "test/invented", "test/other")] == [
        two[name]["count"] for name in ("test", "test/invented", "test/other")
    ]


def test_two_ranks_answer_every_key_once_as_one_does_but_for_near_ties(ran: Ran) -> None:
    one, two = (read(runs / "finetune" / "predictions.parquet")[0] for runs in (ran.one, ran.two))
    for split in ("val", "test"):
        assert one[split]["key"].to_pylist() == two[split]["key"].to_pylist()
        first, second = scores(one[split]), scores(two[split])
        np.testing.assert_allclose(first, second, atol=1e-5)
        ordered = np.sort(first, axis=1)
        near = ordered[:, -1] - ordered[:, -2] < 2e-5
        assert ((first.argmax(axis=1) == second.argmax(axis=1)) | near).all()


def test_two_ranks_judge_a_finished_run_as_they_did_while_it_was_one(ran: Ran) -> None:
    before, after = (json.loads((ran.two / name / "metrics.json").read_text()) for name in ("finetune", "judged"))
    assert after["test"] == before["test"]
    assert after["leakage"]["key"] == {"value": 0.0, "of": 8, "reason": ""}


def test_two_ranks_embed_as_one(ran: Ran, classes: str, tmp_path: Path) -> None:
    one = sar_data.train.embed(ran.two / "finetune", classes, out=tmp_path / "features", device="cpu")
    tables = [pq.ParquetFile(path).read() for path in (one, ran.two / "features")]
    assert tables[0]["key"].to_pylist() == tables[1]["key"].to_pylist()
    first, second = (np.array(table["features"].to_pylist(), np.float32) for table in tables)
    np.testing.assert_allclose(first, second, atol=2e-3)  # of float16


def test_two_ranks_give_the_features_the_choice_and_the_answers_of_one(ran: Ran) -> None:
    found = []
    for out in (ran.one / "probe", ran.two / "probe"):
        files = {path.parent.name + path.name: np.load(path) for path in out.glob("features/*/*.npy")}
        heads = list(csv.DictReader((out / "heads.csv").read_text().splitlines()))
        chosen = json.loads((out / "metrics.json").read_text())["probe"]["chosen"]
        found.append((files, len(heads), chosen, read(out / "predictions.parquet")[0]))
    one, two = found
    assert one[0].keys() == two[0].keys()
    for name, vectors in one[0].items():
        np.testing.assert_allclose(vectors, two[0][name], atol=1e-5)
    assert one[1:3] == two[1:3]
    for split, answers in one[3].items():
        assert answers["key"].to_pylist() == two[3][split]["key"].to_pylist()
        np.testing.assert_allclose(scores(answers), scores(two[3][split]), atol=1e-4)


@pytest.mark.parametrize("name", ["detect", "rotated"])
def test_two_ranks_with_ragged_boxes_and_empty_windows_train_to_the_weights_of_one(ran: Ran, name: str) -> None:
    outs = ran.one / name, ran.two / name
    assert_close(*outs)
    one, two = (read(out / "predictions.parquet")[0]["test"] for out in outs)
    assert one["key"].to_pylist() == two["key"].to_pylist()
    for column in {"true_boxes", "true_rotated"} & {*one.column_names}:
        assert one[column].to_pylist() == two[column].to_pylist()
    for first, second in zip(one["box_scores"].to_pylist(), two["box_scores"].to_pylist(), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-5)
    np.testing.assert_allclose(loss_sums(one), loss_sums(two), rtol=1e-4)
    metrics = [json.loads((out / "metrics.json").read_text())["test"] for out in outs]
    assert metrics[0]["ap50"] == pytest.approx(metrics[1]["ap50"], abs=1e-3)


def test_two_ranks_see_changes_as_one(ran: Ran) -> None:
    outs = ran.one / "change", ran.two / "change"
    assert_close(*outs)
    one, two = (read(out / "predictions.parquet")[0]["test"] for out in outs)
    np.testing.assert_allclose(loss_sums(one), loss_sums(two), rtol=1e-5)
    metrics = [json.loads((out / "metrics.json").read_text())["test"] for out in outs]
    assert metrics[0]["f1_change"] == pytest.approx(metrics[1]["f1_change"], abs=1e-4)
    assert [list(found["by_event"]) for found in metrics] == [list(metrics[0]["by_event"])] * 2


def test_what_two_ranks_trained_is_answered_alike_by_one(ran: Ran, squares: str) -> None:
    out = ran.two / "segment"
    two = read(out / "predictions.parquet")[0]
    (out / "metrics.json").unlink()
    test_segment.trained(squares, out, **MASKS)  # nothing is left to be trained
    one = read(out / "predictions.parquet")[0]
    assert {split: len(table) for split, table in one.items()} == {"val": 4, "test": 3}  # of the last, two and one
    for split in one:
        assert one[split]["key"].to_pylist() == two[split]["key"].to_pylist()
        apart = np.abs(confusions(one[split]) - confusions(two[split])).sum(axis=(1, 2))
        np.testing.assert_allclose(loss_sums(one[split]), loss_sums(two[split]), rtol=1e-5)
        assert (apart <= 4).all()  # near ties of 1,024 pixels; one that changes counts twice


@pytest.mark.parametrize("name", RECIPES)
def test_what_two_ranks_made_of_a_recipe_is_answered_alike_by_one(
    ran: Ran, name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    shrink(monkeypatch.setattr)
    row, out = ROWS[name], ran.two / name
    two = read(out / "predictions.parquet")[0]
    (out / "metrics.json").unlink()
    run(row.preset.job, built(request, name), out, row.settings(), preset=row.preset, say=lambda line: None)
    one = read(out / "predictions.parquet")[0]
    assert one["test"]["key"].to_pylist() == two["test"]["key"].to_pylist()
    np.testing.assert_allclose(loss_sums(one["test"]), loss_sums(two["test"]), rtol=1e-4)


def test_a_killed_rank_ends_all(ran: Ran) -> None:
    """A rank that waited for the dead one would do so for hours, far beyond the end of this test's patience."""
    assert "rank 1 dies" in ran.output.stdout
    assert ran.output.returncode != 0
    assert "Signal 9" in ran.output.stderr or "SIGKILL" in ran.output.stderr
    assert not (ran.two / "killed" / "metrics.json").exists()
