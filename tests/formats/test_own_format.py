"""A container of one's own is one file and one line: it builds, streams, verifies and converts like the three."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sar_data
from sar_data import formats
from sar_data.errors import BuildError, UsageError
from sar_data.formats import FORMATS
from sar_data.sealed.opened import Build
from sar_data.sealed.verify import verify
from sar_data.stream.dataset import Stream
from sar_data.testing.formats import FormatContract
from tests.mini import invented
from tests.mini.builds import contents


@pytest.fixture(scope="module", autouse=True)
def registered() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FORMATS, "npy", "examples.own_format")  # the one line
        yield


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("npy")
    made = invented.pipeline("segmentation", frames=2)
    return invented.sealed(made, invented.archive(folder / "raw", 40), folder / "builds", format="npy", shard_length=8)


def read(split: Path) -> dict[str, Any]:
    """Return {key: image}, as numpy maps them."""
    return {key: image for key, image, _ in _samples(split)}


def read_all(split: Path) -> dict[str, tuple[Any, Any]]:
    """Return {key: (image, mask)}, as numpy maps them."""
    return {key: (image, mask) for key, image, mask in _samples(split)}


def _samples(split: Path) -> list[tuple[str, Any, Any]]:
    keys, found = np.load(split / "keys.npy").tolist(), []
    for path in sorted(split.glob("*.image.npy")):
        images, hidden = np.load(path, mmap_mode="r"), path.with_name(path.name.replace("image", "mask"))
        masks = np.load(hidden, mmap_mode="r") if hidden.exists() else [None] * len(images)
        found += list(zip(images, masks, strict=True))
    return [(key, *sample) for key, sample in zip(keys, found, strict=False) if key]


class TestNpy(FormatContract):
    name = "npy"
    read = staticmethod(read)
    read_all = staticmethod(read_all)

    def shard_file(self, number: int) -> str:
        return f"{number:06d}.image.npy"


def streamed(path: Path, io: str) -> dict[str, tuple[bytes, bytes]]:
    with Stream(path, split="train", batch_size=8, shuffle=False, normalize=None, fill=None, io=io) as stream:
        found = {}
        for _ in range(2):  # read at first, mapped the second time
            for batch in stream:
                for key, image, mask in zip(batch["key"], batch["image"], batch["target"], strict=True):
                    found[key] = image.tobytes(), mask.tobytes()
    return found


def test_it_verifies_and_its_samples_are_those_of_another_container(build: Build, tmp_path: Path) -> None:
    assert verify(build.path) == verify(build.path, full=True) == []
    zarr = sar_data.convert(build.path, out=tmp_path, format="zarr", workers=1)
    back = sar_data.convert(zarr.path, out=tmp_path / "back", format="npy", workers=1)
    assert {made.manifest.content_digest for made in (build, zarr, back)} == {build.manifest.content_digest}
    shards = {name: data for name, data in contents(build.path).items() if name.endswith(".npy")}
    assert shards == {name: data for name, data in contents(back.path).items() if name.endswith(".npy")}
    assert streamed(build.path, "mmap") == streamed(build.path, "pread") == streamed(zarr.path, "mmap")


def test_a_damaged_shard_is_named_by_its_bytes_and_by_its_key(build: Build, tmp_path: Path) -> None:
    path = tmp_path / build.path.name
    shutil.copytree(build.path, path)
    with open(path / "train/000000.image.npy", "r+b") as file:
        file.seek(200)
        file.write(b"\xff\xff")
    assert verify(path) == []
    problems = [str(problem) for problem in verify(path, full=True)]
    assert any("sha256 of train/000000.image.npy" in problem for problem in problems)
    assert any("record s0" in problem and "pixels" in problem for problem in problems)
    with open(path / "train/000000.image.npy", "ab") as file:
        file.write(b"x")
    assert [problem.shard for problem in verify(path)] == ["train/000000"]


def test_an_index_whose_places_are_not_those_of_the_format_is_refused(build: Build) -> None:
    from sar_data.sealed.index_bounds import check_bounds
    from sar_data.sealed.opened import layout_of

    index = build.index()
    rows = index.filter([split == "val" for split in index["split"].to_pylist()])
    for column in ("offset", "mask_offset"):
        shifted = [offset - 4 for offset in rows[column].to_pylist()]
        wrong = rows.set_column(rows.column_names.index(column), rows.schema.field(column), [shifted])
        with pytest.raises(BuildError, match=rf"expected 128 and a multiple of \d+, found {column} 124"):
            check_bounds(wrong, build.manifest, layout_of(build.manifest), "val", "index")


def test_an_installed_package_brings_its_format_by_an_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "somebodys-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: somebodys\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[sar_data.formats]\nmaps = examples.own_format\n")
    monkeypatch.syspath_prepend(tmp_path)
    formats._find_installed.cache_clear()
    assert formats.get("maps").name == "npy"
    assert formats.names() == ["lmdb", "webdataset", "zarr", "npy", "maps"]
    monkeypatch.undo()
    formats._find_installed.cache_clear()


@pytest.mark.parametrize(("addressing", "method"), [("position", "blocks"), ("key", "locate")])
def test_a_format_without_the_method_of_its_addressing_says_which(addressing: str, method: str) -> None:
    incomplete = formats.get("npy")
    arguments = {"blocks": (None, 8, "image"), "locate": (Path(), None, [], None, "image")}[method]
    with pytest.raises(NotImplementedError, match=f"addressing='{addressing}' needs the method `{method}`"):
        getattr(incomplete, method)(*arguments)


def test_what_the_format_does_not_admit_is_refused(build: Build, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected none with `format=npy`, or `format=zarr`"):
        sar_data.convert(build.path, format="npy", compression="zstd")
    ragged = invented.archive(tmp_path / "raw", 12, ragged=True)
    with pytest.raises(UsageError, match="npy"):
        invented.sealed(invented.pipeline(shape=None), ragged, tmp_path / "builds", format="npy")
    with pytest.raises(BuildError, match="xarray opens zarr, this is npy"):
        build.dataset("train")
    manifest = json.loads((build.path / "manifest.json").read_text())
    with pytest.raises(BuildError, match="one size that all images of npy have"):
        Build(build.path, type(build.manifest).parse({**manifest, "shape": None}, "manifest"))
