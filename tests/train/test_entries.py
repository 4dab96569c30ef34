"""A job and a metric are one entry each: run, document, title, table and interval follow from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from sar_data.cli import main
from sar_data.errors import UsageError
from sar_data.train.classification import Classification
from sar_data.train.metrics import title_of
from sar_data.train.metrics.counted import METRICS, Metric
from sar_data.train.request import TrainRequest
from sar_data.train.settings import JOBS, Finetune
from sar_data.train.training import carry_out, run
from tests.train.conftest import TINY


class Counting(Finetune):
    """Train as finetune does, and count the images."""

    needs = "counting takes classes"
    maker = "tests.train.test_entries:Counted"


class Counted(Classification):
    def score(self, predictions: pa.Table) -> dict[str, Any]:
        return super().score(predictions) | {"images": len(predictions)}


def test_a_job_and_a_metric_are_one_entry_each(
    classes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(JOBS, "count", Counting)
    worst = Metric("worst recall", ("classes",), lambda right, support, _: (right / support.clip(1)).min(axis=-1))
    monkeypatch.setitem(METRICS, "worst", worst)
    out = tmp_path / "run"
    metrics = carry_out(
        TrainRequest(job="count", build=classes, out=out, settings={**TINY, "epochs": 1}), say=lambda line: None
    )
    assert metrics["test"]["images"] == 8
    document = json.loads((out / "metrics.json").read_text())
    assert 0 <= document["test"]["worst"] <= document["test"]["aa"]
    low, high = document["test"]["intervals"]["worst"]
    assert 0 <= low <= high <= 1
    assert title_of("worst") == "worst recall"
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert "Train as finetune does, and count the images." in capsys.readouterr().out


def test_a_job_that_there_is_not_is_refused_with_those_there_are(classes: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown job 'sgement'. Did you mean 'segment'\?"):
        TrainRequest(job="sgement", build=classes, out=tmp_path)
    with pytest.raises(UsageError, match=r"unknown job 'x'. There are 6, such as change, detect"):
        run("x", classes, tmp_path / "run", Finetune(**TINY), say=lambda line: None)
    assert not (tmp_path / "run").exists()
