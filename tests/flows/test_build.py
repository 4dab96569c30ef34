from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import sar_data
from sar_data import catalog
from sar_data.cli import main
from sar_data.errors import UsageError
from sar_data.sealed.manifest import Manifest
from sar_data.sealed.opened import Build
from tests.flows.conftest import Archive
from tests.flows.shown import bars
from tests.mini.builds import contents


def _artifacts(path: str) -> dict[str, Any]:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        found = client.read_artifacts()
    return {one.key: one for one in found if one.key and path in (one.description or "")}


@pytest.mark.parametrize(
    ("runner", "workers"), [("serial", 1), ("processes", 2), pytest.param("dask", 2, marks=pytest.mark.dask)]
)
def test_every_runner_builds_what_the_library_builds(
    server: str, archive: Archive, tmp_path: Path, runner: str, workers: int
) -> None:
    from flows.build import build_bigearthnet

    found = build_bigearthnet(source=archive.source, out=tmp_path, split="official", runner=runner, workers=workers)
    manifest = Build.open(Path(found["path"])).manifest
    assert found == {
        "path": found["path"],
        "content_digest": archive.digest,
        "recipe_digest": manifest.recipe_digest,
        "parent": None,
    }
    assert json.loads(json.dumps(found)) == found
    assert manifest.content_digest == archive.digest


def test_a_build_shows_its_statistics_and_a_page_and_twice_is_nothing_to_do(
    server: str, archive: Archive, tmp_path: Path
) -> None:
    from flows.build import build_bigearthnet

    first = build_bigearthnet(source=archive.source, out=tmp_path, split="official", runner="serial")
    manifest_file = Path(first["path"]) / "manifest.json"
    written_ns = manifest_file.stat().st_mtime_ns
    assert build_bigearthnet(source=archive.source, out=tmp_path, split="official", runner="serial") == first
    assert manifest_file.stat().st_mtime_ns == written_ns

    manifest = Build.open(Path(first["path"])).manifest
    artifacts = _artifacts(first["path"])
    assert set(artifacts) == {"bigearthnet-s1-statistics", "bigearthnet-s1-build", "bigearthnet-s1-report"}
    rows = json.loads(artifacts["bigearthnet-s1-statistics"].data)
    names = {(row["split"], row["band"], row["domain"]) for row in rows}
    assert names == set(itertools.product(("train", "val", "test"), ("VV", "VH"), ("dB", "power")))
    train = next(row for row in rows if (row["split"], row["band"], row["domain"]) == ("train", "VV", "dB"))
    assert manifest.normalization is not None
    assert train["mean"] == float(f"{manifest.normalization.mean['VV']:.5g}")
    assert train["count"] == manifest.splits["train"].count * 120 * 120
    page = artifacts["bigearthnet-s1-build"]
    assert page.description == first["path"]
    facts = (first["content_digest"], first["recipe_digest"], "as the publisher places each sample", "**How leaky**")
    for fact in facts:
        assert fact in page.data
    answers = [line for line in page.data.splitlines() if line.startswith("- **How")]
    assert len(answers) == 4
    assert not re.search(r"\d\.\d{5}", " ".join(answers))  # figures are rounded
    assert re.findall(r"!\[(.*?)\]\(data:image/(\S+?);base64,", page.data) == [
        ("Histogram of VV in dB", "svg+xml"),
        ("Histogram of VV in power", "svg+xml"),
        ("Histogram of VH in dB", "svg+xml"),
        ("Histogram of VH in power", "svg+xml"),
        ("Samples", "jpeg"),
    ]
    report = Path(f"{first['path']}.report.html")
    assert report.as_uri() in artifacts["bigearthnet-s1-report"].data
    assert first["content_digest"] in report.read_text()


def test_a_run_has_a_name_and_its_stages_end_as_full_bars(server: str, archive: Archive, tmp_path: Path) -> None:
    from flows.build import build_bigearthnet

    build_bigearthnet(source=archive.source, out=tmp_path, split="official", format="lmdb", runner="serial")
    found = bars("bigearthnet-s1-lmdb-official")
    assert found.keys() >= {"scan", "pack"}
    assert set(found.values()) == {100.0}


def test_eurosat_is_a_flow_of_its_own(server: str, tmp_path: Path) -> None:
    from flows.build import build_eurosat_sar
    from sar_data import catalog

    catalog.synthesise("eurosat-sar")(tmp_path / "raw", count=40, seed=1)
    places: dict[str, Any] = {"source": tmp_path / "raw", "out": tmp_path / "out"}
    found = build_eurosat_sar(**places, format="lmdb", split="random", limit=30, runner="serial")
    manifest = Build.open(Path(found["path"])).manifest
    assert (manifest.dataset, manifest.format) == ("eurosat-sar", "lmdb")
    assert build_eurosat_sar.name == "build-eurosat-sar"


def test_a_crop_larger_than_the_images_is_refused_by_command_flow_and_python(
    server: str, eurosat_source: Path, tmp_path: Path
) -> None:
    from flows.build import build_eurosat_sar
    from sar_data import public

    places: dict[str, Any] = {"source": eurosat_source, "out": tmp_path / "out", "runner": "serial"}
    said = (
        "=128`: expected images of at least that size, found at most 64 pixels, so there is nothing to cut: `pad=128`"
    )
    with pytest.raises(UsageError, match=f"`crop{said} extends them"):
        public.build("eurosat-sar", crop=128, **places)
    with pytest.raises(UsageError, match=f"`crop{said} extends them"):
        build_eurosat_sar(crop=128, **places)
    words = ("build", "eurosat-sar", "--crop", "128", "--source", str(eurosat_source), "--out", str(tmp_path / "out"))
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert "--crop 128: expected images of at least that size, found at most 64 pixels" in result.stderr
    assert not list(tmp_path.glob("out/*/*/*"))


def test_a_relative_path_is_refused(server: str, archive: Archive) -> None:
    from flows.build import build_bigearthnet

    with pytest.raises(UsageError, match="`out=out`: expected an absolute path"):
        build_bigearthnet(source=archive.source, out=Path("out"))


def test_any_dataset_and_variant_is_built_by_its_name(server: str, tmp_path: Path) -> None:
    from flows.build import build_dataset

    catalog.synthesise("bigearthnet-s1-v2")(tmp_path / "raw", count=20, seed=0)
    places: dict[str, Any] = {"source": tmp_path / "raw", "out": tmp_path / "out"}
    found = build_dataset(
        dataset="bigearthnet-s1-v2", variant="segmentation", split="random", runner="serial", **places
    )
    assert Manifest.load(Path(found["path"])).variant == "segmentation"


def test_a_flow_bakes_and_says_of_what(server: str, archive: Archive, tmp_path: Path) -> None:
    from flows.build import build_bigearthnet

    places: dict[str, Any] = {"source": archive.source, "out": tmp_path, "split": "official", "runner": "serial"}
    places |= {"dtype": "int16", "resize": 60, "shard_length": 16, "drop_parent": True}
    found, other = build_bigearthnet(**places, format=["lmdb", "zarr"])
    assert found["content_digest"] == other["content_digest"]
    manifest = Build.open(Path(found["path"])).manifest
    assert [step.step for step in manifest.applied] == ["resize", "dtype"]
    assert found["parent"]["content_digest"] == archive.digest
    assert {path.parent for path in tmp_path.rglob("manifest.json")} == {Path(found["path"]), Path(other["path"])}
    page = _artifacts(found["path"])["bigearthnet-s1-build"]
    for fact in (found["content_digest"], found["recipe_digest"], *list(found["parent"].values()), "resize, dtype"):
        assert fact in page.data


def test_an_export_is_that_of_python(server: str, tmp_path: Path) -> None:
    from flows.export import export

    catalog.synthesise("ssdd")(tmp_path / "raw", count=6, seed=0)
    build = sar_data.build("ssdd", source=tmp_path / "raw", out=tmp_path, runner="serial")
    exported = export(target="coco", path=build.path, out=tmp_path / "flow")
    expected = sar_data.export("coco", build.path, tmp_path / "python")
    assert exported == {"folder": str(tmp_path / "flow"), "samples": 6, "lost": list(expected.lost)}
    assert contents(tmp_path / "flow") == contents(tmp_path / "python") != {}
