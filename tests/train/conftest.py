"""Tiny builds to train on, and jobs that a test can cut, poison and kill."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from sar_data import catalog
from sar_data.sealed.opened import Build
from sar_data.train.settings import JOBS, Finetune, Segment
from sar_data.train.training import run
from tests.mini import invented
from tests.mini.builds import make

TINY: dict[str, Any] = {
    "model": "test_vit",
    "image_size": 32,
    "batch_size": 16,
    "epochs": 2,
    "threads": 1,
    "device": "cpu",
    "lr": 0.01,
    "augment": ("hflip", "crop"),
}
SEGMENT: dict[str, Any] = {
    "model": "test_resnet",
    "channels": 16,
    "batch_size": 8,
    "epochs": 2,
    "threads": 1,
    "device": "cpu",
    "lr": 0.01,
    "augment": (),
}
DETECT: dict[str, Any] = {
    "model": "test_convnext",
    "channels": 32,
    "crop": 96,
    "overlap": 0.25,
    "batch_size": 4,
    "epochs": 1,
    "lr": 0.01,
    "optimiser": "sgd",
    "select": "last",
    "threads": 1,
    "device": "cpu",
    "max_detections": 20,
}


@pytest.fixture(scope="session")
def classes(tmp_path_factory: pytest.TempPathFactory) -> str:
    """103 samples of one class each: 87 in train, 8 in val, 8 in test."""
    folder = tmp_path_factory.mktemp("classes")
    return str(invented.sealed(invented.pipeline(), invented.archive(folder / "raw", 103), folder / "builds").path)


@pytest.fixture(scope="session")
def several(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same number of samples, of up to three classes each."""
    folder = tmp_path_factory.mktemp("several")
    made = invented.pipeline("multilabel")
    return str(invented.sealed(made, invented.archive(folder / "raw", 103), folder / "builds").path)


@dataclass(frozen=True)
class Finished:
    """A finished run that is not to be changed: its folder, its metrics and what it said."""

    out: Path
    metrics: dict[str, Any]
    lines: list[str]

    def copied(self, out: Path) -> Path:
        """Return a copy that may be changed."""
        return Path(shutil.copytree(self.out, out))


@pytest.fixture(scope="session")
def finished(classes: str, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    out, lines = tmp_path_factory.mktemp("finished") / "run", list[str]()
    return Finished(out, run("finetune", classes, out, Finetune(**TINY), say=lines.append), lines)


@pytest.fixture
def unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose a run's pictures without their pixels, which are half of what a tiny run costs.

    The runs of session and module fixtures are rendered, and one of every job is looked at.
    """
    monkeypatch.setattr(Figure, "savefig", lambda *args, **options: None)


def sizes(folder: Path, shapes: list[tuple[int, int]]) -> Path:
    """Write an archive of tests.mini.invented whose images have these sizes."""
    folder.mkdir(parents=True)
    for seed, (height, width) in enumerate(shapes):
        (folder / f"s{seed:04d}.json").write_text(json.dumps({"seed": seed, "height": height, "width": width}))
    return folder


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> str:
    """39 images of 32 × 32 pixels, whose masks are noise: 32 in train, 4 in val, 3 in test."""
    folder = tmp_path_factory.mktemp("squares")
    source = sizes(folder / "raw", [(32, 32)] * 39)
    return str(invented.sealed(invented.pipeline("segmentation", shape=(32, 32)), source, folder / "builds").path)


def ships(folder: Path, count: int) -> Build:
    catalog.synthesise("ssdd")(folder / "raw", count=count, seed=0)
    return make(catalog.pipeline("ssdd"), folder / "raw", folder / "out", format="lmdb", split="official")


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Twenty images of many sizes: 16 to learn from, 4 to test on."""
    return ships(tmp_path_factory.mktemp("few"), 20)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture(scope="session")
def segmented(squares: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on windows of 16 pixels, which is evaluated in windows that overlap."""
    return _trained("segment", squares, tmp_path_factory, {**SEGMENT, "epochs": 1, "crop": 16})


@pytest.fixture(scope="session")
def detected(few: Build, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _trained("detect", str(few.path), tmp_path_factory, {**DETECT, "score_threshold": 0.0})


def _trained(job: str, build: str, folders: pytest.TempPathFactory, settings: dict[str, Any]) -> Path:
    out = folders.mktemp(job) / "run"
    run(job, build, out, JOBS[job](**settings), say=lambda line: None)
    return out


@pytest.fixture(scope="session")
def landcover(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Miniature DFC2020 on the split of Copernicus-Bench: 36, 12 and 12 patches of 256 × 256 pixels."""
    folder = tmp_path_factory.mktemp("landcover")
    catalog.synthesise("dfc2020")(folder / "raw", count=90, seed=1)
    source, lists = folder / "raw", folder / "raw" / "lists"
    return str(make(catalog.pipeline("dfc2020"), source, folder / "out", split="copernicus-bench", lists=lists).path)


# A small UPerNet, trained on windows and tested on whole patches in windows of 128 pixels.
WINDOWS: dict[str, Any] = {
    "channels": 32,
    "tile": 128,
    "overlap": 0.25,
    "weight_decay": 0.01,
    "select": "last",
    "augment": ("flips",),
}


@pytest.fixture(scope="session")
def short(landcover: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a few epochs, which has learnt something."""
    out = tmp_path_factory.mktemp("short") / "run"
    settings = {**SEGMENT, **WINDOWS, "crop": 48, "batch_size": 6, "epochs": 4, "warmup": 1}
    run("segment", landcover, out, Segment(**settings), say=lambda line: None)
    return out


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Nine images of RSDD-SAR: 7 to learn from, 2 to test on."""
    folder = tmp_path_factory.mktemp("scenes")
    catalog.synthesise("rsdd-sar")(folder / "raw", count=9, seed=0)
    return make(catalog.pipeline("rsdd-sar"), folder / "raw", folder / "out", format="lmdb", split="official")
