"""What makes or checks a build or a run is a flow of its own: convert, verify, train."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest

from sar_data.errors import BuildError, UsageError
from sar_data.sealed.opened import Build
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

    shown = _shown()
    assert {"bigearthnet-s1-statistics", "bigearthnet-s1-build", "bigearthnet-s1-metrics"} <= shown.keys()
    assert (tmp_path / "run.report.html").as_uri() in shown["bigearthnet-s1-run-report"]
    for fact in ("| verdict | sound |", "| read | every byte |", made["content_digest"]):
        assert fact in shown["bigearthnet-s1-verification"]
    assert "| job | finetune |" in shown["bigearthnet-s1-run"]


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
