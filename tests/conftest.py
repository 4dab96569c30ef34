"""Miniature archives, made once a session and never changed: a test that damages one copies it first."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# A test that gives a process another home is not to compile all loops anew.
os.environ.setdefault("XDG_CACHE_HOME", str(Path.home() / ".cache"))
pytest.register_assert_rewrite("tests.contract", "tests.mini")

from sar_data import catalog  # noqa: E402 (assertions are rewritten before anything is imported)
from sar_data.sealed.opened import Build  # noqa: E402
from sar_data.spec import Pipeline  # noqa: E402
from tests.mini.builds import make  # noqa: E402


@pytest.fixture(scope="session")
def bigearthnet() -> Pipeline:
    return catalog.pipeline("bigearthnet-s1")


@pytest.fixture(scope="session")
def eurosat() -> Pipeline:
    return catalog.pipeline("eurosat-sar")


@pytest.fixture(scope="session")
def bigearthnet_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty patches with their official lists; the 42nd has none of the 19 labels."""
    out = tmp_path_factory.mktemp("bigearthnet-s1")
    catalog.synthesise("bigearthnet-s1")(out, count=60, seed=0)
    return out


@pytest.fixture(scope="session")
def small_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen patches with their lists, to be copied and damaged."""
    out = tmp_path_factory.mktemp("small")
    catalog.synthesise("bigearthnet-s1")(out, count=16, seed=0)
    return out


@pytest.fixture(scope="session")
def eurosat_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty patches, four of each class."""
    out = tmp_path_factory.mktemp("eurosat-sar")
    catalog.synthesise("eurosat-sar")(out, count=40, seed=0)
    return out


@pytest.fixture(scope="session")
def sealed(
    tmp_path_factory: pytest.TempPathFactory, bigearthnet: Pipeline, bigearthnet_source: Path
) -> dict[str, Build]:
    """The sixty patches in every container, split at random, in shards of at most 16; read-only by agreement."""
    out = tmp_path_factory.mktemp("sealed")
    return {
        name: make(bigearthnet, bigearthnet_source, out, format=name.partition("+")[0], compression=compression)
        for name, compression in (("lmdb", "none"), ("webdataset", "none"), ("zarr", "none"), ("zarr+zstd", "zstd"))
    }
