"""Each container keeps its law, and is what other software takes it for."""

from __future__ import annotations

import json
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import xarray
import zarr

from sar_data import formats
from sar_data.errors import BuildError, UsageError
from sar_data.formats.container import Entry
from sar_data.testing.formats import FormatContract
from sar_data.testing.slots import entries, layout, record, store
from tests.mini import readers


class TestLmdb(FormatContract):
    name = "lmdb"
    read_all = staticmethod(readers.lmdb_pairs)

    @staticmethod
    def read(split: Path) -> dict[str, Any]:
        items = readers.lmdb_items(split)
        bands = ("VV", "VH")
        return {k.decode(): np.stack([safetensors.numpy.load(v)[b] for b in bands]) for k, v in items}

    def comparable(self, split: Path) -> object:
        return readers.lmdb_items(split)  # pages may differ, the sequence of entries may not

    @pytest.mark.parametrize("dtype", ["float32", "float16", "int16"])
    def test_a_value_is_byte_equal_to_what_safetensors_writes(self, tmp_path: Path, dtype: str) -> None:
        plan = layout(dtype, (120, 120))
        slots = entries(plan, 5)
        store(self.container, tmp_path, plan, "train", slots, 3)
        values = dict(readers.lmdb_items(tmp_path / "build/train"))
        for slot in slots:
            assert slot.image is not None
            vv, vh = slot.image
            assert values[slot.record.key.encode()] == safetensors.numpy.save({"VH": vh, "VV": vv})

    def test_keys_are_in_the_order_of_their_bytes(self, tmp_path: Path) -> None:
        plan = layout()
        store(self.container, tmp_path, plan, "train", entries(plan, 9)[::-1], 2)
        keys = [key for key, _ in readers.lmdb_items(tmp_path / "build/train")]
        assert keys == sorted(keys)
        assert len(keys) == 9

    def test_reading_leaves_no_lock_file(self, tmp_path: Path) -> None:
        plan = layout()
        places = store(self.container, tmp_path, plan, "train", entries(plan, 1), 1)
        reader = self.container.open(tmp_path / "build", plan, {"train": 1})
        reader.read(places["key_000"])
        reader.close()
        assert [path.name for path in (tmp_path / "build/train").iterdir()] == ["data.mdb"]

    def test_a_commit_that_is_repeated_changes_no_entry(self, tmp_path: Path) -> None:
        from sar_data.formats.container import Shard

        plan = layout()
        store(self.container, tmp_path, plan, "train", entries(plan, 3), 3)
        before = readers.lmdb_items(tmp_path / "build/train")
        keys = [slot.record.key for slot in entries(plan, 3)]
        self.container.commit(tmp_path / "build", plan, Shard("train", 0, 3, 3, 0), keys, tmp_path / "spool")
        assert readers.lmdb_items(tmp_path / "build/train") == before

    def test_a_key_longer_than_lmdb_holds_is_refused(self, tmp_path: Path) -> None:
        assert self.container.refuse("ö" * 255) is None
        assert self.container.refuse("ö" * 256) == "expected a key of at most 511 bytes, found 512"
        plan = layout()
        store(self.container, tmp_path, plan, "train", [Entry(record("k" * 511), entries(plan, 1)[0].image)], 1)
        assert [key for key, _ in readers.lmdb_items(tmp_path / "build/train")] == [b"k" * 511]


class TestWebDataset(FormatContract):
    name = "webdataset"
    read = staticmethod(readers.read_tar)
    read_all = staticmethod(readers.tar_pairs)

    def shard_file(self, number: int) -> str:
        return f"{number:06d}.tar"

    def test_the_webdataset_library_finds_the_same_samples_in_order(self, tmp_path: Path) -> None:
        plan = layout()
        slots = entries(plan, 7, lost=[4])
        store(self.container, tmp_path, plan, "train", slots, 3)
        samples = readers.webdataset_samples(tmp_path / "build/train")
        kept = [slot for slot in slots if slot.image is not None]
        assert [sample["__key__"] for sample in samples] == [slot.record.key for slot in kept]
        for sample, slot in zip(samples, kept, strict=True):
            assert sample.keys() == {"__key__", "image.npy", "json"}
            assert slot.image is not None
            assert sample["image.npy"].tobytes() == slot.image.tobytes()

    def test_the_card_carries_what_must_travel_with_a_tar(self, tmp_path: Path) -> None:
        plan = layout()
        store(self.container, tmp_path, plan, "train", entries(plan, 1), 1)
        (_, (_, data)) = readers.tar_members(tmp_path / "build/train/000000.tar")
        assert json.loads(data) == {
            "key": "key_000",
            "bands": ["VV", "VH"],
            "units": ["dB", "dB"],
            "labels": ["water", "Ödland"],
            "label_indices": [0, 2],
            "targets": {"cover": [0, 2]},
            "group": "scene",
            "time": "2017-06-13T16:50:43+00:00",
            "orbit_pass": "ascending",
            "relative_orbit": 146,
            "crs": "EPSG:32633",
            "transform": [10.0, 0.0, 404400.0, 0.0, -10.0, 5342400.0],
            "attrs": {"country": "Österreich"},
        }

    def test_members_are_plain_files_of_nobody_and_of_no_time(self, tmp_path: Path) -> None:
        plan = layout()
        store(self.container, tmp_path, plan, "train", entries(plan, 5), 3)
        for path in readers.tars(tmp_path / "build/train"):
            with tarfile.open(path) as archive:
                for member in archive:
                    assert member.isreg()
                    assert member.type == tarfile.REGTYPE
                    assert (member.mtime, member.uid, member.gid, member.mode) == (0, 0, 0, 0o644)
                    assert (member.uname, member.gname, member.linkname) == ("", "", "")
                    assert member.pax_headers == {}

    def test_payloads_are_aligned_so_that_a_shard_can_be_mapped(self, tmp_path: Path) -> None:
        plan = layout()
        places = store(self.container, tmp_path, plan, "train", entries(plan, 5), 3)
        assert all(place.offset is not None and place.offset % 64 == 0 for place in places.values())

    def test_gnu_tar_lists_and_extracts_it(self, tmp_path: Path) -> None:
        plan = layout()
        slots = entries(plan, 3)
        store(self.container, tmp_path, plan, "train", slots, 3)
        path = tmp_path / "build/train/000000.tar"
        env = {"PATH": "/usr/bin:/bin", "TZ": "UTC", "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            ["tar", "--numeric-owner", "-tvf", str(path)], capture_output=True, text=True, check=True, env=env
        )
        assert done.stderr == ""
        lines = [line.split() for line in done.stdout.splitlines()]
        assert [line[-1] for line in lines] == [f"key_{i:03d}.{end}" for i in range(3) for end in ("image.npy", "json")]
        assert {(line[0], line[1], line[3]) for line in lines} == {("-rw-r--r--", "0/0", "1970-01-01")}
        subprocess.run(["tar", "-C", str(tmp_path), "-xf", str(path)], check=True, env=env)
        assert slots[1].image is not None
        assert np.load(tmp_path / "key_001.image.npy", allow_pickle=False).tobytes() == slots[1].image.tobytes()

    @pytest.mark.parametrize("key", ["a.b", "a/b", "../a", "k" * 91, "ö" * 46])
    def test_a_key_that_a_tar_or_webdataset_would_take_otherwise_is_refused(self, key: str) -> None:
        assert "expected a" in (self.container.refuse(key) or "")

    @pytest.mark.parametrize("key", ["k" * 90, "ö" * 45, "a b", "-x"])
    def test_the_longest_and_the_oddest_keys_that_are_not_refused_survive(self, tmp_path: Path, key: str) -> None:
        assert self.container.refuse(key) is None
        plan = layout()
        store(self.container, tmp_path, plan, "train", [Entry(record(key), entries(plan, 1)[0].image)], 1)
        assert list(readers.read_tar(tmp_path / "build/train")) == [key]
        assert [sample["__key__"] for sample in readers.webdataset_samples(tmp_path / "build/train")] == [key]


class TestZarr(FormatContract):
    name = "zarr"
    read = staticmethod(readers.read_zarr)
    read_all = staticmethod(readers.zarr_pairs)

    def shard_file(self, number: int) -> str:
        return f"image/c/{number}/0/0/0"

    def test_a_chunk_is_a_raw_array_and_the_last_one_is_padded(self, tmp_path: Path) -> None:
        plan = layout()
        slots = entries(plan, 7)
        store(self.container, tmp_path, plan, "train", slots, 3)
        for number in range(3):
            raw = np.fromfile(tmp_path / f"build/train/image/c/{number}/0/0/0", "<f4").reshape(3, 2, 5, 7)
            for position, slot in enumerate(slots[3 * number : 3 * number + 3]):
                assert slot.image is not None
                assert raw[position].tobytes() == slot.image.tobytes()
        assert np.isnan(raw[1:]).all()

    def test_metadata_say_one_uncompressed_chunk_a_shard(self, tmp_path: Path) -> None:
        plan = layout()
        store(self.container, tmp_path, plan, "train", entries(plan, 7), 3)
        array: Any = zarr.open_array(tmp_path / "build/train/image", mode="r")
        assert (array.metadata.zarr_format, array.shape, array.chunks) == (3, (7, 2, 5, 7), (3, 2, 5, 7))
        assert (array.shards, array.compressors, array.filters) == (None, (), ())
        assert np.isnan(array.fill_value)


class TestZarrZstd(FormatContract):
    name = "zarr"
    compression = "zstd"
    read = staticmethod(readers.read_zarr)
    read_all = staticmethod(readers.zarr_pairs)

    def test_shards_hold_inner_chunks_of_16_samples_in_zstd(self, tmp_path: Path) -> None:
        plan = layout()
        store(self.container, tmp_path, plan, "train", entries(plan, 70), 32)
        array: Any = zarr.open_array(tmp_path / "build/train/image", mode="r")
        assert (array.chunks, array.shards) == ((16, 2, 5, 7), (32, 2, 5, 7))
        assert [type(codec).__name__ for codec in array.compressors] == ["ZstdCodec"]
        assert sorted(path.name for path in (tmp_path / "build/train/image/c").iterdir()) == ["0", "1", "2"]


@pytest.mark.parametrize("compression", [None, "zstd"])
class TestZarrWithXarray:
    def test_dimensions_bands_and_unit_have_names(self, tmp_path: Path, compression: str | None) -> None:
        plan = layout()
        slots = entries(plan, 7, lost=[2])
        store(formats.get("zarr", compression), tmp_path, plan, "train", slots, 3)
        with xarray.open_zarr(tmp_path / "build/train", chunks=None) as data:
            assert data["image"].dims == ("sample", "band", "y", "x")
            assert list(data.coords) == ["band"]
            assert list(data["band"].values) == ["VV", "VH"]
            assert data["image"].attrs["units"] == "dB"
            assert data["image"].attrs["long_name"] == "sigma0 VV; sigma0 VH"
            assert (data.attrs["Conventions"], data.attrs["title"]) == ("CF-1.11", "a miniature")
            assert data["valid"].values.tolist() == [i != 2 for i in range(7)]
            assert data["key"].values.tolist() == ["" if i == 2 else f"key_{i:03d}" for i in range(7)]
            assert np.isnan(data["image"].values[2]).all()
            assert slots[1].image is not None
            assert data["image"].sel(band="VH").values[1].tobytes() == slots[1].image[1].tobytes()

    def test_integers_decode_to_physical_values_by_the_cf_convention(
        self, tmp_path: Path, compression: str | None
    ) -> None:
        plan = layout("int16")
        slots = entries(plan, 4, lost=[3])
        store(formats.get("zarr", compression), tmp_path, plan, "train", slots, 3)
        with xarray.open_zarr(tmp_path / "build/train", chunks=None) as data:
            found = data["image"].values
        for slot, image in zip(slots[:3], found, strict=False):
            assert slot.image is not None
            expected = np.where(slot.image == -32768, np.nan, slot.image / 500)
            np.testing.assert_allclose(image, expected, rtol=0, atol=4e-6, equal_nan=True)

    def test_a_lost_slot_of_integers_is_missing(self, tmp_path: Path, compression: str | None) -> None:
        plan = layout("int16")
        store(formats.get("zarr", compression), tmp_path, plan, "train", entries(plan, 4, lost=[3]), 3)
        array: Any = zarr.open_array(tmp_path / "build/train/image", mode="r")
        assert (array[3] == -32768).all()

    def test_an_empty_split_opens(self, tmp_path: Path, compression: str | None) -> None:
        store(formats.get("zarr", compression), tmp_path, layout(), "val", [], 1)
        with xarray.open_zarr(tmp_path / "build/val", chunks=None) as data:
            assert dict(data.sizes) == {"sample": 0, "band": 2, "byte": 1, "y": 5, "x": 7}

    def test_keys_are_bytes_too(self, tmp_path: Path, compression: str | None) -> None:
        container, plan, keys = formats.get("zarr", compression), layout(), ["a", None, "Kiel-\u00d6st", "b" * 1024]
        container.start(tmp_path, "train")
        container.finish(tmp_path, plan, "train", 16, keys)
        with xarray.open_zarr(tmp_path / "train", chunks=None) as data:
            found = data["key_utf8"]
        assert (found.dims, found.dtype, found.shape) == (("sample", "byte"), np.uint8, (4, 1024))
        assert [bytes(row).rstrip(b"\0").decode() for row in found.values] == [key or "" for key in keys]
        assert container.refuse("b" * 1024) is None
        assert container.refuse("\u00d6" * 513) == "expected a key of at most 1024 bytes, found 1026"


def test_a_sample_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    plan = layout()
    places = store(formats.get("lmdb"), tmp_path, plan, "train", entries(plan, 1), 1)
    reader = formats.get("lmdb").open(tmp_path / "build", plan, {"train": 1})
    place = places["key_000"]
    with pytest.raises(BuildError, match="expected a value under other, found none"):
        reader.read(replace(place, key="other"))
    reader.close()


def test_an_unknown_format_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'webdataset'"):
        formats.get("webdatset")


@pytest.mark.parametrize(
    ("name", "compression", "remedy"),
    [
        ("lmdb", "zstd", "expected none with `format=lmdb`, or `format=zarr`"),
        ("webdataset", "gzip", "expected none with `format=webdataset`"),
        ("zarr", "gzip", "expected none or zstd with `format=zarr`"),
    ],
)
def test_a_compression_that_a_container_has_not_is_refused_with_those_there_are(
    name: str, compression: str, remedy: str
) -> None:
    with pytest.raises(UsageError) as caught:
        formats.get(name, compression)
    assert str(caught.value) == f"`compression={compression}`: {remedy}"
