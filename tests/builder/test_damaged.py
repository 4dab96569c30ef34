"""A build that stands is looked at before it is taken: one that is damaged is set aside and built again."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.errors import OtherVersion
from sar_data.sealed.opened import Build
from sar_data.sealed.verify import verify
from tests.mini import invented
from tests.mini.builds import snapshot, visible

SHARDS = {"lmdb": "train/data.mdb", "webdataset": "train/000000.tar", "zarr": "train/image/c/0/0/0/0"}


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _halve(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


DAMAGES: dict[str, tuple[str | None, Callable[[Path], None]]] = {
    "shard-gone": (None, Path.unlink),
    "shard-cut": (None, _halve),
    "index-altered": ("index.parquet", _flip),
    "index-gone": ("index.parquet", Path.unlink),
    "sums-gone": ("SHA256SUMS", Path.unlink),
    "manifest-altered": ("manifest.json", _flip),
    "manifest-cut": ("manifest.json", _halve),
    "manifest-gone": ("manifest.json", Path.unlink),
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return invented.archive(tmp_path_factory.mktemp("damaged") / "raw", 8)


def made(source: Path, out: Path, said: list[str] | None = None, **choices: Any) -> Build:
    whole = {"split": "random:train=1,val=0,test=0"}  # nothing to say of empty parts
    request = BuildRequest(**{"dataset": invented.pipeline(), "source": source, "out": out, **whole, **choices})
    return build(request, say=None if said is None else partial(_say_damage, said))


def _say_damage(said: list[str], message: str) -> None:
    """Keep what is said of damage; what a normalization destroys is said, too."""
    if "damaged" in message:
        said.append(message)


@pytest.mark.parametrize("format", SHARDS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_build_is_set_aside_and_built_again(source: Path, tmp_path: Path, format: str, damage: str) -> None:
    first = made(source, tmp_path, format=format)
    name, act = DAMAGES[damage]
    act(first.path / (name or SHARDS[format]))
    said: list[str] = []
    second = made(source, tmp_path, said, format=format)
    assert second.path == first.path
    assert second.manifest.content_digest == first.manifest.content_digest
    assert verify(second.path, full=True) == []
    assert visible(tmp_path) == [first.path.name, f"{first.path.name}.damaged-1"]
    assert len(said) == 1
    assert f"{first.path} is damaged and is built again: " in said[0]
    assert said[0].endswith(f"{first.path.name}.damaged-1")
    assert made(source, tmp_path, said, format=format).path == first.path
    assert len(said) == 1


@pytest.mark.parametrize("compression", ["none", "zstd"])
@pytest.mark.parametrize("name", ["mask/c/0/0/0", "key/c/0", "valid/c/0", "band/c/0"])
def test_any_other_file_that_was_cut_is_seen_too(source: Path, tmp_path: Path, name: str, compression: str) -> None:
    masks = {"dataset": invented.pipeline("segmentation"), "compression": compression}
    first = made(source, tmp_path, **masks)
    _halve(first.path / "train" / name)
    said: list[str] = []
    assert verify(made(source, tmp_path, said, **masks).path, full=True) == []
    assert f"train/{name}" in said[0]


def test_a_build_is_whole_with_a_file_more_and_nothing_is_written(source: Path, tmp_path: Path) -> None:
    first = made(source, tmp_path)
    (first.path / "notes.txt").write_text("mine")
    before = snapshot(tmp_path)
    assert made(source, tmp_path).path == first.path
    assert snapshot(tmp_path) == before


def test_what_is_baked_from_a_damaged_parent_is_found_and_the_parent_built_again(source: Path, tmp_path: Path) -> None:
    baked = made(source, tmp_path, normalize="zscore")
    parent = next(path for path in baked.path.parent.iterdir() if path != baked.path)
    (parent / SHARDS["zarr"]).unlink()
    said: list[str] = []
    again = made(source, tmp_path, said, normalize="zscore")
    assert (again.path, len(said), verify(parent, full=True)) == (baked.path, 1, [])
    (baked.path / SHARDS["zarr"]).unlink()
    assert verify(made(source, tmp_path, said, normalize="zscore", drop_parent=True).path, full=True) == []
    assert len(said) == 2
    assert visible(tmp_path) == sorted([baked.path.name, f"{baked.path.name}.damaged-1", f"{parent.name}.damaged-1"])


def test_a_build_of_another_version_is_no_damage(source: Path, tmp_path: Path) -> None:
    first = made(source, tmp_path)
    manifest = first.path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"schema_version": 3', '"schema_version": 4'))
    with pytest.raises(OtherVersion, match="another version"):
        made(source, tmp_path)
    assert visible(tmp_path) == [first.path.name]
