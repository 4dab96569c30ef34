"""Real chips of vehicles, from files to figures in two commands: build, train. make learn"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import SAMPLES

pytestmark = pytest.mark.learn
SIDE, CHANCE = 64, 0.1


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
    """Train as the preset says, and return the overall accuracy of the test."""
    sar_data("train", "finetune", build, "--preset", "mstar-soc", "--device", "cpu", "--out", str(out), *options)
    return float(json.loads((out / "metrics.json").read_text())["test"]["oa"])


def test_the_presets_own_settings_learn_of_a_hundred_chips_and_permuted_labels_teach_nothing(
    chips: str, tmp_path: Path
) -> None:
    found = trained(chips, tmp_path / "true")
    permuted = trained(chips, tmp_path / "permuted", "--control", "shuffled-labels")
    print(f"test {found}, with permuted labels {permuted}")
    assert found >= 0.25  # 100 chips: 95 % of runs that know nothing stay below 0.16
    assert abs(permuted - CHANCE) <= 0.1
