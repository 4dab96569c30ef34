"""Builds of earlier versions open in every later one: these were sealed by version 0.2.0 and are never made again.

Those of schema 3 were made after the last change of the containers; each container has builds of several kinds.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from sar_data.builder.diff import diff
from sar_data.runners import Serial
from sar_data.sealed.opened import Build
from sar_data.sealed.verify import verify
from sar_data.stream.dataset import Stream

HERE = Path(__file__).parent
BUILDS = sorted(path for path in HERE.glob("schema[23]/*") if path.is_dir())
CONTAINERS = {("lmdb", None), ("webdataset", None), ("zarr", None), ("zarr", "zstd")}


def test_builds_of_schema_3_are_of_every_container_and_of_every_kind_of_task() -> None:
    manifests = [Build.open(path).manifest for path in BUILDS if path.parent.name == "schema3"]
    assert {(manifest.format, manifest.compression) for manifest in manifests} == CONTAINERS
    kinds = {task.kind for manifest in manifests for task in manifest.tasks}
    assert kinds == {"change", "detection", "multilabel", "segmentation"}
    assert {step.step for manifest in manifests for step in manifest.applied} == {"dtype", "normalize"}
    assert {path.parent.name for path in BUILDS} == {"schema2", "schema3"}


@pytest.mark.parametrize("build", BUILDS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_an_earlier_build_verifies_in_full(build: Path) -> None:
    schema = json.loads((build / "manifest.json").read_text())["schema_version"]
    assert f"schema{schema}" == build.parent.name
    assert verify(build, full=True) == []


@pytest.mark.parametrize("build", BUILDS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_an_earlier_build_streams_every_sample(build: Path) -> None:
    manifest = Build.open(build).manifest
    crop = {"crop": 6} if manifest.shape is None else {}
    normalize = None if any(step.step == "normalize" for step in manifest.applied) else "zscore"
    stream = Stream(build, split="train", batch_size=4, shuffle=False, normalize=normalize, **crop)
    keys = {key for batch in stream for key, weight in zip(batch["key"], batch["weight"], strict=True) if weight}
    assert len(keys) == manifest.splits["train"].count


def test_evidence_that_schema_2_called_a_dossier_is_documents_only(tmp_path: Path) -> None:
    build = shutil.copytree(HERE / "schema2" / "lmdb-multiclass", tmp_path / "build")
    document = json.loads((build / "manifest.json").read_text())
    (build / "manifest.json").write_text(json.dumps({**document, "evidence": "dossier"}))
    assert Build.open(build).manifest.evidence == "documents-only"


def test_an_earlier_build_is_its_own_like_and_one_baked_from_it_is_compared() -> None:
    for path in BUILDS:
        assert diff(path, path, full=True, runner=Serial()).differences == []
    pair = HERE / "schema3" / "lmdb-multilabel", HERE / "schema3" / "zarr-normalized"
    assert {difference.what.split(" ")[1] for difference in diff(*pair, runner=Serial()).differences} == {"applied"}
