"""SSL4EO-S12 v1.0 gives four frames a place, in the order of time, with what is missing told from what is dark."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio

from pipelines.ssl4eo_s12 import PIPELINE, PLACE
from pipelines.synth import ssl4eo_s12
from sar_data import synth
from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.errors import BadRecord
from sar_data.record import Record
from sar_data.sources.tree import Folder
from sar_data.testing.pipelines import ListsIn
from tests.contract.pipelines import PipelineContract
from tests.places import SAMPLES


def records(root: Path) -> dict[str, Record]:
    tree = Folder.at(root)
    return {record.key: record for unit in PIPELINE.units(tree) for record in PIPELINE.scan(tree, unit)}


@pytest.fixture(scope="module")
def ssl4eo_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ssl4eo")
    ssl4eo_s12.synthesise(out, count=6, seed=0)
    return out


@pytest.fixture
def copy(ssl4eo_archive: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ssl4eo_archive, tmp_path / "raw"))


class TestSsl4eo(PipelineContract):
    pipeline = PIPELINE
    split = "random:train=0.6,val=0.2,test=0.2"

    @pytest.fixture
    def archive(self, ssl4eo_archive: Path) -> Path:
        return ssl4eo_archive

    def raw_bands(self, root: Path, record: Record) -> npt.NDArray[Any]:
        planes = np.full((8, 264, 264), np.nan, np.float32)
        found = super().raw_bands(root, record)
        for i in range(0, len(found), 2):
            planes[i : i + 2] = np.where(found[i : i + 2].any(axis=0), found[i : i + 2], np.nan)
        return planes


class TestRealSsl4eo(TestSsl4eo):
    split = "random:train=1,val=0,test=0"

    @pytest.fixture
    def archive(self) -> Path:
        root = SAMPLES / "ssl4eo-s12-v1.0"
        if not root.is_dir():
            pytest.skip(f"no real places in {SAMPLES}: set SAR_DATA_SAMPLES")
        return root

    def test_every_split_places_every_record(self, lists: Path, records: list[Record]) -> None:
        (record,) = records
        found = PIPELINE.splits["blocks"].assign(records, seed=0, lists=ListsIn(lists))
        assert found.split == ["train"]
        assert record.footprint is not None
        assert record.footprint[0] == pytest.approx(73.29213979)
        assert (record.key, record.attrs["seasons"]) == ("0000200", "2")
        assert record.attrs["orbit_passes"] == "descending ascending"
        assert record.attrs["relative_orbits"].startswith("107 ")
        assert (record.orbit_pass, str(record.time)) == (None, "2020-06-07 01:08:00+00:00")


def test_the_real_place_has_two_seasons_and_two_missing_frames_that_count_as_no_data() -> None:
    root = SAMPLES / "ssl4eo-s12-v1.0"
    if not root.is_dir():
        pytest.skip(f"no real places in {SAMPLES}: set SAR_DATA_SAMPLES")
    sample = PIPELINE.read(Folder.at(root), records(root)["0000200"])
    assert sample.nodata == (2 * 264 * 264,) * 2
    assert np.isnan(sample.image).all(axis=(1, 2, 3)).tolist() == [False, False, True, True]
    assert not np.isnan(sample.image[:2]).any()
    assert -36 < sample.image[:2].min() < sample.image[:2].max() < 5


def test_a_location_lies_where_rasterio_says(ssl4eo_archive: Path) -> None:
    for record in records(ssl4eo_archive).values():
        with rasterio.open(ssl4eo_archive / record.files[0].path) as image:
            assert record.footprint == pytest.approx(tuple(image.bounds))
            assert record.footprint_frame == image.crs.to_string()


def test_the_97_void_numbers_are_gaps_and_nothing_counts_from_0(ssl4eo_archive: Path) -> None:
    assert sorted(records(ssl4eo_archive)) == ["0000001", "0000002", "0000003", "0000006", "0000007", "0000008"]
    path = SAMPLES / "ssl4eo-s12-v1.0" / "void_ids.csv"
    if not path.is_file():
        pytest.skip(f"no real list in {SAMPLES}: set SAR_DATA_SAMPLES")
    void = path.read_text().split()
    assert len(set(void)) == 97
    assert all(PLACE.fullmatch(f"{int(number):07}") for number in void)


def test_seasons_are_in_the_order_of_their_start(ssl4eo_archive: Path) -> None:
    for record in records(ssl4eo_archive).values():
        starts = [product.split("_")[4] for product in record.attrs["products"].split()]
        assert starts == sorted(starts)
        assert [file.path.split("/")[2] for file in record.files[: -len(starts) : 2]] == record.attrs[
            "products"
        ].split()


def test_zero_in_both_bands_is_no_data_and_zero_in_one_is_a_value(ssl4eo_archive: Path) -> None:
    tree = Folder.at(ssl4eo_archive)
    sample = PIPELINE.read(tree, records(ssl4eo_archive)["0000002"])
    wedge = np.add.outer(np.arange(264), np.arange(264)) < 60
    assert sample.nodata == (wedge.sum(),) * 2
    assert np.array_equal(np.isnan(sample.image[2]), np.stack([wedge, wedge]))
    assert sample.image[0, 0, 100, 100] == 0
    assert not np.isnan(sample.image[0]).any()


def test_a_missing_season_is_a_last_frame_of_nan_and_the_build_counts_it(ssl4eo_archive: Path, tmp_path: Path) -> None:
    tree = Folder.at(ssl4eo_archive)
    sample = PIPELINE.read(tree, records(ssl4eo_archive)["0000006"])
    assert np.isnan(sample.image[3]).all()
    assert sample.nodata == (264 * 264,) * 2
    made = build(
        BuildRequest(dataset=PIPELINE, source=ssl4eo_archive, out=tmp_path, split="random:train=1,val=0,test=0")
    )
    wedges = 2 * int((np.add.outer(np.arange(264), np.arange(264)) < 60).sum())
    assert made.manifest.statistics is not None
    assert made.manifest.statistics["train"].bands["VV"].masked["nodata"] == 264 * 264 + wedges


def first_season(root: Path) -> Path:
    return sorted((root / "s1" / "0000001").iterdir())[0]


def notes(**changes: Any) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        path = first_season(root) / "metadata.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return damage


def elsewhere(root: Path) -> None:
    place = (1e-4, 0.0, 10.0, 0.0, -1e-4, 50.0)
    data = synth.geotiff(np.full((1, 264, 264), -9, np.float32), epsg=4326, transform=place, rows_per_strip=7)
    (first_season(root) / "VV.tif").write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (
            lambda root: shutil.copytree(first_season(root), root / "s1/0000001" / f"S1B{first_season(root).name[3:]}"),
            "expected 1 to 4 folders",
        ),
        (lambda root: (root / "s1/0000001/summer").mkdir(), "expected 1 to 4 folders"),
        (lambda root: shutil.rmtree(root / "s1/0000001") or (root / "s1/0000001").mkdir(), "found none"),
        (lambda root: (first_season(root) / "VH.tif").unlink(), "VH.tif: expected a file, found none"),
        (lambda root: (first_season(root) / "metadata.json").unlink(), "metadata.json: expected a file"),
        (lambda root: (first_season(root) / "metadata.json").write_text("<html>"), "expected JSON"),
        (notes(orbitProperties_pass="SIDEWAYS"), "ASCENDING or DESCENDING, found 'sideways'"),
        (notes(orbitProperties_pass=None), "key 'orbitProperties_pass' of type str"),
        (elsewhere, "expected seasons of one place"),
        (lambda root: (first_season(root) / "VV.tif").write_bytes(b""), "expected seasons of one place"),
    ],
)
def test_a_place_that_is_not_as_published_is_named_at_scan(
    copy: Path, damage: Callable[[Path], Any], reason: str
) -> None:
    damage(copy)
    with pytest.raises(BadRecord, match=reason):
        records(copy)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: os.truncate(path, 279_000), "truncated: expected 279,"),
        (lambda path: path.write_text("<!DOCTYPE html>"), "DOCTYPE"),
        (
            lambda path: path.write_bytes(
                synth.geotiff(np.zeros((1, 64, 64), np.float32), epsg=4326, transform=None, rows_per_strip=7)
            ),
            "64x64",
        ),
        (
            lambda path: path.write_bytes(
                synth.geotiff(np.zeros((1, 264, 264), np.uint8), epsg=4326, transform=None, rows_per_strip=7)
            ),
            "found uint8",
        ),
    ],
)
def test_a_damaged_geotiff_is_named_at_read(copy: Path, damage: Callable[[Path], Any], reason: str) -> None:
    damage(first_season(copy) / "VH.tif")
    with pytest.raises(BadRecord, match=reason) as caught:
        PIPELINE.read(Folder.at(copy), records(copy)["0000001"])
    assert caught.value.path.endswith("VH.tif")
