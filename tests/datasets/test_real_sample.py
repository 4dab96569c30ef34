"""Real patches come out of every container as rasterio reads them, with none of our code on the reading side.

The folder below SAR_DATA_SAMPLES holds a few patches as published; without it these tests are skipped.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio

from sar_data.errors import SourceError, SplitError
from sar_data.sealed.opened import Build
from sar_data.spec import Pipeline
from sar_data.split.policy import SPLITS
from tests.mini.builds import CONTAINERS, make
from tests.mini.readers import Image, read_build, read_webdataset, read_xarray
from tests.places import SAMPLES

SEED = 0


@pytest.fixture(scope="module")
def real() -> Path:
    source = SAMPLES / "bigearthnet-s1-v1.0"
    if not source.is_dir():
        pytest.skip("no real BigEarthNet patches: name the folder that holds bigearthnet-s1-v1.0 by SAR_DATA_SAMPLES")
    return source


@pytest.fixture(scope="module")
def expected(real: Path) -> dict[str, Image]:
    """Return what rasterio reads, by patch: VV, then VH."""
    images = {}
    for vv in sorted(real.rglob("*_VV.tif")):
        bands = []
        for path in (vv, vv.with_name(vv.name.replace("_VV.", "_VH."))):
            with rasterio.open(path, driver="GTiff") as source:
                bands.append(source.read(1))
        images[vv.parent.name] = np.stack(bands)
    assert images
    return images


@pytest.fixture(scope="module")
def built(real: Path, bigearthnet: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Build]:
    out = tmp_path_factory.mktemp("real")
    return {name: make(bigearthnet, real, out, container=name, seed=SEED, shard_length=2) for name in CONTAINERS}


@pytest.mark.parametrize("container", CONTAINERS)
def test_pixels_are_identical_to_rasterios(built: dict[str, Build], expected: dict[str, Image], container: str) -> None:
    found = {key: image for images in read_build(built[container].path).values() for key, image in images.items()}
    assert found.keys() == expected.keys()
    for key, image in expected.items():
        assert image.dtype == np.float32
        assert found[key].tobytes() == image.tobytes()


@pytest.mark.parametrize("container", ["zarr", "zarr+zstd"])
def test_xarray_finds_them_too(built: dict[str, Build], expected: dict[str, Image], container: str) -> None:
    found = {key: image for s in SPLITS for key, image in read_xarray(built[container].path / s).items()}
    assert {key: image.tobytes() for key, image in found.items()} == {
        key: image.tobytes() for key, image in expected.items()
    }


def test_the_webdataset_library_finds_them_too(built: dict[str, Build], expected: dict[str, Image]) -> None:
    found = {key: image for s in SPLITS for key, image in read_webdataset(built["webdataset"].path / s).items()}
    assert {key: image.tobytes() for key, image in found.items()} == {
        key: image.tobytes() for key, image in expected.items()
    }


@pytest.mark.parametrize("container", CONTAINERS)
def test_coreutils_verify_the_sums(built: dict[str, Build], container: str) -> None:
    subprocess.run(["sha256sum", "--quiet", "--strict", "-c", "SHA256SUMS"], cwd=built[container].path, check=True)


@pytest.mark.parametrize("container", CONTAINERS)
def test_labels_in_the_index_are_those_of_the_json_files(built: dict[str, Build], real: Path, container: str) -> None:
    rows = pq.read_table(built[container].path / "index.parquet").to_pylist()
    known = {path.parent.name: json.loads(path.read_text()) for path in real.rglob("*_labels_metadata.json")}
    manifest = json.loads((built[container].path / "manifest.json").read_text())
    names = next(task["classes"] for task in manifest["tasks"] if task["name"] == "clc43")
    assert {row["key"] for row in rows} == known.keys()
    for row in rows:
        targets = {item["task"]: item["labels"] for item in row["targets"]}
        attrs = {item["name"]: item["value"] for item in row["attrs"]}
        assert sorted(names[i] for i in targets["clc43"]) == sorted(known[row["key"]]["labels"])
        assert attrs["s2_name"] == known[row["key"]]["corresponding_s2_patch"]


def test_figures_are_numpys(built: dict[str, Build]) -> None:
    manifest = json.loads((built["lmdb"].path / "manifest.json").read_text())
    train = np.stack(list(read_build(built["lmdb"].path)["train"].values())).astype(np.float64)
    for i, band in enumerate(("VV", "VH")):
        assert manifest["normalization"]["mean"][band] == pytest.approx(train[:, i].mean(), rel=1e-9)
        assert manifest["normalization"]["std"][band] == pytest.approx(train[:, i].std(), rel=1e-9)
        power = manifest["statistics"]["train"]["bands"][band]["power"]
        assert power["mean"] == pytest.approx((10 ** (train[:, i] / 10)).mean(), rel=1e-9)


def test_no_file_needed_rasterio(built: dict[str, Build]) -> None:
    assert {build.manifest.fallback_reads for build in built.values()} == {0}


def test_the_official_lists_decide_or_say_why_they_cannot(real: Path, bigearthnet: Pipeline, tmp_path: Path) -> None:
    lists = SAMPLES / "bigearthnet-v1.0-lists"
    if not lists.is_dir():
        pytest.skip("no official BigEarthNet lists beside the samples")
    listed = {split: set((lists / f"{split}.csv").read_text().split()) for split in SPLITS}
    partners = {
        path.parent.name: json.loads(path.read_text())["corresponding_s2_patch"]
        for path in real.rglob("*_labels_metadata.json")
    }
    wanted = {key: next((s for s in SPLITS if name in listed[s]), "unused") for key, name in partners.items()}
    if "train" not in wanted.values():
        with pytest.raises(SplitError, match="expected some train records, found none"):
            make(bigearthnet, real, tmp_path, split="official", lists=lists)
        return
    build = make(bigearthnet, real, tmp_path, split="official", lists=lists)
    assert {row["key"]: row["split"] for row in build.index().to_pylist()} == wanted
    assert build.manifest.split_policy.notes["lists"]["train.csv"]["rows"] == len(listed["train"])


def test_without_lists_the_official_split_stops_with_the_remedy(
    real: Path, bigearthnet: Pipeline, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match=r"found no train\.csv.*`lists=…`, or use `split=random`"):
        make(bigearthnet, real, tmp_path / "out", split="official")
    assert not (tmp_path / "out").exists()
