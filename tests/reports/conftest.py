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


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of two runs that name payloads."""
    pytest.importorskip("torch")
    from sar_data.train import report as report_runs
    from tests.train.test_compare import run

    folder = tmp_path_factory.mktemp("runs")
    paths = [run(folder / strange.PAYLOADS[i].replace("/", "∕"), seed=i, note=strange.PAYLOADS[i + 5]) for i in (0, 2)]
    return report_runs(paths, out=folder / "runs.html")
