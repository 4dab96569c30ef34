"""Two real ranks under torchrun on gloo: the same answers as one, and no rank left waiting for a dead one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sar_data.train.predictions import read, scores
from sar_data.train.run import checkpoint
from tests.mini.hang import HANG_S
from tests.places import ROOT
from tests.train.conftest import TINY

pytestmark = pytest.mark.distributed


def torchrun(*arguments: str, ranks: int = 2) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=HANG_S
    )


def options(**chosen: Any) -> list[str]:
    told = {**TINY, **chosen}
    return [
        part
        for name, value in told.items()
        for part in (f"--{name.replace('_', '-')}", ",".join(value) if isinstance(value, tuple) else str(value))
    ]


@pytest.fixture(scope="module")
def both(classes: str, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The same job on one rank of 16 samples a step, on two of 8, and (as 4) on two of 4 that accumulate 2 batches."""
    folder = tmp_path_factory.mktemp("ranks")
    for parts in (1, 2, 4):
        told = options(batch_size=16 // parts, accumulate=max(parts // 2, 1), optimiser="sgd", augment=("flips",))
        done = torchrun(
            "-m",
            "sar_data",
            "train",
            "finetune",
            classes,
            "--out",
            str(folder / str(parts)),
            *told,
            ranks=min(parts, 2),
        )
        assert done.returncode == 0, done.stderr
    return {parts: folder / str(parts) for parts in (1, 2, 4)}


@pytest.mark.parametrize("parts", [2, 4])
def test_two_ranks_train_to_the_weights_of_one(both: dict[int, Path], parts: int) -> None:
    states = [checkpoint.load(both[of] / "checkpoints" / "last.pt") for of in (1, parts)]
    one, two = (state["model"] for state in states if state is not None)
    for name, value in one.items():
        torch.testing.assert_close(value, two[name], atol=1e-6, rtol=1e-5)


def test_two_ranks_answer_every_key_once_as_one_does(both: dict[int, Path]) -> None:
    one, two = (read(both[ranks] / "predictions.parquet")[0] for ranks in (1, 2))
    for split in ("val", "test"):
        assert one[split]["key"].to_pylist() == two[split]["key"].to_pylist()
        np.testing.assert_allclose(scores(one[split]), scores(two[split]), atol=1e-5)


def test_two_ranks_count_alike_but_for_near_ties(both: dict[int, Path]) -> None:
    one, two = (read(both[ranks] / "predictions.parquet")[0] for ranks in (1, 2))
    for split in ("val", "test"):
        first, second = scores(one[split]), scores(two[split])
        ordered = np.sort(first, axis=1)
        near = ordered[:, -1] - ordered[:, -2] < 2e-5
        ties = [key for key, tie in zip(one[split]["key"].to_pylist(), near, strict=True) if tie]
        print(f"{split}: near-ties {ties or 'none'}")
        assert ((first.argmax(axis=1) == second.argmax(axis=1)) | near).all()


def test_a_killed_rank_ends_all(classes: str, tmp_path: Path) -> None:
    done = torchrun("-m", "tests.train.cut", classes, str(tmp_path / "run"))
    ended = time.time()
    assert done.returncode != 0
    died = re.search(r"dies at ([\d.]+)", done.stdout)
    assert died is not None
    assert ended - float(died[1]) < HANG_S  # a rank that waited for the dead one would do so for hours
    assert "Signal 9" in done.stderr or "SIGKILL" in done.stderr
    assert not (tmp_path / "run" / "metrics.json").exists()
