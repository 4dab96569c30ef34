"""A build does not depend on who computed it: runner, workers, hash seed, time zone, language, umask, place, order."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from sar_data.runners import Dask, Processes
from sar_data.sealed.opened import Build
from sar_data.spec import Pipeline
from tests.mini.builds import CONTAINERS, contents, make, options
from tests.mini.hang import HANG_S
from tests.mini.readers import lmdb_items
from tests.mini.sources import copied, patches
from tests.places import ROOT


def comparable(path: Path) -> dict[str, Any]:
    """Return what must be equal to the last bit: every file, but of LMDB the entries in place of the pages."""
    files: dict[str, Any] = contents(path)
    if path.name.startswith("lmdb"):
        for split in ("train", "val", "test"):
            files[f"{split}/data.mdb"] = lmdb_items(path / split)
        sums = {files.pop("SHA256SUMS").count(b"\n")}
        manifest = files["manifest.json"].decode().splitlines()
        files["manifest.json"] = [line for line in manifest if not re.match(' "(sums|digest)"', line)]
        files["SHA256SUMS"] = sums
    return files


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_processes_give_the_bytes_of_one_process(
    bigearthnet: Pipeline, bigearthnet_source: Path, sealed: dict[str, Build], tmp_path: Path, workers: int
) -> None:
    with Processes(workers) as runner:
        for container in CONTAINERS:
            build = make(bigearthnet, bigearthnet_source, tmp_path, container=container, runner=runner)
            assert comparable(build.path) == comparable(sealed[container].path)


@pytest.mark.dask
def test_dask_gives_the_bytes_of_one_process(
    bigearthnet: Pipeline, bigearthnet_source: Path, sealed: dict[str, Build], tmp_path: Path
) -> None:
    with Dask(2) as runner:
        for container in CONTAINERS:
            build = make(bigearthnet, bigearthnet_source, tmp_path, container=container, runner=runner)
            assert comparable(build.path) == comparable(sealed[container].path)


ENVIRONMENTS: list[tuple[str, int, dict[str, str], int]] = [
    ("zarr", 0, {"PYTHONHASHSEED": "1", "TZ": "America/St_Johns", "LC_ALL": "C.UTF-8"}, 0o000),
    ("zarr", 2, {"PYTHONHASHSEED": "2", "TZ": "Asia/Kathmandu", "LANG": "C", "LC_ALL": "C"}, 0o077),
    ("zarr+zstd", 1, {"PYTHONHASHSEED": "4", "NUMBA_NUM_THREADS": "1"}, 0o027),
    ("webdataset", 1, {"PYTHONHASHSEED": "random", "TZ": "Pacific/Kiritimati", "LANG": "tr_TR.UTF-8"}, 0o002),
    ("lmdb", 2, {"PYTHONHASHSEED": "6", "TZ": "UTC", "PYTHONUTF8": "0", "LC_ALL": "C"}, 0o022),
    ("lmdb", 0, {"PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}, 0o077),
]


@pytest.mark.parametrize(("container", "workers", "variables", "umask"), ENVIRONMENTS)
def test_the_environment_plays_no_part(
    bigearthnet_source: Path,
    sealed: dict[str, Build],
    tmp_path: Path,
    container: str,
    workers: int,
    variables: dict[str, str],
    umask: int,
) -> None:
    names = [sys.executable, "-m", "tests.mini.one_build", "bigearthnet-s1"]
    done = subprocess.run(
        [*names, str(bigearthnet_source), str(tmp_path / "out"), container, str(workers)],
        cwd=ROOT,
        env={**os.environ, **variables},
        umask=umask,
        capture_output=True,
        text=True,
        timeout=HANG_S,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert comparable(Path(done.stdout.strip())) == comparable(sealed[container].path)


def test_the_place_and_the_order_of_the_files_play_no_part(
    bigearthnet: Pipeline, bigearthnet_source: Path, sealed: dict[str, Build], tmp_path: Path
) -> None:
    moved = tmp_path / "other place" / "ünïcode"
    for patch in reversed(patches(bigearthnet_source)):
        shutil.copytree(patch, moved / patch.relative_to(bigearthnet_source))
    shutil.copytree(bigearthnet_source / "lists", moved / "lists")
    build = make(bigearthnet, moved, tmp_path / "out")
    assert comparable(build.path) == comparable(sealed["zarr"].path)


@pytest.mark.parametrize("length", [1, 7, 100])
def test_shard_length_changes_the_shards_and_not_the_content(
    bigearthnet: Pipeline, small_source: Path, tmp_path: Path, length: int
) -> None:
    one, other = (make(bigearthnet, small_source, tmp_path, shard_length=n) for n in (16, length))
    assert one.manifest.content_digest == other.manifest.content_digest
    assert one.manifest.recipe_digest != other.manifest.recipe_digest


@pytest.mark.parametrize("change", [{"seed": 1}, {"limit": 12}, {"split": "official"}])
def test_another_split_or_another_set_of_records_is_another_content(
    bigearthnet: Pipeline, small_source: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    one, other = make(bigearthnet, small_source, tmp_path), make(bigearthnet, small_source, tmp_path, **change)
    assert one.manifest.content_digest != other.manifest.content_digest


def test_two_datasets_are_as_determined_as_one(eurosat: Pipeline, eurosat_source: Path, tmp_path: Path) -> None:
    made: list[Callable[[], AbstractContextManager[Any]]] = [lambda: Processes(2), lambda: Processes(1)]
    found = []
    for number, runner in enumerate(made):
        with runner() as one:
            build = make(eurosat, copied(eurosat_source, tmp_path / f"s{number}"), tmp_path / f"{number}", runner=one)
        found.append(comparable(build.path))
    assert found[0] == found[1]
    assert options()["split"] == "random"
