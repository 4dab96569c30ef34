"""BigEarthNet-S1 is read in its published layout, and the file of every record that deviates is named."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from pipelines.bigearthnet_s1 import PIPELINE as BIGEARTHNET
from pipelines.synth import bigearthnet_s1
from sar_data import synth
from sar_data.errors import BadRecord
from sar_data.record import Record
from sar_data.sources.tree import Folder
from sar_data.split.policy import SPLITS
from sar_data.testing.pipelines import ListsIn
from tests.contract.pipelines import PipelineContract
from tests.places import SAMPLES

UTM = (10.0, 0.0, 404400.0, 0.0, -10.0, 5342400.0)


def scan(root: Path) -> list[Record]:
    tree = Folder.at(root)
    return [record for unit in sorted(BIGEARTHNET.units(tree)) for record in BIGEARTHNET.scan(tree, unit)]


@pytest.fixture(scope="module")
def bigearthnet_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bigearthnet")
    bigearthnet_s1.synthesise(out, count=120, seed=0)
    return out


class TestBigEarthNet(PipelineContract):
    pipeline = BIGEARTHNET

    @pytest.fixture
    def archive(self, bigearthnet_archive: Path) -> Path:
        return bigearthnet_archive


class TestRealBigEarthNet(PipelineContract):
    pipeline = BIGEARTHNET

    @pytest.fixture
    def archive(self) -> Path:
        root = SAMPLES / "bigearthnet-s1-v1.0"
        if not root.is_dir():
            pytest.skip(f"no real BigEarthNet patches in {SAMPLES}: set SAR_DATA_SAMPLES")
        return root

    @pytest.fixture
    def lists(self) -> Path:
        return SAMPLES / "bigearthnet-v1.0-lists"

    def test_every_split_places_every_record(self, lists: Path, records: list[Record]) -> None:
        listed = {split: set((lists / f"{split}.csv").read_text().split()) for split in SPLITS}
        made = BIGEARTHNET.splits["official"].assign(records, seed=0, lists=ListsIn(lists))
        assert not made.bad
        for record, found in zip(records, made.split, strict=True):
            expected = [split for split in SPLITS if record.attrs["s2_name"] in listed[split]]
            assert [found] == (expected or ["unused"])

    def test_a_known_patch_has_its_known_facts(self, records: list[Record]) -> None:
        by_key = {record.key: record for record in records}
        found = by_key["S1A_IW_GRDH_1SDV_20170613T165043_33UUP_87_48"]
        assert found.labels == {"clc19": (2, 6), "clc43": (11, 20)}
        assert (found.orbit_pass, found.relative_orbit) == ("ascending", 146)
        assert found.crs == "EPSG:32633"
        assert found.transform == UTM
        assert found.footprint == (404400, 5341200, 405600, 5342400)
        assert str(found.time) == "2017-06-13 16:50:43+00:00"
        assert found.group == "S1A_IW_GRDH_1SDV_20170613T165043"
        assert found.attrs["s2_name"] == "S2A_MSIL2A_20170613T101031_87_48"
        assert [found.attrs[name] for name in ("tile", "column", "row")] == ["33UUP", "87", "48"]


@pytest.fixture
def patch(tmp_path: Path) -> Path:
    """One patch in its own archive."""
    bigearthnet_s1.synthesise(tmp_path, count=1, seed=0)
    (folder,) = (tmp_path / "BigEarthNet-S1-v1.0").iterdir()
    return folder


def facts(patch: Path, change: Callable[[dict[str, Any]], object]) -> None:
    (path,) = patch.glob("*.json")
    known = json.loads(path.read_text())
    change(known)
    path.write_text(json.dumps(known))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda known: known.update(labels=["Pasture"]), "found 'Pasture'; perhaps 'Pastures'"),
        (lambda known: known.update(labels=[7]), "found '7'"),
        (lambda known: known.update(labels=[]), "at least one label, found none"),
        (lambda known: known.update(labels="Pastures"), "key 'labels' of type list, found 'Pastures'"),
        (lambda known: known.pop("labels"), "key 'labels' of type list, found none"),
        (lambda known: known.pop("projection"), "key 'projection'"),
        (lambda known: known.pop("acquisition_time"), "key 'acquisition_time'"),
        (lambda known: known.update(acquisition_time="yesterday"), "yesterday"),
        (lambda known: known.update(scene_source="S2A_MSIL2A"), "a product of Sentinel-1 A to D, found 'S2A_MSIL2A'"),
        (lambda known: known.update(projection='LOCAL_CS["?"]'), "UTM zone, found"),
        (lambda known: known["coordinates"].pop("lly"), "1200 m apart"),
        (lambda known: known["coordinates"].update(ulx=None), "NoneType"),
        (lambda known: known["coordinates"].update(ulx=0), "1200 m apart"),
    ],
)
def test_a_json_that_is_not_as_published_is_a_bad_record(
    patch: Path, change: Callable[[dict[str, Any]], object], reason: str
) -> None:
    facts(patch, change)
    with pytest.raises(BadRecord, match=reason) as caught:
        scan(patch.parents[1])
    assert caught.value.path == f"BigEarthNet-S1-v1.0/{patch.name}/{patch.name}_labels_metadata.json"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\xff", "[" * 100_000, "<html>"])
def test_a_broken_json_is_a_bad_record(patch: Path, text: str) -> None:
    (patch / f"{patch.name}_labels_metadata.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(BadRecord, match=r"_labels_metadata.json: expected (a )?JSON"):
        scan(patch.parents[1])


@pytest.mark.parametrize("end", ["VV.tif", "VH.tif", "labels_metadata.json"])
def test_a_missing_file_is_a_bad_record_at_scan(patch: Path, end: str) -> None:
    (patch / f"{patch.name}_{end}").unlink()
    with pytest.raises(BadRecord, match=f"{end}: expected a file, found none"):
        scan(patch.parents[1])


def test_both_spellings_of_transitional_woodland_are_one_class(patch: Path) -> None:
    for name in ("Transitional woodland/shrub", "Transitional woodland, shrub"):
        facts(patch, lambda known, name=name: known.update(labels=[name]))  # type: ignore[misc]
        assert scan(patch.parents[1])[0].labels == {"clc19": (13,), "clc43": (28,)}


def test_a_patch_whose_labels_all_drop_out_is_unused_with_the_reason(patch: Path) -> None:
    facts(patch, lambda known: known.update(labels=["Airports", "Bare rock"]))
    (found,) = scan(patch.parents[1])
    assert found.labels == {"clc19": (), "clc43": (5, 30)}
    assert found.unused == "no label in the 19-class nomenclature"


def test_a_patch_without_a_partners_name_has_none(patch: Path) -> None:
    facts(patch, lambda known: known.pop("corresponding_s2_patch"))
    assert "s2_name" not in scan(patch.parents[1])[0].attrs


def test_patches_are_found_at_the_root_and_down_to_two_levels(patch: Path, tmp_path: Path) -> None:
    for top in (".", "BigEarthNet-S1-Example", "a/b"):
        target = tmp_path / "other" / top.replace("/", "_") / top
        shutil.copytree(patch, target / patch.name)
        assert len(scan(tmp_path / "other" / top.replace("/", "_"))) == 1
    deep = tmp_path / "deep" / "a" / "b" / "c"
    shutil.copytree(patch, deep / patch.name)
    assert scan(tmp_path / "deep") == []


def write_vh(patch: Path, image: Any, **other: Any) -> None:
    options = {"epsg": 32633, "transform": UTM, "rows_per_strip": 17, **other}
    (patch / f"{patch.name}_VH.tif").write_bytes(synth.geotiff(image, **options))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda patch: write_vh(patch, np.zeros((1, 120, 120), np.float32)), "expected the georeference of"),
        (lambda patch: write_vh(patch, np.zeros((1, 60, 120), np.float32)), "1 band of 60x120"),
        (lambda patch: write_vh(patch, np.zeros((1, 120, 120), np.int16)), "found int16"),
        (lambda patch: write_vh(patch, np.zeros((2, 120, 120), np.float32)), "2 bands of 120x120"),
        (lambda patch: (patch / f"{patch.name}_VH.tif").write_bytes(b""), "an empty file"),
        (lambda patch: os.truncate(patch / f"{patch.name}_VH.tif", 58_000), "expected 58,024 bytes, found 58,000"),
        (lambda patch: (patch / f"{patch.name}_VH.tif").write_text("<!DOCTYPE html>"), "DOCTYPE"),
    ],
)
def test_a_damaged_geotiff_is_a_bad_record_at_read(patch: Path, damage: Callable[[Path], object], reason: str) -> None:
    damage(patch)
    (record,) = scan(patch.parents[1])
    with pytest.raises(BadRecord, match=reason) as caught:
        BIGEARTHNET.read(Folder.at(patch.parents[1]), record)
    assert caught.value.path.endswith("_VH.tif")


def test_a_patch_written_anew_with_compression_is_as_good(patch: Path) -> None:
    tree = Folder.at(patch.parents[1])
    (record,) = scan(patch.parents[1])
    before = BIGEARTHNET.read(tree, record)
    path = patch / f"{patch.name}_VH.tif"
    with rasterio.open(path) as source:
        profile, pixels = source.profile, source.read()
    path.unlink()
    with rasterio.open(path, "w", **{**profile, "compress": "deflate"}) as target:
        target.write(pixels)
    after = BIGEARTHNET.read(tree, record)
    assert after.image.tobytes() == before.image.tobytes()
    assert (before.fallbacks, after.fallbacks) == (0, 1)
