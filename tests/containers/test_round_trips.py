"""What our export writes, import reads: the build is the same wherever the target can keep all of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sar_data import catalog
from sar_data.public import convert, export
from sar_data.sealed.opened import Build
from tests.containers.imports import imported
from tests.mini.builds import make


@pytest.fixture(scope="module")
def resized(eurosat_build: Build, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Return the build in the size that the loaders of pickles expect."""
    return convert(eurosat_build.path, out=tmp_path_factory.mktemp("resized"), resize=128)


@pytest.mark.parametrize("target", ["fgmae-lmdb", "seco-lmdb", "configilm", "npy", "hf"])
def test_an_export_comes_back_with_the_content_digest(
    target: str, eurosat_build: Build, resized: Build, tmp_path: Path
) -> None:
    build = resized if target.endswith("-lmdb") else eurosat_build
    export(target, build.path, tmp_path / "packed")
    made = imported("eurosat-sar", tmp_path / "packed", tmp_path / "out")
    assert made.manifest.content_digest == build.manifest.content_digest
    assert made.manifest.imported_from


@pytest.mark.parametrize("target", ["npy", "hf"])
def test_masks_come_back_too(target: str, tmp_path: Path) -> None:
    catalog.synthesise("dfc2020")(tmp_path / "raw", count=6, seed=0)
    build = make(catalog.pipeline("dfc2020"), tmp_path / "raw", tmp_path / "builds")
    export(target, build.path, tmp_path / "packed")
    made = imported("dfc2020", tmp_path / "packed", tmp_path / "out")
    assert made.manifest.content_digest == build.manifest.content_digest
