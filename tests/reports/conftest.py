"""Builds that are reported on, and their reports: made once, never changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from sar_data.reports.build import report
from sar_data.sealed.opened import Build
from tests.mini import invented
from tests.reports import strange


@pytest.fixture(scope="session")
def invented_build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Sixty small images of four classes."""
    root = tmp_path_factory.mktemp("reported")
    source = invented.archive(root / "raw", 60)
    return invented.sealed(invented.pipeline(), source, root / "out", format="zarr")


@pytest.fixture(scope="session")
def english(sealed: dict[str, Build], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of sixty patches on the map."""
    return report(sealed["zarr"], tmp_path_factory.mktemp("reports") / "english.html")


@pytest.fixture(scope="session")
def chinese(sealed: dict[str, Build], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report(sealed["zarr"], tmp_path_factory.mktemp("reports") / "chinese.html", "zh")


@pytest.fixture(scope="session")
def hostile(invented_build: Build, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a build whose every word is a payload."""
    folder = tmp_path_factory.mktemp("hostile")
    return report(strange.of(invented_build, folder), folder / "hostile.html")
