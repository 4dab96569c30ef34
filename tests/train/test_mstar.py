"""Real chips of vehicles, from files to figures in two commands: build, train. make learn"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from sar_data.stream.dataset import Stream
from sar_data.train.models import backbone, classifier
from sar_data.train.run import checkpoint
from tests.places import SAMPLES

pytestmark = pytest.mark.learn
SIDE, CHANCE = 80, 0.1


def sar_data(*words: str) -> str:
    """Run the command as it is typed, and return its last line."""
    command = [sys.executable, "-c", "from sar_data.cli import main; main()", *words]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def chips(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A hundred chips at 17 degrees in train, a hundred at 15 in test, ten of each class."""
    source = SAMPLES / "mstar"
    if not source.is_dir():
        pytest.skip(f"{source} is not there: real samples are not part of the project")
    return sar_data(
        "build",
        "mstar",
        "--variant",
        "jpeg",
        "--source",
        str(source),
        "--split",
        "soc",
        "--crop",
        str(SIDE),
        "--out",
        str(tmp_path_factory.mktemp("mstar")),
    )


def trained(build: str, out: Path, *options: str) -> float:
    """Train by the preset, as long as so few chips need, and return the overall accuracy of the test."""
    chosen = ("--preset", "mstar-soc", "--batch-size", "10", "--epochs", "80", "--device", "cpu", "--out", str(out))
    sar_data("train", "finetune", build, *chosen, *options)
    return float(json.loads((out / "metrics.json").read_text())["test"]["oa"])


def seen(build: str, out: Path) -> float:
    """Return the share of train samples that the last epoch's model names rightly."""
    state = checkpoint.load(out / "checkpoints" / checkpoint.LAST)
    assert state is not None
    model = classifier(backbone("resnet18", state["channels"], image_size=SIDE), 10, pooling="mean").eval()
    model.load_state_dict(state["model"])
    right = []
    with torch.inference_mode():
        for batch in Stream(build, batch_size=50, shuffle=False):
            right.append(model(torch.from_numpy(batch["image"])).argmax(1).numpy() == batch["target"])
    return float(np.concatenate(right).mean())


def test_three_seeds_know_what_they_saw_and_half_of_what_they_did_not(chips: str, tmp_path: Path) -> None:
    unseen = [trained(chips, tmp_path / str(seed), "--seed", str(seed)) for seed in range(3)]
    known = [seen(chips, tmp_path / str(seed)) for seed in range(3)]
    print(f"train {known}, test {unseen}")
    assert min(known) >= 0.95
    assert np.mean(unseen) >= 0.5


def test_permuted_labels_stay_near_chance(chips: str, tmp_path: Path) -> None:
    found = trained(chips, tmp_path / "run", "--control", "shuffled-labels")
    print(f"permuted labels: test {found}")
    assert abs(found - CHANCE) <= 0.1
