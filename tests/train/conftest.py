"""Tiny builds to train on, and jobs that a test can cut, poison and kill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.mini import invented

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


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run"
