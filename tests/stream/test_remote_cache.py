"""The cache of remote builds is one user's own, and nothing in it is believed before it was hashed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from sar_data.errors import TargetError
from sar_data.sealed.files import Files, open_files
from sar_data.sealed.manifest import NAME
from sar_data.sealed.opened import INDEX_NAME, SUMS_NAME, Build
from sar_data.sealed.remote.cache import Cache
from sar_data.stream.dataset import Stream
from tests.mini.builds import contents
from tests.mini.servers import Web, web
from tests.mini.strangers import given_away

ROOM = 1 << 30


@pytest.fixture(scope="module")
def build(small: dict[str, Build]) -> Build:
    return small["webdataset"]


@pytest.fixture
def server(build: Build) -> Iterator[Web]:
    with web(build.path) as served:
        yield served


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def shard(build: Build, number: int = 0) -> str:
    return build.manifest.splits["train"].shards[number].file


def flipped(path: Path) -> None:
    """Flip a bit in the middle of a file, and keep its times."""
    facts = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def warmed(server: Web, cache: Path, build: Build) -> Path:
    """Fill the cache by a stream's first epoch; return the build's folder in it."""
    with Stream(server.url, batch_size=32, cache=cache, shuffle=False) as stream:
        list(stream)
        return stream.collection.sources[0].files.folder


def same(server: Web, cache: Path, build: Build) -> bool:
    how = {"batch_size": 32, "shuffle": False}
    with Stream(server.url, cache=cache, **how) as there, Stream(build.path, **how) as here:
        pairs = list(zip(there, here, strict=True))
        return all(np.array_equal(a["image"], b["image"], equal_nan=True) for a, b in pairs)


def test_a_shard_that_was_changed_in_the_cache_is_fetched_anew(server: Web, cache: Path, build: Build) -> None:
    folder, name = warmed(server, cache, build), shard(build)
    flipped(folder / name)
    assert same(server, cache, build)
    assert server.gets[name] == 2
    assert (folder / name).read_bytes() == (build.path / name).read_bytes()


@pytest.mark.parametrize("name", [NAME, SUMS_NAME, INDEX_NAME])
def test_a_document_that_was_changed_in_the_cache_is_fetched_anew(
    server: Web, cache: Path, build: Build, name: str
) -> None:
    folder = warmed(server, cache, build)
    before = server.gets[name]
    data = (folder / name).read_bytes()
    edited = data.replace(b"Invented", b"Intended") if name == NAME else data[:-40] + bytes(40)
    assert edited != data
    (folder / name).write_bytes(edited)
    with Stream(server.url, batch_size=32, cache=cache) as stream:
        assert stream.collection.sources[0].manifest == build.manifest
    assert contents(folder)[name] == (build.path / name).read_bytes()
    assert server.gets[name] == before + (2 if name == NAME else 1)


def test_a_file_is_hashed_once_a_process_and_again_when_it_was_changed(
    server: Web, cache: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sar_data.sealed.remote import cache as room

    hashed: list[int] = []
    sha256 = room.Hold.sha256
    monkeypatch.setattr(room.Hold, "sha256", lambda hold: (hashed.append(1), sha256(hold))[1])
    name = shard(build)
    files = open_files(server.url, cache, ROOM)
    files.path(name)
    assert hashed == [], "what this process fetched it has hashed on its way"
    files.close()
    files = open_files(server.url, cache, ROOM)
    documents = len(hashed)
    for _ in range(3):
        files.path(name)
    assert len(hashed) == documents + 1 == 4
    (files.folder / name).write_bytes((build.path / name).read_bytes())  # the same, but who knows
    files.path(name)
    assert len(hashed) == documents + 2
    assert server.gets[name] == 1
    files.close()


def test_a_forked_child_hashes_for_itself(server: Web, cache: Path, build: Build) -> None:
    import multiprocessing

    name = shard(build)
    files = open_files(server.url, cache, ROOM)
    path = files.path(name)
    flipped(path)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(read, (files, name)) == (build.path / name).read_bytes()
    files.close()


def read(files: Files, name: str) -> bytes:
    try:
        return files.path(name).read_bytes()
    finally:
        files.close()


def test_links_that_were_planted_in_a_folder_open_to_others_are_removed(
    server: Web, cache: Path, build: Build, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    (precious / "train").mkdir(parents=True)
    (precious / "file").write_text("years of work")
    folder = warmed(server, cache, build)
    digest = folder.name
    for name in ("room", "fetching"):
        path = cache / name
        path.unlink() if path.is_file() else path.rmdir()
    (cache / "room").symlink_to(precious / "file")
    (cache / "fetching").symlink_to(precious)
    folder.rename(tmp_path / "away")
    (cache / digest).symlink_to(precious)
    (cache / "notes.txt").write_text("of the user")
    cache.chmod(0o777)
    before = contents(precious)
    assert same(server, cache, build)
    assert contents(precious) == before
    assert cache.stat().st_mode & 0o022 == 0
    assert (cache / "notes.txt").read_text() == "of the user"


def test_a_link_in_the_place_of_the_count_is_not_written_through(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("years of work")
    Cache(cache, ROOM)
    (cache / "room").unlink()
    (cache / "room").symlink_to(tmp_path / "precious")
    with pytest.raises(TargetError, match="room: expected a file of our own, found a link"):
        Cache(cache, ROOM)
    assert (tmp_path / "precious").read_text() == "years of work"


def test_a_folder_of_somebody_else_is_refused(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.mkdir()
    given_away(cache, monkeypatch)
    with pytest.raises(TargetError, match=r"cache: expected a folder of our own, found one of user \d+"):
        Cache(cache, ROOM)


def test_a_user_may_link_the_cache_to_another_disk(server: Web, cache: Path, build: Build, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    cache.symlink_to(tmp_path / "disk")
    assert same(server, cache, build)
    assert {"room", "fetching"} < {path.name for path in (tmp_path / "disk").iterdir()}


def test_what_else_lies_in_the_folder_is_never_dropped(server: Web, cache: Path, build: Build) -> None:
    cache.mkdir(mode=0o700)
    (cache / "thesis").mkdir()
    (cache / "thesis" / "chapter.tex").write_text("years of work")
    (cache / "notes.txt").write_text("of the user")
    documents = sum((build.path / name).stat().st_size for name in (NAME, SUMS_NAME, INDEX_NAME))
    largest = max(shard.bytes for shard in build.manifest.splits["train"].shards)
    files = open_files(server.url, cache, documents + int(1.5 * largest))
    for number in range(4):
        files.path(shard(build, number))
    assert len(list(files.folder.glob("train/*.tar"))) == 1
    files.close()
    assert (cache / "thesis" / "chapter.tex").read_text() == "years of work"
    assert (cache / "notes.txt").read_text() == "of the user"


def link(there: Path, elsewhere: Path) -> None:
    there.symlink_to(elsewhere)


def full_folder(there: Path, elsewhere: Path) -> None:
    (there / "x").mkdir(parents=True)


def pipe(there: Path, elsewhere: Path) -> None:
    os.mkfifo(there)


@pytest.mark.parametrize("put", [link, full_folder, pipe])
@pytest.mark.parametrize("name", ["room", "fetching/x", "DIGEST/index.parquet", "DIGEST", "fetching"])
def test_what_is_no_file_of_our_own_is_named_and_nothing_behind_it_is_touched(
    build: Build, tmp_path: Path, put: Callable[[Path, Path], None], name: str
) -> None:
    elsewhere, cache = tmp_path / "elsewhere", tmp_path / "cache"
    (elsewhere / "x").mkdir(parents=True)
    (elsewhere / "index.parquet").write_bytes(b"precious")
    digest = hashlib.sha256((build.path / NAME).read_bytes()).hexdigest()
    there = cache / name.replace("DIGEST", digest)
    there.parent.mkdir(parents=True)
    put(there, elsewhere)
    if name == "fetching" and put is full_folder:
        there = there / "x"  # the folder itself is ours
    if name == "DIGEST" and put is full_folder:
        pytest.skip("a folder is what belongs there")
    with pytest.raises(TargetError, match=f"{there}.*: expected a (file|folder)"):
        list(Stream(f"file://{build.path}", batch_size=32, cache=cache, shuffle=False))
    assert contents(elsewhere) == {"index.parquet": b"precious"}


def test_an_estimate_that_is_none_is_counted_anew(build: Build, cache: Path) -> None:
    cache.mkdir(0o700)
    (cache / "room").write_text("not a number")
    with Stream(f"file://{build.path}", batch_size=32, cache=cache, shuffle=False) as stream:
        assert sum(len(batch["key"]) for batch in stream) == len(stream.collection)
