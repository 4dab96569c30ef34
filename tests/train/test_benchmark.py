"""A suite runs what has a build, always beside a supervised small network and a random encoder, and resumes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sar_data.train
from pipelines.synth import kuro_siwo
from sar_data import catalog, public
from sar_data.errors import UsageError
from sar_data.train import preset, suites
from sar_data.train.request import BENCHED
from sar_data.train.settings import JOBS
from tests.train.conftest import Finished

SUITE = "copernicus-bench-s1"
TINY = {"model": "test_vit", "image_size": 32, "batch_size": 4, "epochs": 1, "threads": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A miniature of the last task, and a build that is of none."""
    folder = tmp_path_factory.mktemp("bench")
    kuro_siwo.synthesise_bench(folder / "flood", count=12, seed=0)
    catalog.synthesise("eurosat-sar")(folder / "other", count=30, seed=0)
    for name, source, chosen in (
        ("kuro-siwo", "flood", {"variant": "copernicus-bench"}),
        ("eurosat-sar", "other", {"split": "random"}),
    ):
        public.build(name, source=folder / source, out=folder / "builds", runner="serial", **chosen)
    return folder / "builds"


@pytest.mark.usefixtures("unrendered")
def test_a_suite_is_one_table_beside_what_was_published(builds: Path, finished: Finished, tmp_path: Path) -> None:
    weights, lines = finished.out / "checkpoints" / "best.pt", list[str]()
    asked: dict[str, Any] = {"out": tmp_path / "out", "weights": str(weights), "settings": TINY}
    table = sar_data.train.benchmark(SUITE, builds, **asked, say=lines.append)
    assert (tmp_path / "out" / "benchmark.md").read_text() == table
    rows = {cells[1].strip(): cells[2:-1] for line in table.splitlines() if len(cells := line.split("|")) > 3}
    assert [name.strip() for name in rows[""]] == [
        *("EuroSAT-S1, OA", "BigEarthNet-S1, mAP micro", "DFC2020-S1, mIoU", "Flood-S1, mIoU")
    ]
    ours = ["supervised resnet18", "random test_vit, frozen", "best.pt, frozen"]
    assert [*rows][2:5] == ours
    for name in ours:
        *missing, flood = (cell.strip() for cell in rows[name])
        assert missing == ["–"] * 3
        assert 0 <= float(flood.split()[0]) <= 100
    assert [cell.strip() for cell in rows["published: supervised ViT-B"]] == ["81.5", "70.6", "50.8", "78.3"]
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
