"""Real chips of vehicles, from files to a figure in two steps: build, train. make learn"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from sar_data import catalog
from sar_data.stream.dataset import Stream
from sar_data.train import checkpoint
from sar_data.train.models import backbone, classifier
from sar_data.train.preset import find, resolved
from sar_data.train.run import run
from tests.mini.builds import make

pytestmark = pytest.mark.learn
SAMPLES = Path(os.environ.get("SAR_DATA_SAMPLES", Path(__file__).parents[3] / "shared" / "samples"))
SIDE, CHANCE = 80, 0.1


@pytest.fixture(scope="module")
def chips(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A hundred chips at 17 degrees in train, a hundred at 15 in test, ten of each class."""
    source = SAMPLES / "mstar"
    if not source.is_dir():
        pytest.skip(f"{source} is not there: real samples are not part of the project")
    pipeline = catalog.pipeline("mstar").variants["jpeg"]
    return str(make(pipeline, source, tmp_path_factory.mktemp("mstar"), split="soc", crop=SIDE).path)


def test_three_seeds_know_what_they_saw_and_half_of_what_they_did_not(chips: str, tmp_path: Path) -> None:
    seen, unseen = [], []
    for seed in range(3):
        out = tmp_path / str(seed)
        settings = resolved("finetune", find("mstar-soc"), {"seed": seed, "device": "cpu"})
        unseen.append(run("finetune", chips, out, settings, say=print)["test"]["oa"])
        seen.append(right(chips, out))
    print(f"train {seen}, test {unseen}")
    assert min(seen) >= 0.95
    assert np.mean(unseen) >= 0.5


def test_permuted_labels_stay_near_chance(chips: str, tmp_path: Path) -> None:
    settings = resolved("finetune", find("mstar-soc"), {"control": "shuffled-labels", "device": "cpu"})
    found = run("finetune", chips, tmp_path / "run", settings, say=print)["test"]["oa"]
    assert abs(found - CHANCE) <= 0.1


def right(build: str, out: Path) -> float:
    """Return the share of train samples that the last epoch's model names rightly."""
    state = checkpoint.load(out / "checkpoints" / checkpoint.LAST)
    assert state is not None
    model = classifier(backbone("resnet18", state["channels"], image_size=SIDE), 10, pooling="mean").eval()
    model.load_state_dict(state["model"])
    known = []
    with torch.inference_mode():
        for batch in Stream(build, batch_size=50, shuffle=False):
            known.append(model(torch.from_numpy(batch["image"])).argmax(1).numpy() == batch["target"])
    return float(np.concatenate(known).mean())
