"""The whole mission as one flow: each step is taken up where it was left, and what is done stays."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from sar_data.errors import BuildError, UsageError
from sar_data.runners import Crew
from sar_data.sealed.opened import Build
from tests.kill.evidence import stamps
from tests.mini.resealed import edit

TINY = {"model": "test_vit", "image_size": 32, "batch_size": 8, "epochs": 1, "threads": 1, "device": "cpu"}


def _tasks() -> dict[str, str]:
    """Return name and final state of the tasks of the latest flow run."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas import filters
    from prefect.client.schemas.sorting import FlowRunSort

    with get_client(sync_client=True) as client:
        (run,) = client.read_flow_runs(limit=1, sort=FlowRunSort.START_TIME_DESC)
        wanted = filters.FlowRunFilter(id=filters.FlowRunFilterId(any_=[run.id]))
        return {
            task.name.rpartition("-")[0]: str(task.state_name) for task in client.read_task_runs(flow_run_filter=wanted)
        }


def test_a_mission_takes_up_each_step_and_does_what_is_missing(
    server: str, eurosat_source: Path, tmp_path: Path
) -> None:
    from flows.mission import build_and_train

    asked: dict[str, Any] = {
        "dataset": "eurosat-sar",
        "source": eurosat_source,
        "out": tmp_path / "builds",
        "run": tmp_path / "run",
        "split": "random",
        "runner": "serial",
    }
    with pytest.raises(UsageError, match="batch_size"):
        build_and_train(**asked, settings={**TINY, "batch_size": 500})
    made = {"prepare", "pack", "seal", "publish", "verify", "train"}
    assert (states := _tasks()).keys() == made
    assert states["train"] == "Failed"
    (manifest,) = (tmp_path / "builds").glob("*/*/zarr-*/manifest.json")
    sealed = manifest.parent
    before = stamps(sealed)

    ended = build_and_train(**asked, settings=TINY)
    states = _tasks()
    assert states.keys() == (made - {"pack"}) | {"publish_run"}
    assert (states["verify"], states["train"]) == ("Cached", "Completed")
    assert stamps(sealed) == before
    assert ended["build"]["path"] == str(sealed)
    assert ended["metrics"] == json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert ended["metrics"]["test"]["count"] == Build.open(sealed).manifest.splits["test"].count
    run = stamps(tmp_path / "run")

    again = build_and_train(**asked, settings=TINY)
    assert again == ended
    assert (stamps(tmp_path / "run"), stamps(sealed)) == (run, before)


def test_a_mission_shows_what_came_out(tmp_path: Path) -> None:
    from flows import report

    metrics = {
        "val": {"oa": 0.5, "count": 8, "intervals": {"method": "x", "oa": [0.25, 0.75]}},
        "test": {"oa": 1.0, "f1": 0.9, "count": 8, "intervals": {"method": "x"}},
        "selection": {"asked": "auto", "on": "val"},
    }
    assert report.metric_rows(metrics) == [
        {"split": "val", "metric": "oa", "value": 0.5, "low": 0.25, "high": 0.75},
        {"split": "test", "metric": "oa", "value": 1.0, "low": None, "high": None},
        {"split": "test", "metric": "f1", "value": 0.9, "low": None, "high": None},
    ]
    build = {"path": "/builds/zarr-1", "content_digest": "c0ffee"}
    config = {"job": "finetune", "preset": None, "settings": {"model": "resnet18"}, "build": build}
    page = report.run_page(tmp_path, config, metrics)
    figures = ("- **val oa**: 0.5000 (0.2500 to 0.7500)\n", "- **test f1**: 0.9000\n")
    for fact in ("`/builds/zarr-1`", "`c0ffee`", *figures):
        assert fact in page


def test_a_page_takes_no_text_of_a_build_for_markup(sealed: dict[str, Build], tmp_path: Path) -> None:
    from flows import report

    path = Path(shutil.copytree(sealed["zarr"].path, tmp_path / "build"))
    evil = "<b>![p](https://evil.example/p.png)`x`\n# y | z"
    edit(path, lambda document: document.update(title=evil, unused={evil: 1}))
    edit(path, lambda document: document["split_policy"].update(policy=evil))
    page = report.page(Build.open(path))
    shown = r"\<b>!\[p\](https://evil.example/p.png)\`x\` # y \| z"
    assert page.startswith(f"# {shown}\n")
    assert f"- **Unused**: 1: {shown}\n" in page
    assert f"- **How split**: policy {shown}, seed 0;" in page


def test_what_is_damaged_is_not_trained_on(server: str, sealed: dict[str, Build], tmp_path: Path) -> None:
    from prefect import flow

    from flows.mission import verify_once

    @flow
    def alone(path: Path) -> int:
        return verify_once(path, True, Crew(workers=1))

    copy = tmp_path / sealed["zarr"].path.name
    shutil.copytree(sealed["zarr"].path, copy)
    shard = copy / "train/image/c/0/0/0/0"
    data = bytearray(shard.read_bytes())
    data[1000] ^= 1
    shard.write_bytes(data)
    with pytest.raises(
        BuildError, match=r"sha256 of train/image/c/0/0/0/0: expected .*`repair` rebuilds what is broken"
    ):
        alone(copy)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"run": Path("run")}, "`run=run`: expected an absolute path"),
        ({"preset": "tiny.toml"}, "`preset=tiny.toml`: expected an absolute path"),
        ({"preset": "sarhub-scen"}, "Did you mean 'sarhub-scene'"),
        ({"preset": "sarhub-scene", "job": "detect"}, "is for `finetune`, not for `detect`"),
        ({"settings": {"epochs": 0}}, "finetune: epochs: .*found 0"),
        ({"dataset": "sen1-2"}, "sen1-2 has no task to learn: expected `job=…` or `preset=…`"),
        ({"format": ["lmdb", "zarr"]}, "`format=lmdb,zarr`: expected one container to train on"),
    ],
)
def test_what_contradicts_itself_is_refused_before_anything_starts(
    tmp_path: Path, choice: dict[str, Any], message: str
) -> None:
    from flows.mission import mission

    places: dict[str, Any] = {"dataset": "eurosat-sar", "source": tmp_path, "out": tmp_path, "run": tmp_path / "run"}
    with pytest.raises(UsageError, match=message):
        mission(**{**places, **choice})
