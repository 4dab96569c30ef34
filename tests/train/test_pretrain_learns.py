"""An encoder that is pretrained without labels separates classes better than a random one, its control does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sar_data import catalog
from sar_data.train.metrics.student import quantile
from sar_data.train.settings import Pretrain, Probe
from sar_data.train.training import run
from tests.mini.builds import make

pytestmark = [pytest.mark.learn, pytest.mark.usefixtures("unrendered")]
SEEDS, LEVEL = 5, 0.95
COMMON: dict[str, Any] = {"model": "test_vit", "image_size": 64, "device": "cpu", "threads": 1}
PRETRAIN: dict[str, Any] = {
    **{"target": "hog", "augment": ("flips",), "batch_size": 16, "epochs": 60, "lr": 1.5e-3, "warmup": 2},
    **{"decoder_width": 64, "decoder_depth": 2, "decoder_heads": 4},
}
HEADS: dict[str, dict[str, Any]] = {
    "knn": {"heads": (), "logistic": (), "knn": (20,)},
    "linear": {"heads": ("bn-linear",), "logistic": (), "knn": ()},
}
PROBE: dict[str, Any] = {"poolings": ("mean",), "lrs": (0.01, 0.1, 1.0), "weight_decays": (0.0,), "epochs": 30}
Accuracies = dict[str, float]
KINDS: dict[str, dict[str, Any] | None] = {"random": None, "pretrained": {}, "control": {"control": "shuffled-labels"}}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> str:
    """700 patches of ten classes: half to learn from, a fifth to choose on, three tenths to test on."""
    root = tmp_path_factory.mktemp("scenes")
    catalog.synthesise("eurosat-sar")(root / "raw", count=700, seed=12)
    split = "random:train=0.5,val=0.2,test=0.3"
    return str(make(catalog.pipeline("eurosat-sar"), root / "raw", root / "builds", split=split).path)


def probe(scenes: str, weights: str | None, seed: int, out: Path) -> Accuracies:
    """Return the overall accuracy on test of both kinds of head on one encoder."""
    chosen = {**COMMON, **PROBE, "weights": weights, "seed": seed, "refine": False, "features": str(out / "features")}
    return {
        name: run("probe", scenes, out / name, Probe(**chosen, **heads), say=lambda line: None)["test"]["oa"]
        for name, heads in HEADS.items()
    }


def pretrain(build: str, seed: int, out: Path, chosen: dict[str, Any]) -> str:
    """Return the weights of a run."""
    settings = Pretrain(**COMMON, **PRETRAIN, **chosen, seed=seed)
    run("pretrain", build, out / "run", settings, say=lambda line: None)
    return str(out / "run" / "checkpoints" / "last.pt")


def interval(values: list[float]) -> tuple[float, float]:
    """Return Student's interval of the mean over seeds."""
    half = quantile(LEVEL, SEEDS - 1) * np.std(values, ddof=1) / np.sqrt(SEEDS)
    return float(np.mean(values) - half), float(np.mean(values) + half)


def test_a_pretrained_encoder_beats_a_random_one_and_its_control_does_not(scenes: str, tmp_path: Path) -> None:
    accuracies: dict[str, list[Accuracies]] = {kind: [] for kind in KINDS}
    for seed in range(SEEDS):
        for kind, chosen in KINDS.items():
            out = tmp_path / f"{kind}{seed}"
            weights = None if chosen is None else pretrain(scenes, seed, out, chosen)
            accuracies[kind].append(probe(scenes, weights, seed, out))
            print(f"seed {seed}, {kind}: {accuracies[kind][-1]}", flush=True)
    for name in HEADS:
        random, pretrained, control = (interval([one[name] for one in accuracies[kind]]) for kind in KINDS)
        print(f"{name}: random {random}, pretrained {pretrained}, control {control}")
        assert pretrained[0] > random[1]
        assert control[0] <= random[1]
        assert control[1] < pretrained[0]
