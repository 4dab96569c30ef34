"""What a job chooses on where nothing is asked for: val, or else what the build admits; and it says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sar_data.errors import UsageError
from sar_data.train.predictions import read
from sar_data.train.probe.carving import carve
from sar_data.train.run import checkpoint
from sar_data.train.settings import Finetune, Probe
from sar_data.train.training import run
from tests.mini import invented
from tests.train import test_probe
from tests.train.conftest import TINY, Finished

pytestmark = pytest.mark.usefixtures("unrendered")

FEW: dict[str, Any] = {**test_probe.TINY, "epochs": 1, "lrs": (0.3,), "poolings": ("cls",), "logistic": ()}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Thirty-three samples in train, seven in test, none in val."""
    folder = tmp_path_factory.mktemp("published")
    split = "random:train=0.8,val=0,test=0.2"
    archive = invented.archive(folder / "raw", 40)
    return str(invented.sealed(invented.pipeline(), archive, folder / "builds", split=split).path)


def ran(job: str, build: str, out: Path, settings: Any) -> tuple[dict[str, Any], list[str], str]:
    """Run a job; return its metrics, the lines of its log, and what config.json says that it chose on."""
    lines: list[str] = []
    metrics = run(job, build, out, settings, say=lines.append)
    return metrics, lines, json.loads((out / "config.json").read_text())["settings"]["select"]


def test_without_val_the_last_epoch_is_taken(published: str, out: Path) -> None:
    metrics, lines, select = ran("finetune", published, out, Finetune(**TINY))
    assert metrics["selection"] == {"asked": "auto", "on": "last", "epoch": 2}
    assert "select auto: this build has no val split: the last epoch is taken" in lines
    assert select == "last"
    assert metrics["test"]["count"] == 7
    assert not (out / "checkpoints" / checkpoint.BEST).exists()


def test_with_val_the_best_epoch_is_chosen_on_it(finished: Finished) -> None:
    rows = [json.loads(line) for line in (finished.out / "log.jsonl").read_text().splitlines()]
    best = max(rows, key=lambda row: row["val_oa"])["epoch"]
    assert finished.metrics["selection"] == {"asked": "auto", "on": "val", "epoch": best}
    assert "select auto: the best epoch is chosen on val" in finished.lines
    assert json.loads((finished.out / "config.json").read_text())["settings"]["select"] == "val"


def test_a_probe_without_val_chooses_on_a_part_of_train_that_is_set_aside(published: str, out: Path) -> None:
    metrics, lines, select = ran("probe", published, out, Probe(**FEW))
    assert metrics["selection"] == {"asked": "auto", "on": "carved", "samples": 4, "by": "key"}
    assert "4 of 33 train samples are set aside to choose the head by" in lines
    assert select == metrics["probe"]["chosen_on"] == "carved"
    tables = read(out / "predictions.parquet")[0]
    assert {split: len(table) for split, table in tables.items()} == {"carved": 4, "test": 7}
    assert "carved_oa" in (out / "heads.csv").read_text()
    assert "carved_loss" in (out / "log.jsonl").read_text()
    again = ran("probe", published, out.with_name("again"), Probe(**{**FEW, "seed": 7, "batch_size": 8}))[0]
    other = read(out.with_name("again") / "predictions.parquet")[0]["carved"]
    assert other["key"].to_pylist() == tables["carved"]["key"].to_pylist()  # whatever the seed and the batches
    assert again["selection"] == metrics["selection"]


def test_of_a_share_of_train_that_part_is_a_part(published: str, out: Path) -> None:
    metrics = ran("probe", published, out, Probe(**{**FEW, "fraction": 0.5}))[0]
    assert metrics["selection"]["samples"] == 2
    assert metrics["probe"]["encoded"] == 16 + 7
    with pytest.raises(UsageError, match="knn 16: expected at most the 14 train samples"):
        ran("probe", published, out.with_name("other"), Probe(**{**FEW, "fraction": 0.5, "knn": (16,)}))


def test_what_is_asked_for_and_not_there_is_an_error_with_the_remedy(published: str, out: Path) -> None:
    with pytest.raises(UsageError, match=r"select val: .* leave `select` out"):
        ran("finetune", published, out, Finetune(**{**TINY, "select": "val"}))
    with pytest.raises(UsageError, match=r"select val: .* leave `select` out"):
        ran("probe", published, out, Probe(**{**FEW, "select": "val"}))


KEYS = [f"k{number:03d}" for number in range(200)]
SCENES = [f"scene {number % 13}" for number in range(200)]


def test_whole_groups_are_set_aside_until_a_tenth_is_reached() -> None:
    aside = carve(KEYS, SCENES)
    sides = [{name for name, held in zip(SCENES, aside, strict=True) if held == side} for side in (True, False)]
    assert not sides[0] & sides[1]
    assert 20 <= aside.sum() < 20 + 16  # a scene has 15 or 16
    order = np.random.default_rng(0).permutation(200)
    mixed = carve([KEYS[i] for i in order], [SCENES[i] for i in order])
    assert np.array_equal(mixed, aside[order])


@pytest.mark.parametrize(
    ("groups", "count"),
    [
        ([None] * 200, 20),
        (["one"] * 200, 20),
        (["large"] * 180 + ["small"] * 20, 20),
        (["large"] * 199 + ["small"], 1),
        (["half"] * 100 + ["other"] * 100, 100),
    ],
    ids=["no groups", "one group", "a group of a tenth", "a group of one", "two halves"],
)
def test_never_more_than_half_is_set_aside_and_never_nothing(groups: list[str | None], count: int) -> None:
    assert carve(KEYS, groups).sum() == count


def test_one_sample_cannot_be_parted() -> None:
    assert carve(["a", "b"], [None, None]).sum() == 1
    with pytest.raises(UsageError, match="at least 2 train samples"):
        carve(["a"], [None])


def test_a_build_of_train_alone_trains_and_says_that_nothing_is_tested(tmp_path: Path, out: Path) -> None:
    archive = invented.archive(tmp_path / "raw", 20)
    build = invented.sealed(invented.pipeline(), archive, tmp_path / "builds", split="random:train=1,val=0,test=0")
    metrics, lines, _ = ran("finetune", str(build.path), out, Finetune(**{**TINY, "epochs": 1}))
    assert metrics["selection"] == {"asked": "auto", "on": "last", "epoch": 1}
    assert metrics.keys() == {"selection", "leakage"}
    assert any(line.endswith("without a test split nothing is tested") for line in lines)
    assert (out / "checkpoints" / checkpoint.LAST).exists()
