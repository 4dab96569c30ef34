"""Builds of raw files, which other programs' containers are written from and compared with."""

from __future__ import annotations

from pathlib import Path

import pytest

from sar_data.sealed.opened import Build
from sar_data.spec import Pipeline
from tests.containers.writers import Written, samples
from tests.mini.builds import make


@pytest.fixture(scope="session")
def eurosat_build(eurosat: Pipeline, eurosat_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    return make(eurosat, eurosat_source, tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="session")
def ben_build(bigearthnet: Pipeline, small_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    return make(bigearthnet, small_source, tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="session")
def one(eurosat_build: Build) -> Written:
    return samples(eurosat_build)[0]
