"""A suite runs what has a build, always beside a supervised small network and a random encoder, and resumes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sar_data.train
from sar_data import catalog, public
from sar_data.errors import UsageError
from sar_data.train import preset, suites
from sar_data.train.request import BENCHED
from sar_data.train.settings import JOBS
from tests.mini.hang import HANG_S
from tests.places import ROOT
from tests.train.conftest import Finished

SUITE = "copernicus-bench-s1"
TINY = {"model": "test_vit", "image_size": 32, "batch_size": 2, "epochs": 1, "threads": 1, "device": "cpu"}
TASKS = {"eurosat-sar": 30, "bigearthnet-s1-v2": 24, "dfc2020": 10, "kuro-siwo": 12}


def sealed(name: str, folder: Path, count: int, variant: str | None, **chosen: Any) -> None:
    source = folder.with_name(f"raw-{folder.name}") / name
    catalog.synthesise(name, variant)(source, count=count, seed=0)
    public.build(name, source=source, out=folder, variant=variant, runner="serial", **chosen)


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A miniature of the last task, and a build that is of none."""
    folder = tmp_path_factory.mktemp("bench") / "builds"
    sealed("kuro-siwo", folder, TASKS["kuro-siwo"], "copernicus-bench")
    sealed("eurosat-sar", folder, 30, None, split="random")
    return folder


@pytest.fixture
def all_builds(builds: Path, tmp_path: Path) -> Path:
    """Miniatures of all four tasks."""
    folder = tmp_path / "builds"
    for name in [*TASKS][:3]:
        sealed(name, folder, TASKS[name], "copernicus-bench")
    (folder / "kuro-siwo").symlink_to(builds / "kuro-siwo")
    return folder


def rows_of(table: str) -> dict[str, list[str]]:
    """Return the first cell of each row of a table → the others."""
    lines = [line.split("|") for line in table.splitlines()]
    return {cells[1].strip(): [cell.strip() for cell in cells[2:-1]] for cells in lines if len(cells) > 3}


@pytest.mark.distributed
@pytest.mark.usefixtures("unrendered")
def test_all_four_tasks_run_on_two_ranks_and_one_rank_goes_on(
    all_builds: Path, finished: Finished, tmp_path: Path
) -> None:
    asked = [part for name, value in TINY.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    where = ["--builds", str(all_builds), "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
            *("-m", "sar_data", "train", "benchmark", SUITE, *where, *asked),
        ],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=HANG_S,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == (tmp_path / "out" / "benchmark.md").read_text()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.pt")}
    weights = str(finished.out / "checkpoints" / "best.pt")
    table = sar_data.train.benchmark(SUITE, all_builds, out=tmp_path / "out", weights=weights, settings=TINY)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    two, one = rows_of(done.stdout), rows_of(table)
    assert [*two][2:4] == ["supervised resnet18", "random test_vit, frozen"]
    assert [*one][2:5] == ["supervised resnet18", "random test_vit, frozen", "best.pt, frozen"]
    for cells in [*one.values()][2:5]:
        assert len(cells) == 4
        assert all(0 <= float(cell.split()[0]) <= 100 for cell in cells)
    assert {name: one[name] for name in two} == two


@pytest.mark.usefixtures("unrendered")
def test_a_suite_is_one_table_beside_what_was_published(builds: Path, finished: Finished, tmp_path: Path) -> None:
    weights, lines = finished.out / "checkpoints" / "best.pt", list[str]()
    asked: dict[str, Any] = {"out": tmp_path / "out", "weights": str(weights), "settings": TINY}
    table = sar_data.train.benchmark(SUITE, builds, **asked, say=lines.append)
    assert (tmp_path / "out" / "benchmark.md").read_text() == table
    rows = rows_of(table)
    assert rows[""] == [*("EuroSAT-S1, OA", "BigEarthNet-S1, mAP micro", "DFC2020-S1, mIoU", "Flood-S1, mIoU")]
    ours = ["supervised resnet18", "random test_vit, frozen", "best.pt, frozen"]
    assert [*rows][2:5] == ours
    for name in ours:
        *missing, flood = rows[name]
        assert missing == ["–"] * 3
        assert 0 <= float(flood.split()[0]) <= 100
    assert rows["published: supervised ViT-B"] == ["81.5", "70.6", "50.8", "78.3"]
    assert "No build of EuroSAT-S1, BigEarthNet-S1, DFC2020-S1 is in" in table
    assert any(line.startswith("EuroSAT-S1: no build of it is in") for line in lines)
    told = json.loads((tmp_path / "out" / "benchmark.json").read_text())["tasks"]
    run = tmp_path / "out" / "flood-s1" / "random"
    figures = json.loads((run / "metrics.json").read_text())["test"]
    assert told["Flood-S1"]["random"]["value"] == figures["miou"]
    assert json.loads((run / "config.json").read_text())["settings"]["fusion"] == "diff"
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.pt")}
    (tmp_path / "out" / "benchmark.md").unlink()
    assert sar_data.train.benchmark(SUITE, builds, **asked) == table
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.pt")} == before


def test_presets_of_a_suite_take_the_options_of_its_rows() -> None:
    suite = suites.find(SUITE)
    for task in suite.task:
        found = preset.find(task.preset)
        assert set(BENCHED) <= set(JOBS[found.job].model_fields)
        settings = preset.resolved(found.job, found, {**suite.supervised, **task.supervised})
        assert settings.model == "resnet18"
        assert not settings.model_dump()["freeze"]


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"suite": "copernicus-bench-s2"}, "unknown suite 'copernicus-bench-s2'. Did you mean 'copernicus-bench-s1'"),
        ({"settings": {"fusion": "diff"}}, "unknown option of a benchmark 'fusion'"),
        ({}, "expected builds of EuroSAT-S1, BigEarthNet-S1, DFC2020-S1, Flood-S1, found none"),
    ],
)
def test_what_no_suite_has_is_refused_everywhere_alike(chosen: dict[str, Any], message: str, tmp_path: Path) -> None:
    from flows.train import benchmark as flow

    (tmp_path / "builds").mkdir()
    asked: dict[str, Any] = {"suite": SUITE, "builds": tmp_path / "builds", "out": tmp_path / "out", **chosen}
    ways: list[Callable[..., Any]] = [sar_data.train.benchmark, flow.fn]
    for way in ways if chosen.get("settings") or "suite" in chosen else ways[:1]:
        with pytest.raises(UsageError) as refused:
            way(**asked)
        assert message in str(refused.value)
