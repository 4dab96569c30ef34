"""Builds of the first releases open in every later one: these were sealed by version 0.2.0 and are never made anew."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from sar_data.sealed.opened import Build
from sar_data.sealed.verify import verify
from sar_data.stream.dataset import Stream

BUILDS = sorted(path for path in (Path(__file__).parent / "schema2").iterdir() if path.is_dir())


@pytest.mark.parametrize("build", BUILDS, ids=lambda path: path.name)
def test_a_build_of_schema_2_verifies_in_full(build: Path) -> None:
    assert json.loads((build / "manifest.json").read_text())["schema_version"] == 2
    assert verify(build, full=True) == []


@pytest.mark.parametrize("build", BUILDS, ids=lambda path: path.name)
def test_a_build_of_schema_2_streams_every_sample(build: Path) -> None:
    manifest = Build.open(build).manifest
    crop = {"crop": 6} if manifest.shape is None else {}
    normalize = None if any(step.step == "normalize" for step in manifest.applied) else "zscore"
    stream = Stream(build, split="train", batch_size=4, shuffle=False, normalize=normalize, **crop)
    keys = {key for batch in stream for key, weight in zip(batch["key"], batch["weight"], strict=True) if weight}
    assert len(keys) == manifest.splits["train"].count


def test_evidence_that_schema_2_called_a_dossier_is_documents_only(tmp_path: Path) -> None:
    build = shutil.copytree(BUILDS[0], tmp_path / "build")
    document = json.loads((build / "manifest.json").read_text())
    (build / "manifest.json").write_text(json.dumps({**document, "evidence": "dossier"}))
    assert Build.open(build).manifest.evidence == "documents-only"
