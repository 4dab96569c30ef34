"""The whole road: a server, a work pool, the deployments of prefect.yaml, a worker, and three ways to start a run."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sar_data import catalog
from sar_data.sealed.manifest import Manifest
from sar_data.sealed.opened import Build
from tests.flows.conftest import Archive
from tests.flows.station import Station, station
from tests.mini.hang import HANG_S
from tests.places import ROOT

EVERY_S = 15  # longer than a run takes, so that few of them find nothing to do


@pytest.fixture(scope="module")
def working(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    """A station with a worker."""
    with station(tmp_path_factory.mktemp("station")) as opened, opened.worker():
        yield opened


def test_prefect_runs_a_deployment_from_any_folder(working: Station, archive: Archive, tmp_path: Path) -> None:
    out = tmp_path / "out"
    watched = working.must(
        *(tmp_path, "prefect", "deployment", "run", "build-bigearthnet/build-bigearthnet"),
        *("-p", f"source={archive.source}", "-p", f"out={out}", "-p", "split=official", "-p", "workers=1"),
        *("-p", "normalize=zscore", "--watch"),
    )
    builds = [Build.open(path.parent).manifest for path in out.glob("bigearthnet-s1/*/zarr-*/manifest.json")]
    parent, baked = sorted(builds, key=lambda manifest: len(manifest.applied))
    assert (parent.content_digest, [step.step for step in baked.applied]) == (archive.digest, ["normalize"])
    said = "".join(watched.split())  # which is wrapped
    digests = (baked.content_digest, baked.recipe_digest, parent.content_digest, parent.recipe_digest)
    assert [said.count(digest) for digest in digests] == [1, 1, 1, 1], watched


def test_a_run_that_fails_fails_the_command(working: Station, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    ended = working.typed(tmp_path, "run", "build-eurosat-sar", "-p", "source=raw", "-p", "out=out", "--watch")
    assert ended.exit_code == 1, ended.output
    assert ended.stdout == ""
    logs, _, error = ended.stderr.rpartition("sar-data: ")
    assert len(re.findall(r"^\d\d:\d\d:\d\d no record of eurosat-sar found", logs, re.MULTILINE)) == 1
    assert "ended as Failed" in error
    assert "no record of eurosat-sar found" in error
    for text in (logs, (working.home / "worker.log").read_text()):
        assert "Traceback" not in text


def test_the_whole_mission_is_one_run_of_a_preset_by_its_bare_name_that_prints_its_folder_last(
    working: Station, eurosat_source: Path, tmp_path: Path
) -> None:
    preset = tmp_path / "tiny.toml"
    preset.write_text(
        'job = "finetune"\nabout = "Tiny"\n[settings]\nmodel = "test_vit"\nimage_size = 32\nbatch_size = 8\n'
        'epochs = 1\nthreads = 1\ndevice = "cpu"\n'
    )
    ended = working.run(
        *(tmp_path, "sar-data", "flow", "run", "build-and-train", "--watch", "-p", "dataset=eurosat-sar"),
        *("-p", f"source={eurosat_source}", "-p", "out=builds", "-p", "run=run", "-p", f"preset={preset}"),
        *("-p", "split=random", "-p", "runner=serial", "-p", 'settings={"seed": 3}'),
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.strip() == str(tmp_path / "run")
    assert "Completed" in ended.stderr
    assert "no worker" not in ended.stderr
    config, metrics = (json.loads((tmp_path / "run" / name).read_text()) for name in ("config.json", "metrics.json"))
    sealed = Manifest.load(next((tmp_path / "builds").glob("*/*/zarr-*/manifest.json")).parent)
    assert (config["preset"], config["settings"]["seed"]) == ("tiny", 3)
    assert config["build"]["content_digest"] == sealed.content_digest
    assert metrics["test"]["count"] == sealed.splits["test"].count


def test_a_schedule_builds_by_itself_and_builds_again_once_the_source_has_grown(
    working: Station, tmp_path: Path
) -> None:
    raw, out, aside = tmp_path / "raw", tmp_path / "out", tmp_path / "aside.tif"
    catalog.synthesise("eurosat-sar")(raw, count=20, seed=0)
    late = min(raw.rglob("*.tif"))
    late.rename(aside)
    schedule = re.findall(r"^schedules: .*$", (ROOT / "docs" / "operate.md").read_text(), re.MULTILINE)[0]
    for shown, here in (
        ("/data/raw", raw),
        ("/data/builds}", f"{out}, split: random}}"),
        ('cron: "0 3 * * *"', f"interval: {EVERY_S}"),
    ):
        assert shown in schedule
        schedule = schedule.replace(shown, str(here))
    name, deployments = "name: build-eurosat-sar", (ROOT / "prefect.yaml").read_text()
    assert name in deployments
    (tmp_path / "scheduled.yaml").write_text(deployments.replace(name, f"{name}, {schedule}"))
    working.must(tmp_path, "prefect", "deploy", "--name", "build-eurosat-sar", "--prefect-file", "scheduled.yaml")
    try:
        (first,) = _sealed(out, 1)
        aside.rename(late)
        two = _sealed(out, 2)
    finally:
        working.must(
            tmp_path, "prefect", "deployment", "schedule", "clear", "-y", "build-eurosat-sar/build-eurosat-sar"
        )
    (second,) = two - {first}
    before, after = Manifest.load(first), Manifest.load(second)
    assert sum(split.count for split in after.splits.values()) == sum(s.count for s in before.splits.values()) + 1
    assert before.recipe_digest != after.recipe_digest


def _sealed(out: Path, count: int) -> set[Path]:
    """Wait for so many sealed builds."""
    end = time.monotonic() + HANG_S
    while len(found := {path.parent for path in out.glob("*/*/zarr-*/manifest.json")}) < count:
        assert time.monotonic() < end, f"expected {count} sealed builds, found {found}"
        time.sleep(0.2)
    return found
