"""A stream of a remote build is that of the same build here, to the bit, also through a cache smaller than it."""

from __future__ import annotations

import fcntl
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

from sar_data.errors import BuildError, UsageError
from sar_data.sealed.opened import Build
from sar_data.stream.dataset import Stream
from tests.mini.servers import Web, web

WINDOW = 16  # samples, a shard of the miniature builds


@pytest.fixture
def server(sealed: dict[str, Build]) -> Iterator[Web]:
    with web(sealed["zarr"].path.parent) as served:
        yield served


def url(server: Web, build: Build) -> str:
    return f"{server.url}/{build.path.name}"


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a["key"] == b["key"] and all(
        np.array_equal(a[name], b[name], equal_nan=True) for name in ("image", "target")
    )


def cached(cache: Path) -> int:
    """Count the bytes in a cache while nobody can take or make room; a file that arrives meanwhile is one file."""
    with (cache / "room").open() as room:
        fcntl.flock(room, fcntl.LOCK_EX)
        paths = (path for top in (cache / "fetching", *cache.glob("?" * 64)) for path in top.rglob("*"))
        files = {}
        for path in paths:
            with suppress(FileNotFoundError):
                facts = path.lstat()
                files[facts.st_ino] = facts.st_size if stat.S_ISREG(facts.st_mode) else 0
        return sum(files.values())


@pytest.mark.parametrize("shuffle", [True, "shards", False])
@pytest.mark.parametrize("container", ["webdataset", "zarr", "zarr+zstd"])
def test_batches_are_bit_equal_to_those_of_the_build_here(
    container: str, shuffle: bool | str, server: Web, sealed: dict[str, Build], tmp_path: Path
) -> None:
    build = sealed[container]
    how: dict[str, Any] = {"batch_size": 8, "shuffle": shuffle, "window": WINDOW, "seed": 3}
    with (
        Stream(build.path, **how) as here,
        Stream(url(server, build), cache=tmp_path, cache_bytes=1 << 30, **how) as there,
    ):
        for _ in range(2):
            pairs = list(zip(here, there, strict=True))
            assert len(pairs) == len(here)
            assert all(same(a, b) for a, b in pairs)


def test_an_lmdb_build_is_refused_at_once_and_told_what_streams(
    server: Web, sealed: dict[str, Build], tmp_path: Path
) -> None:
    build = sealed["lmdb"]
    said = r"found lmdb, whose train is one file.*Zarr and WebDataset stream: `convert\(format=zarr\)` where"
    for room in (None, 1 << 30, 4096 + sum(path.stat().st_size for path in build.path.glob("*.*"))):
        with pytest.raises(UsageError, match=said):
            Stream(url(server, build), cache=tmp_path, cache_bytes=room)
    assert not any(name.endswith(".mdb") for name in server.gets), "nothing of the split was fetched"


def test_a_cache_smaller_than_the_split_serves_every_epoch_and_stays_within_its_bound(
    server: Web, sealed: dict[str, Build], tmp_path: Path
) -> None:
    build = sealed["zarr"]
    largest = max(shard.bytes for shard in build.manifest.splits["train"].shards)
    limit = int(3.5 * largest)
    how: dict[str, Any] = {"batch_size": 4, "shuffle": "shards", "window": 4, "ahead": 1}
    with (
        Stream(build.path, **how) as here,
        Stream(url(server, build), cache=tmp_path, cache_bytes=limit, **how) as there,
    ):
        for _ in range(3):
            for a, b in zip(here, there, strict=True):
                assert same(a, b)
                assert cached(tmp_path) <= limit


def test_an_order_that_a_cache_cannot_serve_is_refused(server: Web, sealed: dict[str, Build], tmp_path: Path) -> None:
    build = sealed["zarr"]
    for shuffle in (True, "shards"):
        with pytest.raises(UsageError, match=r"reads .* MB of .* together, and its cache has 2 MB"):
            Stream(url(server, build), batch_size=8, shuffle=shuffle, cache=tmp_path, cache_bytes=2_000_000)


def test_a_remote_stream_resumes_in_the_middle_of_an_epoch_and_from_another_store(
    server: Web, sealed: dict[str, Build], tmp_path: Path
) -> None:
    build = sealed["webdataset"]
    fsspec.filesystem("memory").put(str(build.path), "/resumed", recursive=True)
    how: dict[str, Any] = {"batch_size": 8, "shuffle": "shards", "window": WINDOW, "cache": tmp_path}
    with Stream(url(server, build), **how) as before, Stream("memory://resumed", **how) as after:
        batches = iter(before)
        next(batches)
        after.load_state_dict(before.state_dict())
        assert all(same(a, b) for a, b in zip(batches, after, strict=True))


def test_a_shard_that_was_changed_there_names_itself_in_the_stream(
    server: Web, sealed: dict[str, Build], tmp_path: Path
) -> None:
    build = sealed["zarr"]
    name = build.manifest.splits["train"].shards[1].file
    server.faults[f"{build.path.name}/{name}"].extend(["changed"] * 20)
    with (
        Stream(url(server, build), batch_size=8, cache=tmp_path) as there,
        pytest.raises(BuildError, match=f"{name}: expected sha256"),
    ):
        list(there)


@pytest.mark.parametrize("way", ["fork", "spawn"])
def test_a_data_loader_with_workers_reads_a_remote_build(
    way: str, server: Web, sealed: dict[str, Build], tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch")
    from sar_data.torch import Samples

    build = sealed["zarr"]
    here, there = Samples(build.path), Samples(url(server, build), cache=tmp_path)
    loaded = torch.utils.data.DataLoader(
        there, batch_size=8, num_workers=2, collate_fn=Samples.collate, multiprocessing_context=way
    )
    keys: list[str] = []
    for number, batch in enumerate(loaded):
        expected = Samples.collate(here.__getitems__(list(range(8 * number, 8 * number + len(batch["key"])))))
        assert torch.equal(batch["image"], expected["image"])
        keys += batch["key"]
    assert len(keys) == len(here) == len(set(keys))
