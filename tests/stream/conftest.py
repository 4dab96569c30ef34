"""Builds to stream: many small samples, in every container."""

from __future__ import annotations

from pathlib import Path

import pytest

from sar_data.sealed.opened import Build
from tests.mini import invented
from tests.mini.builds import CONTAINERS


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Build]:
    """203 samples of one class each, in shards of at most 16: 166 in train, the rest in val and test."""
    source = invented.archive(tmp_path_factory.mktemp("invented") / "raw", 203)
    out = tmp_path_factory.mktemp("small-builds")
    made = invented.pipeline()
    return {
        name: invented.sealed(
            made, source, out, format=name.partition("+")[0], compression=name.partition("+")[2] or "none"
        )
        for name in CONTAINERS
    }


@pytest.fixture(scope="session")
def zarr(small: dict[str, Build]) -> Path:
    return small["zarr"].path
