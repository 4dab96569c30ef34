"""What makes or checks a build or a run is a flow of its own: convert, verify, train."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import sar_data
import sar_data.train
from sar_data.errors import BuildError, UsageError
from sar_data.sealed.opened import Build
from tests.flows.shown import bars
from tests.flows.test_mission import TINY


def _shown() -> dict[str, str]:
    """Return key → data of what was shown."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return {str(one.key): str(one.data) for one in client.read_artifacts()}


def _ended_with() -> str | None:
    """Return the folder that `flow run --watch` prints of the latest run."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.sorting import FlowRunSort

    from flows.run import folder_of

    with get_client(sync_client=True) as client:
        (run,) = client.read_flow_runs(limit=1, sort=FlowRunSort.START_TIME_DESC)
        return folder_of(client, run.id)


def test_a_build_is_converted_verified_and_trained_on(server: str, sealed: dict[str, Build], tmp_path: Path) -> None:
    from flows.convert import convert
    from flows.train import train
    from flows.verify import verify

    parent = sealed["zarr"].manifest
    made = convert(parent=sealed["zarr"].path, out=tmp_path, format="lmdb", dtype="int16", runner="serial")
    manifest = Build.open(Path(made["path"])).manifest
    assert (manifest.format, [step.step for step in manifest.applied]) == ("lmdb", ["dtype"])
    assert made["content_digest"] == manifest.content_digest
    assert made["parent"]["recipe_digest"] == parent.recipe_digest
    assert _ended_with() == made["path"]

    assert verify(path=Path(made["path"]), full=True, workers=1) == made
    assert _ended_with() == made["path"]
    ended = train(job="finetune", build=made["path"], out=tmp_path / "run", settings=TINY)
    assert ended["metrics"] == json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert _ended_with() == ended["run"] == str(tmp_path / "run")
    assert bars(f"finetune-bigearthnet-s1-{Path(made['path']).name}-run") == {"train": 100.0}

    shown = _shown()
    assert {"bigearthnet-s1-statistics", "bigearthnet-s1-build", "bigearthnet-s1-metrics"} <= shown.keys()
    assert (tmp_path / "run.report.html").as_uri() in shown["bigearthnet-s1-run-report"]
    for fact in ("**verdict**: sound", "**read**: every byte", made["content_digest"]):
        assert fact in shown["bigearthnet-s1-verification"]
    assert "**job**: finetune" in shown["bigearthnet-s1-run"]
    _assert_used(tmp_path / "run", made["path"], tmp_path)


def _assert_used(run: Path, build: str, out: Path) -> None:
    """See that flows make of a finished run what Python makes of it."""
    from flows.train import compare, embed, export, train_report

    assert compare(runs=[run]) == sar_data.train.compare(run)
    assert compare(runs=run, csv=True) == sar_data.train.compare([run], csv=True)
    assert train_report(runs=[run], out=out / "page.html", language="zh") == str(out / "page.html")
    features = embed(source=str(run), build=build, out=out / "features.parquet", split="test", device="cpu")
    assert pq.read_table(features)["key"].to_pylist()
    assert Path(export(run=run, to="torchscript", out=out / "model")).parent == out / "model"


def test_figures_of_a_build_and_of_splits_are_those_of_python(
    server: str, sealed: dict[str, Build], bigearthnet_source: Path, tmp_path: Path
) -> None:
    from flows.plan import plan
    from flows.stats import against, looks, shift, stats

    path = sealed["zarr"].path
    assert stats(path=path) == {name: one.model_dump(mode="json") for name, one in sar_data.stats(path).items()}
    assert stats(path=path, split="test", recompute=True, runner="serial").keys() == {"test"}
    assert stats(path=path, by="season").keys() == sar_data.stats(path, by="season").keys()
    assert shift(path=path, reference="val").keys() == {"train", "test"}
    assert against(path=path, other="ssl4eo") == sar_data.against(path, "ssl4eo").document()
    assert looks(path=path, images=3)["VV"]["images"] == 3
    places: dict[str, Any] = {"source": bigearthnet_source, "out": tmp_path}
    document = plan(dataset="bigearthnet-s1", **places, format=["zarr", "lmdb"], split="random", runner="serial")
    (one,) = document["splits"]
    assert one["counts"]["train"] == sealed["zarr"].manifest.splits["train"].count
    shown = {name: json.loads(_shown()[name]) for name in ("plan", "plan-builds", "plan-figures")}
    assert shown["plan"][0].items() >= one["counts"].items()
    assert shown["plan-builds"] == document["builds"]
    assert [build["format"] for build in document["builds"]] == ["zarr", "lmdb"]
    assert shown["plan-figures"][0]["written_bytes"] == sum(build["bytes"] for build in document["builds"])


def test_all_that_is_wrong_with_a_build_is_logged_and_fails_the_run(
    server: str, sealed: dict[str, Build], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from flows.verify import verify

    copy = tmp_path / sealed["zarr"].path.name
    shutil.copytree(sealed["zarr"].path, copy)
    (copy / "index.parquet").unlink()
    (copy / "more").write_text("")
    with caplog.at_level(logging.ERROR), pytest.raises(BuildError, match=r"index\.parquet.* \(and \d+ more\)"):
        verify(path=copy)
    said = [record.getMessage() for record in caplog.records]
    assert any(line.startswith("index.parquet: expected") for line in said)
    assert any(line.startswith("more: expected") for line in said)


def test_paths_of_another_folder_are_refused(server: str) -> None:
    from flows.convert import convert
    from flows.train import train
    from flows.verify import verify

    run: dict[str, Any] = {"job": "probe", "out": Path("/run")}
    for call, name in (
        (lambda: convert(parent=Path("build")), "parent"),
        (lambda: verify(path=Path("build")), "path"),
        (lambda: train(**run, build="build"), "build"),
    ):
        with pytest.raises(UsageError, match=f"`{name}=build`: expected an absolute path"):
            call()
