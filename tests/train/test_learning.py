"""Jobs learn what band means cannot tell, and nothing from permuted labels. make learn"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from sar_data import catalog
from sar_data.stream.dataset import Stream
from sar_data.train.settings import Finetune, Probe
from sar_data.train.training import run
from tests.mini.builds import make

pytestmark = pytest.mark.learn
SPLIT = "random:train=0.6,val=0.2,test=0.2"
QUICK: dict[str, Any] = {"model": "test_resnet", "batch_size": 32, "lr": 0.003, "warmup": 1.0, "device": "cpu"}
Array = npt.NDArray[Any]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> str:
    """1,500 patches of one class each."""
    root = tmp_path_factory.mktemp("scenes")
    catalog.synthesise("eurosat-sar")(root / "raw", count=1500, seed=3)
    return str(make(catalog.pipeline("eurosat-sar"), root / "raw", root / "b", split=SPLIT, shard_length=256).path)


@pytest.fixture(scope="module")
def landscape(tmp_path_factory: pytest.TempPathFactory) -> str:
    """900 patches of several classes each."""
    root = tmp_path_factory.mktemp("landscape")
    catalog.synthesise("bigearthnet-s1")(root / "raw", count=900, seed=3)
    return str(make(catalog.pipeline("bigearthnet-s1"), root / "raw", root / "b", split=SPLIT, shard_length=256).path)


@pytest.fixture(scope="module")
def learnt(landscape: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder and the test figures of a run on several classes."""
    out = tmp_path_factory.mktemp("learnt") / "run"
    return out, run("finetune", landscape, out, Finetune(epochs=15, **QUICK), say=print)["test"]


def means(build: str, split: str) -> tuple[Array, Array]:
    """Return each sample's mean of every band, and the targets."""
    found = [
        (batch["image"].mean(axis=(2, 3)), batch["target"])
        for batch in Stream(build, split=split, batch_size=64, shuffle=False)
    ]
    return np.concatenate([image for image, _ in found]), np.concatenate([target for _, target in found])


def by_means(build: str) -> float:
    """Return the better test figure of two classifiers on band means: overall accuracy, or micro-averaged precision."""
    (x, y), (x_test, y_test) = means(build, "train"), means(build, "test")
    figures = []
    for model in (LogisticRegression(C=100, max_iter=2000), RandomForestClassifier(300, random_state=0)):
        if y.ndim == 1:
            figures.append(float((model.fit(x, y).predict(x_test) == y_test).mean()))
            continue
        known = np.flatnonzero((y.sum(axis=0) > 0) & (y.sum(axis=0) < len(y)))
        scores = [model.fit(x, y[:, i]).predict_proba(x_test)[:, 1] for i in known]
        figures.append(float(average_precision_score(y_test[:, known].ravel(), np.stack(scores, axis=1).ravel())))
    return max(figures)


def test_finetuning_tells_classes_that_band_means_confuse(scenes: str, tmp_path: Path) -> None:
    found = run("finetune", scenes, tmp_path / "run", Finetune(epochs=15, **QUICK), say=print)["test"]["oa"]
    assert found > by_means(scenes) + 0.15


def test_finetuning_on_several_classes_ranks_better_than_band_means(
    landscape: str, learnt: tuple[Path, dict[str, Any]]
) -> None:
    assert learnt[1]["map_micro"] > by_means(landscape) + 0.15


def test_a_probe_of_an_encoder_trained_elsewhere_tells_more_than_band_means(
    scenes: str, learnt: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    settings = Probe(model="test_resnet", weights=str(learnt[0] / "checkpoints" / "best.pt"), device="cpu")
    found = run("probe", scenes, tmp_path / "run", settings, say=print)["test"]["oa"]
    assert found > by_means(scenes) + 0.05


@pytest.mark.parametrize("job", ["finetune", "probe"])
def test_permuted_labels_of_scenes_teach_nothing(job: str, scenes: str, tmp_path: Path) -> None:
    # Images of a class look alike, so a model gives most of them one label, and one class in ten is right by luck:
    # of ten permutations the standard deviation was 4 points, the furthest 11 off, the mean 1.
    told = {**QUICK, "epochs": 6} if job == "finetune" else {"model": "test_resnet", "device": "cpu"}
    found = []
    for seed in range(3):
        settings = (Finetune if job == "finetune" else Probe)(control="shuffled-labels", seed=seed, **told)
        found.append(run(job, scenes, tmp_path / str(seed), settings, say=print)["test"]["oa"])
    print(f"permuted labels: test {found}")
    assert abs(float(np.mean(found)) - 0.1) < 0.07


@pytest.mark.parametrize("job", ["finetune", "probe"])
def test_permuted_labels_of_landscapes_teach_their_frequencies_at_most(
    job: str, landscape: str, tmp_path: Path
) -> None:
    _, y = means(landscape, "train")
    _, y_test = means(landscape, "test")
    chance = average_precision_score(y_test.ravel(), np.broadcast_to(y.mean(axis=0), y_test.shape).ravel())
    told = {**QUICK, "epochs": 4} if job == "finetune" else {"model": "test_resnet", "device": "cpu"}
    settings = (Finetune if job == "finetune" else Probe)(control="shuffled-labels", **told)
    assert run(job, landscape, tmp_path / "run", settings, say=print)["test"]["map_micro"] < chance + 0.05
