"""A zarr.json that the writer did not write is named, and the zarr library never opens what it describes."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import pytest
import xarray
import zarr
import zstandard
from numcodecs.zstd import compress

from sar_data.builder.itinerary import convert
from sar_data.builder.request import ConvertRequest
from sar_data.errors import BuildError, SarDataError, UsageError
from sar_data.formats import zarr_shards
from sar_data.formats.zarr_shards import Shards
from sar_data.sealed.opened import Build
from sar_data.sealed.places import places
from sar_data.sealed.verify import verify
from sar_data.views.contact_sheet import contact_sheet
from tests.mini import invented
from tests.mini.resealed import resealed

Change = Callable[[dict[str, Any]], object]
PICKLE = {"name": "numcodecs.pickle", "configuration": {"id": "pickle"}}
CHANGES: dict[str, Change] = {
    "zarr_format": lambda array: array.update(zarr_format=2),
    "data_type": lambda array: array.update(data_type="float64"),
    "data_type ": lambda array: array.update(data_type={"name": "numpy.object"}),
    "shape[1]": lambda array: array["shape"].__setitem__(1, 3),
    "shape": lambda array: array["shape"].append(1),
    "chunk_grid.configuration.chunk_shape[0]": lambda array: array["chunk_grid"]["configuration"][
        "chunk_shape"
    ].__setitem__(0, 2**31),
    "chunk_grid.name": lambda array: array["chunk_grid"].update(name="rectilinear"),
    "chunk_key_encoding.configuration.separator": lambda array: array["chunk_key_encoding"]["configuration"].update(
        separator="../"
    ),
    "codecs": lambda array: array["codecs"].append(PICKLE),
    "codecs[0].name": lambda array: array["codecs"].__setitem__(0, PICKLE),
    "fill_value": lambda array: array.update(fill_value=0.0),
    "attributes.scale_factor": lambda array: array["attributes"].update(scale_factor=0.5),
    "storage_transformers": lambda array: array["storage_transformers"].append({"name": "x"}),
    "dimension_names[0]": lambda array: array["dimension_names"].__setitem__(0, "time"),
    "codec": lambda array: array.update(codec="x"),
    "node_type": lambda array: array.pop("node_type"),
}


@pytest.fixture(scope="module", params=["none", "zstd"])
def sound(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Build:
    root = tmp_path_factory.mktemp("zarr")
    chosen = {"format": "zarr", "compression": request.param, "shard_length": 8}
    return invented.sealed(
        invented.pipeline("segmentation"), invented.archive(root / "raw", 30), root / "out", **chosen
    )


@pytest.fixture
def copy(sound: Build, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound.path, tmp_path / "home" / sound.path.name))


def edited(path: Path, change: Change, *where: str) -> None:
    document = inner = json.loads(path.read_text())
    for name in where:
        inner = inner[name]
    change(inner)
    path.write_text(json.dumps(document))


def uses(build: Path, out: Path) -> dict[str, Callable[[], object]]:
    return {
        "dataset": lambda: Build.open(build).dataset("train").load(),
        "verify": lambda: verify(build, full=True),
        "show": lambda: contact_sheet(Build.open(build), out / "sheet.png", count=2),
        "convert": lambda: convert(ConvertRequest(parent=build, out=out, format="webdataset")),
    }


def test_a_split_in_xarray_is_what_the_reader_and_the_index_say(sound: Build) -> None:
    data = sound.dataset("train")
    assert data["image"].dims == ("sample", "band", "y", "x")
    assert (list(data.coords), list(data["band"].values)) == (["band"], ["VV", "VH"])
    with sound.reader() as reader:
        for place in places(sound.index()):
            if place.split == "train":
                slot = place.shard * sound.manifest.splits["train"].shard_length + place.position
                found = data.isel(sample=slot)
                assert (str(found["key"].values), bool(found["valid"])) == (place.key, True)
                assert found["image"].values.tobytes() == reader.read(place).tobytes()
                assert found["mask"].values.tobytes() == reader.mask(place).tobytes()
    with pytest.raises(UsageError, match="unknown split 'validation'"):
        sound.dataset("validation")


def test_an_array_that_differs_in_one_field_is_named_and_never_opened(copy: Path) -> None:
    for path, where in (("image/zarr.json", ()), ("zarr.json", ("consolidated_metadata", "metadata", "image"))):
        original = (copy / "train" / path).read_text()
        for field, change in CHANGES.items():
            edited(copy / "train" / path, change, *where)
            with pytest.raises(BuildError, match=f"train/{path}: expected|train/{path}: "):
                Build.open(copy).dataset("train")
            named = [problem.what for problem in verify(copy)]
            assert [what for what in named if what.startswith(f"train/{path}: ") and field.strip() in what], named
            (copy / "train" / path).write_text(original)
    assert verify(copy) == []


def test_every_array_of_a_split_is_compared(copy: Path) -> None:
    for name in ("key", "key_utf8", "valid", "band", "mask"):
        path = copy / "train" / name / "zarr.json"
        original = path.read_text()
        edited(path, lambda array: array["codecs"].append(PICKLE))
        with pytest.raises(BuildError, match=rf"train/{name}/zarr.json: codecs\[\d\]: expected no such item, .*pickle"):
            Build.open(copy).dataset("train")
        path.write_text(original)


def test_an_array_too_many_in_the_group_is_refused(copy: Path) -> None:
    listed = ("consolidated_metadata", "metadata")
    edited(copy / "train/zarr.json", lambda arrays: arrays.update({"../../secret": arrays["image"]}), *listed)
    with pytest.raises(BuildError, match=r"metadata\.\.\./\.\./secret: expected no such field"):
        Build.open(copy).dataset("train")


def test_a_length_that_the_shards_do_not_have_is_refused(copy: Path) -> None:
    for samples in (0, -1, 1.0, True, 2**70, "24", None):

        def change(image: dict[str, Any], samples: object = samples) -> None:
            image["shape"][0] = samples

        edited(copy / "train/zarr.json", change, "consolidated_metadata", "metadata", "image")
        with pytest.raises(BuildError, match=r"train/zarr.json: samples of image: expected \d+ to \d+, found"):
            Build.open(copy).dataset("train")


def test_keys_of_another_width_are_refused(copy: Path) -> None:
    for width in (0, 1025, True, 17.0, "17"):

        def change(keys: dict[str, Any], width: object = width) -> None:
            keys["shape"][1] = width

        edited(copy / "train/zarr.json", change, "consolidated_metadata", "metadata", "key_utf8")
        with pytest.raises(BuildError, match=r"train/zarr\.json: bytes of key_utf8: expected 1 to 1024, found"):
            Build.open(copy).dataset("train")


def test_a_build_of_version_1_has_no_keys_as_bytes_and_is_sound(copy: Path) -> None:
    for split in Build.open(copy).manifest.splits:
        edited(copy / split / "zarr.json", lambda arrays: arrays.pop("key_utf8"), "consolidated_metadata", "metadata")
        shutil.rmtree(copy / split / "key_utf8")
    (copy / "zarr.json").unlink()
    resealed(copy)
    assert verify(copy, full=True) == []
    assert Build.open(copy).dataset("train")["key"].values[0]


def test_a_document_that_is_none_is_refused(copy: Path) -> None:
    nested = "[" * 100_000, '{"a":' * 50_000
    for name in ("image/zarr.json", "zarr.json"):
        for text in ("", "[]", "null", "{", *nested, "9" * 5000, "\x00", '"\\ud800"', "{}" + " " * 2**20):
            (copy / "train" / name).write_text(text)
            with pytest.raises(BuildError, match=rf"train/{name}: "):
                Build.open(copy).dataset("train")
            assert any(problem.what.startswith(f"train/{name}") for problem in verify(copy))


def test_the_root_group_opens_all_splits_in_xarray_and_zarr(sound: Build) -> None:
    tree = xarray.open_datatree(sound.path, engine="zarr")  # warnings are errors: nothing is listed
    assert {*tree.children} == {*sound.manifest.splits}
    own = sound.dataset("train")
    assert tree["train"]["image"].values.tobytes() == own["image"].values.tobytes()
    assert tree["train"]["key"].values.tolist() == own["key"].values.tolist()
    group = zarr.open_group(sound.path, mode="r")
    assert sorted(group.group_keys()) == sorted(sound.manifest.splits)
    assert group["val/image"].shape[0] == sound.manifest.splits["val"].count
    assert "zarr.json" in (sound.path / "SHA256SUMS").read_text().split()


def test_another_root_group_is_named_and_an_older_build_without_one_is_sound(copy: Path) -> None:
    edited(
        copy / "zarr.json", lambda array: array.update(shape=[1]), *("consolidated_metadata", "metadata", "val/image")
    )
    assert "zarr.json: consolidated_metadata.metadata.val/image.shape[0]" in {fault.what for fault in verify(copy)}
    (copy / "zarr.json").unlink()
    lines = (copy / "SHA256SUMS").read_text().splitlines(keepends=True)
    (copy / "SHA256SUMS").write_text("".join(line for line in lines if not line.endswith("  zarr.json\n")))
    resealed(copy)
    assert verify(copy) == []


class Payload:
    """What leaves a trace where it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.canary,)


def test_a_build_of_zarr_v2_with_a_pickle_runs_nothing(copy: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    pickle.loads(pickle.dumps(Payload(canary)))  # noqa: S301 (it does leave a trace)
    canary.unlink()
    split = copy / "train"
    image = json.loads((split / "image/zarr.json").read_text())
    array = {
        "zarr_format": 2,
        "shape": image["shape"],
        "chunks": image["chunk_grid"]["configuration"]["chunk_shape"],
        "dtype": "|O",
        "compressor": {"id": "pickle", "protocol": 5},
        "filters": [{"id": "vlen-utf8"}],
        "fill_value": None,
        "order": "C",
    }
    for name in ("zarr.json", "image/zarr.json"):
        (split / name).unlink()
    (split / ".zgroup").write_text('{"zarr_format": 2}')
    (split / "image/.zarray").write_text(json.dumps(array))
    for shard in range(3):
        chunk = "image/" + ".".join([str(shard), *"0" * (len(image["shape"]) - 1)])
        (split / chunk).write_bytes(pickle.dumps(Payload(canary)))
    resealed(copy)
    for what, use in uses(copy, tmp_path).items():
        try:
            problems = use()
        except SarDataError:
            assert what != "verify"
        else:
            assert what != "verify" or problems
        assert not canary.exists(), what
    with pytest.raises(BuildError, match=r"train/zarr.json"):
        Build.open(copy).dataset("train")


def test_a_codec_of_v3_that_the_writer_does_not_use_runs_nothing(copy: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    def change(array: dict[str, Any]) -> None:
        array["codecs"] = [PICKLE]
        array["data_type"] = "string"

    edited(copy / "train/image/zarr.json", change)
    edited(copy / "train/zarr.json", change, "consolidated_metadata", "metadata", "image")
    for chunk in (copy / "train/image/c").rglob("*"):
        if chunk.is_file():
            data = pickle.dumps(Payload(canary))
            chunk.write_bytes(data.ljust(chunk.stat().st_size, b"\0"))
    resealed(copy)
    for use in uses(copy, tmp_path).values():
        try:
            use()
        except SarDataError:
            continue
    assert not canary.exists()
    with pytest.raises(BuildError, match=r"codecs|data_type"):
        Build.open(copy).dataset("train")


def test_a_chunk_that_is_a_pipe_or_of_another_size_is_refused(copy: Path) -> None:
    chunk = next(path for path in (copy / "train/image/c").rglob("*") if path.is_file())
    data = chunk.read_bytes()
    chunk.write_bytes(data[:-1])
    with pytest.raises(BuildError, match="expected"):
        Build.open(copy).dataset("train")
    chunk.unlink()
    os.mkfifo(chunk)
    with pytest.raises(BuildError, match="expected a regular file"):
        Build.open(copy).dataset("train")


def test_a_frame_behind_a_frame_is_not_decoded(tmp_path: Path) -> None:
    build = invented.sealed(
        invented.pipeline(), invented.archive(tmp_path / "raw", 20), tmp_path / "out", format="zarr", compression="zstd"
    )
    chunk = build.path / "train/image/c/0/0/0/0"
    shards = Shards(16, 240)
    first = compress(shards.decode(chunk, 0).tobytes(), 3)
    bomb = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(1 << 28))
    chunk.write_bytes(first + bomb + struct.pack("<QQ", 0, len(first) + len(bomb)))
    with open(chunk, "ab") as file:
        file.write(struct.pack("<I", google_crc32c.value(chunk.read_bytes()[-16:])))
    resealed(build.path)
    data = Build.open(build.path).dataset("train")
    with pytest.raises(BuildError, match=r"[Zz]std"):
        data["image"].isel(sample=0).load()
    data["image"].isel(sample=16).load()


def test_what_no_reader_would_decode_is_not_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images of half a gigabyte that are nearly constant are such; a smaller bound stands for them."""
    source = invented.archive(tmp_path / "raw", 20)
    made = invented.pipeline("segmentation")
    chosen = {"format": "zarr", "compression": "zstd"}
    monkeypatch.setattr(zarr_shards, "FREE", 0)
    monkeypatch.setattr(zarr_shards, "BYTES_A_BYTE", 1)
    with pytest.raises(BuildError, match=r"inner chunk 0: expected at most \d+ .* `compression=none`"):
        invented.sealed(made, source, tmp_path / "out", **chosen)
    assert not list((tmp_path / "out").rglob("manifest.json"))
    monkeypatch.setattr(zarr_shards, "BYTES_A_BYTE", 256)
    assert verify(invented.sealed(made, source, tmp_path / "out", **chosen).path, full=True) == []
