"""A reader written from FORMAT.md alone: what it reads has the hashes that the build states.

It must not import what it checks: the reader uses numpy, pyarrow, lmdb and zstandard, and the tests alone use sar_data.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
import xxhash
import zstandard

from sar_data import catalog
from sar_data.sealed.opened import Build
from tests.mini import changes
from tests.mini.builds import make

Array = npt.NDArray[Any]
Document = dict[str, Any]
Pair = tuple[Array, Array | None]


def rows(build: Path) -> list[Document]:
    """Return the rows of the index that have pixels."""
    every: list[Document] = pq.read_table(build / "index.parquet").to_pylist()
    return [row for row in every if row["split"] != "unused"]


def image_shape(manifest: Document, row: Document) -> tuple[int, ...]:
    height, width = manifest["shape"] or (row["height"], row["width"])
    frames = (manifest["frames"],) if manifest["frames"] > 1 else ()
    return (*frames, len(manifest["bands"]), height, width)


def masked(manifest: Document) -> bool:
    return any(task["kind"] in ("segmentation", "change") for task in manifest["tasks"])


def array_at(path: Path, offset: int, shape: tuple[int, ...], dtype: str) -> Array:
    return np.fromfile(path, np.dtype(dtype), count=int(np.prod(shape)), offset=offset).reshape(shape)


def read_zarr(build: Path, manifest: Document, row: Document) -> Pair:
    shape, folder = image_shape(manifest, row), build / row["split"]

    def read(name: str, shape: tuple[int, ...], dtype: str, offset: int | None) -> Array:
        path = folder / name / "c" / str(row["shard"]) / "/".join("0" * len(shape))
        if manifest["compression"] is None:
            assert offset is not None
            return array_at(path, offset, shape, dtype)
        data, chunks = path.read_bytes(), manifest["splits"][row["split"]]["shard_length"] // 16
        places = np.frombuffer(data, "<u8", count=2 * chunks, offset=len(data) - 4 - 16 * chunks).reshape(chunks, 2)
        at, length = (int(number) for number in places[row["position"] // 16])
        values = np.frombuffer(zstandard.decompress(data[at : at + length]), np.dtype(dtype))
        chunk: Array = values.reshape(16, *shape)[row["position"] % 16]
        return chunk

    image = read("image", shape, manifest["storage"]["dtype"], row["offset"])
    return image, read("mask", shape[-2:], "uint8", row["mask_offset"]) if masked(manifest) else None


def read_webdataset(build: Path, manifest: Document, row: Document) -> Pair:
    path, shape = build / row["split"] / f"{row['shard']:06d}.tar", image_shape(manifest, row)
    image = array_at(path, row["offset"], shape, manifest["storage"]["dtype"])
    mask = array_at(path, row["mask_offset"], shape[-2:], "uint8") if masked(manifest) else None
    with tarfile.open(path) as archive:
        members = {suffix: archive.extractfile(f"{row['key']}.{suffix}") for suffix in ("image.npy", "json")}
        contents = {suffix: file.read() for suffix, file in members.items() if file is not None}
    assert json.loads(contents["json"])["labels"] == row["labels"]
    assert np.load(io.BytesIO(contents["image.npy"])).tobytes() == image.tobytes()
    return image, mask


def read_lmdb(build: Path, manifest: Document, row: Document) -> Pair:
    with lmdb.open(str(build / row["split"]), lock=False, readonly=True) as environment, environment.begin() as values:
        value = values.get(row["key"].encode(), default=b"")
    assert value is not None
    size = 8 + int(np.frombuffer(value, "<u8", count=1)[0])
    tensors = json.loads(value[8:size])
    kinds = {"F32": "float32", "F16": "float16", "I16": "int16", "U16": "uint16", "U8": "uint8"}

    def tensor(name: str) -> Array:
        begin, end = tensors[name]["data_offsets"]
        return np.frombuffer(value[size + begin : size + end], kinds[tensors[name]["dtype"]]).reshape(
            tensors[name]["shape"]
        )

    planes = np.stack([tensor(band["name"]) for band in manifest["bands"]], axis=-3)
    return planes, tensor("mask") if masked(manifest) else None


READERS: dict[str, Callable[[Path, Document, Document], Pair]] = {
    "zarr": read_zarr,
    "webdataset": read_webdataset,
    "lmdb": read_lmdb,
}


def _hash(array: Array) -> str:
    return str(xxhash.xxh3_128_hexdigest(np.ascontiguousarray(array).tobytes()))


def _content_digest(packed: list[Document]) -> str:
    digest = hashlib.sha256()
    for row in sorted(packed, key=lambda row: str(row["key"])):
        line = [
            row["key"],
            row["split"],
            sorted([item["task"], item["labels"]] for item in row["targets"]),
            row["xxh3"],
        ]
        if row["mask_xxh3"] or row["objects"]:
            objects = [
                {**item, "attrs": sorted([attr["name"], attr["value"]] for attr in item["attrs"])}
                for item in row["objects"]
            ]
            line += [row["mask_xxh3"], objects]
        digest.update(json.dumps(line, separators=(",", ":"), sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


def _assert_reads(build: Path) -> None:
    manifest = json.loads((build / "manifest.json").read_bytes())
    packed = rows(build)
    assert len(packed) == sum(split["count"] for split in manifest["splits"].values()) > 0
    for row in packed:
        image, mask = READERS[manifest["format"]](build, manifest, row)
        assert _hash(image) == row["xxh3"]
        assert (mask is None) is (row["mask_xxh3"] is None)
        assert mask is None or _hash(mask) == row["mask_xxh3"]
    assert _content_digest(packed) == manifest["content_digest"]


@pytest.mark.parametrize("container", ["zarr", "zarr+zstd", "webdataset", "lmdb"])
def test_images_are_read_by_the_page_alone(container: str, sealed: dict[str, Build]) -> None:
    _assert_reads(sealed[container].path)


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty-four pairs of dates."""
    return changes.archive(tmp_path_factory.mktemp("pairs") / "raw", 24)


@pytest.mark.parametrize("container", ["zarr", "zarr+zstd", "webdataset", "lmdb"])
def test_frames_and_masks_are_read_by_the_page_alone(container: str, changed: Path, tmp_path: Path) -> None:
    container, _, compression = container.partition("+")
    build = make(
        changes.pipeline(), changed, tmp_path, format=container, compression=compression or "none", split=changes.SPLIT
    )
    _assert_reads(build.path)


@pytest.mark.parametrize("container", ["webdataset", "lmdb"])
def test_images_of_several_sizes_with_objects_are_read_by_the_page_alone(container: str, tmp_path: Path) -> None:
    catalog.synthesise("ssdd")(tmp_path / "raw", count=12, seed=0)
    _assert_reads(make(catalog.pipeline("ssdd"), tmp_path / "raw", tmp_path, format=container).path)


def test_a_build_is_checked_by_the_page_alone(sealed: dict[str, Build]) -> None:
    for build in (made.path for made in sealed.values()):
        manifest = json.loads((build / "manifest.json").read_bytes())
        digest = manifest.pop("digest")
        assert (
            digest == hashlib.sha256(json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
        )
        assert manifest["sums"] == hashlib.sha256((build / "SHA256SUMS").read_bytes()).hexdigest()
        lines = (line.split("  ", 1) for line in (build / "SHA256SUMS").read_text().splitlines())
        sums = {path: digest for digest, path in lines}
        files = {path.relative_to(build).as_posix() for path in build.rglob("*") if path.is_file()}
        assert files - {"manifest.json", "SHA256SUMS"} == sums.keys()
        for path, expected in sums.items():
            assert hashlib.sha256((build / path).read_bytes()).hexdigest() == expected
        recipe = json.dumps(manifest["recipe"], sort_keys=True, separators=(",", ":")).encode()
        assert hashlib.sha256(recipe).hexdigest() == manifest["recipe_digest"]
        assert build.name.endswith(manifest["recipe_digest"][:8])
