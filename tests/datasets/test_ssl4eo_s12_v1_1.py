"""SSL4EO-S12 v1.1 is read from its zips in parts, as zarr reads it, and nothing in them is executed."""

from __future__ import annotations

import json
import shutil
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
import zarr

from pipelines.ssl4eo_s12_v1_1 import PIPELINE, PLACE, SHARD
from pipelines.synth import ssl4eo_s12_v1_1
from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.errors import BadRecord
from sar_data.raster.zarrzip import ZarrZip
from sar_data.record import Record
from sar_data.sources.tree import Folder
from sar_data.spec import Tree
from sar_data.testing.pipelines import Listening
from tests.contract.pipelines import PipelineContract
from tests.places import SAMPLES


def records(root: Path) -> dict[str, Record]:
    tree = Folder.at(root)
    return {record.key: record for unit in PIPELINE.units(tree) for record in PIPELINE.scan(tree, unit)}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("v11")
    ssl4eo_s12_v1_1.synthesise(out, count=10, seed=0)
    return out


def by_zarr(path: Path, position: int) -> npt.NDArray[Any]:
    """Return one place's bands as the zarr library reads them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zarr.storage.ZipStore(path, mode="r") as store:
            group = zarr.open_group(store, mode="r", zarr_format=2)
            return np.asarray(group["bands"][position])


class TestShards(PipelineContract):
    pipeline = PIPELINE

    @pytest.fixture
    def archive(self, shards: Path) -> Path:
        return shards

    def test_scan_reads_no_pixels(self, tree: Folder) -> None:
        listening = Listening(tree)
        self.scan(listening)
        assert not listening.read_whole
        assert (
            sum(stop - start for _, start, stop in listening.parts)
            < 64 * 1024
            < sum(tree.size(unit) for unit in PIPELINE.units(tree)) / 50
        )

    def raw_bands(self, root: Path, record: Record) -> npt.NDArray[Any]:
        found = by_zarr(root / record.files[0].path, int(record.attrs["position"]))
        return np.where((found == 0).all(axis=1, keepdims=True), np.nan, found).reshape(-1, 264, 264)


def test_both_codecs_are_read_and_the_split_is_that_of_the_shard(shards: Path) -> None:
    found = records(shards)
    assert Counter(record.official for record in found.values()) == {"train": 6, "val": 4}
    assert {record.files[0].path.split("/")[0] for record in found.values()} == {"train", "val"}
    assert all(PLACE.fullmatch(key) for key in found)


def test_float16_stays_and_a_build_holds_it(shards: Path, tmp_path: Path) -> None:
    made = build(BuildRequest(dataset=PIPELINE, source=shards, out=tmp_path, format="zarr"))
    assert made.manifest.storage.dtype == "float16"
    assert made.manifest.splits["test"].count == 0


def test_shards_of_sentinel_2_are_left_alone(shards: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(shards, tmp_path / "raw"))
    shutil.copytree(root / "val" / "S1GRD", root / "val" / "S2L2A")
    assert len(records(root)) == 10


def test_a_zip_of_a_strange_name_is_a_bad_record(tmp_path: Path) -> None:
    path = one(tmp_path)
    path.rename(path.with_name("ssl4eos12_test_seasonal_data_000001.zarr.zip"))
    with pytest.raises(BadRecord, match="expected a name that matches ssl4eos12"):
        records(tmp_path)


def one(root: Path, **changes: Any) -> Path:
    """Write one shard of two tiny places."""
    bands = np.full((2, 4, 2, 264, 264), -9, np.float16)
    bands[:, :, 1] = -17
    path = root / "train" / "S1GRD" / "ssl4eos12_train_seasonal_data_000001.zarr.zip"
    path.parent.mkdir(parents=True)
    made: dict[str, Any] = {"bands": bands, "names": ["0000001", "0000002"], **changes}
    ssl4eo_s12_v1_1.write(path, **made)
    return path


def test_bands_are_taken_by_their_names_in_whatever_order(tmp_path: Path) -> None:
    one(tmp_path, order="vh vv")
    image = PIPELINE.read(Folder.at(tmp_path), records(tmp_path)["0000001"]).image
    assert (image[0, 0, 0, 0], image[0, 1, 0, 0]) == (-17, -9)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"order": "vv hh"}, "expected the bands vv and vh, found VV, HH"),
        ({"bands": np.zeros((2, 3, 2, 264, 264), np.float16)}, "expected bands of"),
        ({"bands": np.zeros((2, 4, 2, 64, 64), np.float16)}, "expected bands of"),
        ({"names": ["0000001"]}, "expected bands of"),
        ({"names": ["0000001", "Rome"]}, "names of seven digits, found 'Rome'"),
    ],
)
def test_a_shard_of_another_form_is_a_bad_record_at_scan(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    one(tmp_path, **changes)
    with pytest.raises(BadRecord, match=reason):
        records(tmp_path)


def rewrite(path: Path, change: Callable[[str, bytes], bytes | None]) -> None:
    """Write a shard anew, its members changed, or left out where that is None."""
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w") as new:
        for name, data in members.items():
            if (changed := change(name, data)) is not None:
                new.writestr(name, changed)


def zarray(array: str, **facts: Any) -> Callable[[str, bytes], bytes | None]:
    return lambda name, data: json.dumps({**json.loads(data), **facts}).encode() if name == f"{array}/.zarray" else data


@pytest.mark.parametrize(
    "change",
    [
        zarray("sample", compressor={"id": "pickle", "protocol": 4}),
        zarray("sample", filters=[{"id": "pickle"}]),
        zarray("sample", dtype="|O"),
        zarray("sample", zarr_format=3),
        zarray("sample", chunks=[0]),
        zarray("sample", shape=[-1]),
        zarray("sample", order="F"),
        zarray("sample", dtype="float999"),
        zarray("sample", shape=[1 << 40]),
        zarray("sample", chunks=[1 << 40]),
        lambda name, data: b"null" if name == "sample/.zarray" else data,
        lambda name, data: b"[" * 60_000 if name == "sample/.zarray" else data,
        lambda name, data: None if name == "sample/.zarray" else data,
        lambda name, data: None if name == "sample/0" else data,
        lambda name, data: b"" if name == "sample/0" else data,
        lambda name, data: data[:4] + b"\xff\xff\xff\x7f" + data[8:] if name == "sample/0" else data,
        lambda name, data: data[:20] if name == "sample/0" else data,
    ],
)
def test_a_zip_that_claims_too_much_or_asks_for_pickle_is_a_bad_record(
    tmp_path: Path, change: Callable[[str, bytes], bytes | None]
) -> None:
    path = one(tmp_path)
    rewrite(path, change)
    with pytest.raises(BadRecord) as caught:
        records(tmp_path)
    assert caught.value.path.endswith(path.name)


@pytest.mark.parametrize("data", [b"", b"<!DOCTYPE html>", b"PK\5\6" + bytes(18)])
def test_what_is_no_zip_is_a_bad_record(tmp_path: Path, data: bytes) -> None:
    one(tmp_path).write_bytes(data)
    with pytest.raises(BadRecord):
        records(tmp_path)


def test_a_flipped_byte_of_a_chunk_is_found_by_the_zip_and_an_absent_chunk_is_its_fill(tmp_path: Path) -> None:
    path, tree = one(tmp_path), Folder.at(tmp_path)
    with zipfile.ZipFile(path) as file:
        at = file.getinfo("bands/1.2.0.0.0").header_offset + 30 + len("bands/1.2.0.0.0") + 40
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)
    found = records(tmp_path)
    PIPELINE.read(tree, found["0000001"])
    with pytest.raises(BadRecord, match=r"expected a whole member bands/1.2.0.0.0, found one that fails .*Bad CRC-32"):
        PIPELINE.read(tree, found["0000002"])
    raw[at] ^= 1
    path.write_bytes(raw)
    rewrite(path, lambda name, data: None if name == "bands/1.2.0.0.0" else data)
    image = PIPELINE.read(tree, records(tmp_path)["0000002"]).image
    assert np.isnan(image).all(axis=(1, 2, 3)).tolist() == [False, False, True, False]


def test_an_element_is_read_alone(shards: Path) -> None:
    tree: Tree = Folder.at(shards)
    path = "val/S1GRD/ssl4eos12_val_seasonal_data_000001.zarr.zip"
    array = ZarrZip(tree, path)
    for i in range(array.shape("bands")[0]):
        assert array.read("bands", i).tobytes() == by_zarr(shards / path, i).tobytes()
    with pytest.raises(BadRecord, match="expected an element below 4, found 4"):
        array.read("bands", 4)


def test_the_real_lists_have_3812_and_34_shards_and_2176_places_of_val() -> None:
    folder = SAMPLES / "ssl4eo-s12-v1.1"
    if not folder.is_dir():
        pytest.skip(f"no real lists in {SAMPLES}: set SAR_DATA_SAMPLES")
    for split, count in (("train", 3812), ("val", 34)):
        names = (folder / f"ssl4eos12_{split}.txt").read_text().split()
        assert len(set(names)) == count
        assert all((named := SHARD.fullmatch(name)) and named[1] == split for name in names)
    table = pq.read_table(folder / "val_metadata.parquet", columns=["sample_id", "time_id", "file"])
    places = Counter(table["sample_id"].to_pylist())
    assert (len(places), set(places.values()), set(table["time_id"].to_pylist())) == (2176, {4}, {0, 1, 2, 3})
    assert all(map(PLACE.fullmatch, places))
    assert 64 * (3812 + 34) == PIPELINE.spec.samples == 246_144


def test_a_place_lies_around_its_centre_in_its_zone_and_nowhere_where_a_shard_does_not_tell(
    shards: Path, tmp_path: Path
) -> None:
    found = records(shards)
    for record in found.values():
        west, south, east, north = record.footprint or (0, 0, 0, 0)
        assert (record.crs, east - west, north - south) == ("EPSG:32633", 2640.0, 2640.0)
    first = found["0080000"].footprint or (0, 0, 0, 0)  # its centre is 15 E, 40 N, on the zone's meridian
    assert (first[0] + first[2]) / 2 == pytest.approx(500_000)
    assert (first[1] + first[3]) / 2 == pytest.approx(4_427_757.22, abs=0.01)
    path = one(tmp_path / "untold")
    rewrite(path, lambda name, data: None if name.startswith("center_lat/") else data)
    assert {(record.crs, record.footprint) for record in records(tmp_path / "untold").values()} == {(None, None)}
    path = one(tmp_path / "broken")
    rewrite(path, lambda name, data: data.replace(b"<i8", b"<f8") if name == "crs/.zarray" else data)
    with pytest.raises(BadRecord, match="expected a zone of UTM and degrees, found EPSG:"):
        records(tmp_path / "broken")
