"""Data that do to a job what a machine may: a signal, a NaN, at a chosen step."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import sar_data.train
from sar_data.errors import UsageError
from sar_data.sealed.opened import Build
from sar_data.train import predictions, training
from sar_data.train.data import Data
from sar_data.train.inference import evaluation
from sar_data.train.jobs import Batch
from sar_data.train.run import checkpoint
from sar_data.train.run.halt import Halted


def at(step: int, act: Callable[[Batch], None]) -> type[Data]:
    """Return Data that call `act` with the batch of that step, once."""

    class Cut(Data):
        count = 0

        def training(self) -> Iterator[Batch]:
            for batch in super().training():
                if Cut.count == step:
                    act(batch)
                Cut.count += 1
                yield batch

    return Cut


def judging(number: int, act: Callable[[Batch], None]) -> type[Data]:
    """Return Data that call `act` with the first batch of an evaluation, counted over all splits."""

    class Cut(Data):
        count = 0

        def evaluation(self, split: str, start: int = 0) -> Iterator[Batch]:
            for place, batch in enumerate(super().evaluation(split, start)):
                if Cut.count == number and not place:
                    act(batch)
                Cut.count += not place
                yield batch

    return Cut


def check_resume(run: Path, build: str | Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop a run's evaluation of a train split by SIGTERM: what the same call then leaves is as without a stop."""
    lines: list[str] = []
    chosen: dict[str, Any] = {"split": "train", "device": "cpu", "say": lines.append}
    plain = sar_data.train.evaluate(run, build, out=folder / "plain", **chosen)
    with monkeypatch.context() as patched:
        patched.setattr(evaluation, "Data", judging(0, stop))
        with pytest.raises(Halted, match="what was evaluated is kept; the same command continues from there"):
            sar_data.train.evaluate(run, build, out=folder / "out", **chosen)
    assert not (folder / "out" / "metrics.json").exists()
    with pytest.raises(UsageError, match="holds another run: split was train, now test"):
        sar_data.train.evaluate(run, build, out=folder / "out", device="cpu")
    assert sar_data.train.evaluate(run, build, out=folder / "out", **chosen) == plain
    (kept,) = (int(line.split()[0]) for line in lines if "samples are there already" in line)
    assert 0 < kept < plain["train"]["count"] == Build.open(Path(build)).manifest.splits["train"].count
    tables = [folder / name / predictions.NAME for name in ("out", "plain")]
    assert tables[0].read_bytes() == tables[1].read_bytes()
    assert predictions.read(tables[0])[0]["train"].schema == predictions.read(run / predictions.NAME)[0]["test"].schema
    assert not (folder / "out" / evaluation.PARTS).exists()


def larger_steps(times: int) -> type[Data]:
    """Return Data whose train split comes in larger steps, as with more ranks."""

    class Larger(Data):
        def _opened(self, split: str) -> Any:
            found = super()._opened(split)
            if split == "train":
                found.pace = dataclasses.replace(found.pace, batch=times * found.pace.batch)
            return found

    return Larger


def stop(batch: Batch) -> None:
    signal.raise_signal(signal.SIGTERM)


def poison(batch: Batch) -> None:
    batch["image"][0, 0, 0, 0] = float("nan")


def assert_resumes(start: Callable[[Path], object], folder: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Start a run whole, and one that a signal stops at a step and that goes on; both end with the same bits."""
    start(folder / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(training, "Data", at(step, stop))
        with pytest.raises(Halted):
            start(folder / "stopped")
    assert not (folder / "stopped" / "metrics.json").exists()
    start(folder / "stopped")
    whole, stopped = (checkpoint.load(folder / name / "checkpoints" / "last.pt") for name in ("whole", "stopped"))
    assert whole is not None
    assert stopped is not None
    assert all(torch.equal(value, stopped["model"][name]) for name, value in whole["model"].items())
    for name in ("metrics.json", "predictions.parquet"):
        assert (folder / "stopped" / name).read_bytes() == (folder / "whole" / name).read_bytes()
