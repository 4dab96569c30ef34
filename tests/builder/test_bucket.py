"""A build in an object store: the same content, its manifest last, continued where it was stopped, by one builder."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.compute as pc
import pytest

from sar_data.builder import lease
from sar_data.builder.itinerary import Itinerary
from sar_data.builder.itinerary import build as carry_out
from sar_data.builder.request import BuildRequest
from sar_data.errors import BadRecord, SourceError, TargetError, UsageError
from sar_data.inventory import builds, remove
from sar_data.runners import Serial
from sar_data.sealed.manifest import NAME
from sar_data.sealed.opened import Build
from sar_data.sealed.verify import verify
from sar_data.spec import Pipeline
from sar_data.system import locks, store
from sar_data.system.store import Store
from tests.mini.builds import options
from tests.mini.servers import s3


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with s3("bucket"):
        yield "s3://bucket"


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another cache for each test, and no pauses: nothing of one test is there for the next."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(store, "PAUSES", (0.0, 0.0))


@pytest.fixture
def memory(tmp_path: Path) -> str:
    return f"memory://{tmp_path.name}"


def make(pipeline: Pipeline, source: Path, out: str, container: str = "zarr", **chosen: Any) -> Build:
    return carry_out(BuildRequest(dataset=pipeline, source=source, out=out, **options(container, **chosen)))


def names(url: str) -> set[str]:
    return set(Store(url).sizes())


@pytest.fixture(params=["memory", "bucket"])
def prefix(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(request.param)
    return url


@pytest.mark.parametrize("container", ["webdataset", "zarr", "zarr+zstd"])
def test_a_build_in_a_store_has_the_bytes_of_one_in_a_folder(
    prefix: str,
    container: str,
    bigearthnet: Pipeline,
    bigearthnet_source: Path,
    sealed: dict[str, Build],
    tmp_path: Path,
) -> None:
    out = f"{prefix}/{container.replace('+', '-')}"
    local = sealed[container]
    build = make(bigearthnet, bigearthnet_source, out, container)
    assert build.place == f"{out}/bigearthnet-s1/1.0/{local.path.name}"
    assert build.manifest.content_digest == local.manifest.content_digest
    there = {path.relative_to(local.path).as_posix() for path in local.path.rglob("*") if path.is_file()}
    assert names(out) == {f"bigearthnet-s1/1.0/{local.path.name}/{name}" for name in there}, "nothing else is left"
    files = Store(build.place)
    for name in there:
        assert files.read(name) == (local.path / name).read_bytes(), name
    assert verify(build.place) == verify(build.place, full=True) == []
    again = make(bigearthnet, bigearthnet_source, out, container)
    assert again.manifest == build.manifest
    assert not list((tmp_path / "cache/sar-data/building").iterdir())


def last_file(source: Path, build: Build) -> Path:
    """Return an image of the last record that is packed."""
    files = build.index().filter(pc.equal(build.index()["split"], "train"))["files"].to_pylist()[-1]
    return source / next(file["path"] for file in files if file["path"].endswith(".tif"))


def test_a_build_that_was_stopped_is_found_by_another_machine_and_continued(
    memory: str,
    bigearthnet: Pipeline,
    bigearthnet_source: Path,
    sealed: dict[str, Build],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = Path(shutil.copytree(bigearthnet_source, tmp_path / "raw"))
    image = last_file(source, sealed["zarr"])
    whole = image.read_bytes()
    image.write_bytes(whole[:20_000] + struct.pack("<f", 1e9) + whole[20_004:])
    with pytest.raises(BadRecord, match="expected values in dB"):
        make(bigearthnet, source, memory)
    assert not [name for name in names(memory) if name.endswith(NAME)], "nothing half-published"
    (left,) = builds(memory)
    assert (left.kind, left.state, left.samples) == ("build", "unfinished", None)
    image.write_bytes(whole)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another machine"))
    steps: list[tuple[str, int, int]] = []
    request = BuildRequest(dataset=bigearthnet, source=source, out=memory, **options())
    made = carry_out(request, progress=lambda *step: steps.append(step))
    packed = [done for stage, done, _ in steps if stage == "pack"]
    total = sum(split.count for split in made.manifest.splits.values())
    assert 0 < len(packed) < len(list(shards(made))), "shards that are there are not packed again"
    assert packed[-1] == total
    assert made.manifest.content_digest == sealed["zarr"].manifest.content_digest
    assert verify(made.place, full=True) == []
    assert not [name for name in names(memory) if ".building/" in name]


def shards(build: Build) -> list[str]:
    return [shard.file for split in build.manifest.splits.values() for shard in split.shards]


def test_what_a_stopped_builder_left_is_listed_and_removed(
    memory: str, bigearthnet: Pipeline, bigearthnet_source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = Itinerary(BuildRequest(dataset=bigearthnet, source=bigearthnet_source, out=memory, **options())).steps()
    for step in steps:
        step.run(Serial())
        if step.name == "pack":
            break
    (entry,) = builds(memory)
    assert entry.state == "being made"
    with pytest.raises(UsageError, match="found one that is being made"):
        remove(entry)
    monkeypatch.setattr(lease, "LIFE", -1.0)
    (entry,) = builds(memory)
    assert entry.state == "unfinished"
    assert entry.bytes > 0
    assert remove(entry)
    assert names(memory) == set()
    steps.close()


def test_of_two_builders_of_one_prefix_one_waits_and_one_that_is_silent_loses_it(
    memory: str,
    bigearthnet: Pipeline,
    bigearthnet_source: Path,
    sealed: dict[str, Build],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    request = BuildRequest(dataset=bigearthnet, source=bigearthnet_source, out=memory, **options())
    steps = Itinerary(request).steps()
    first = next(steps)
    first.run(Serial())
    with pytest.raises(TargetError, match="another build is making it"):
        carry_out(request)  # on the same machine: the lock of the folder says so
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another machine"))
    with pytest.raises(TargetError, match=r"is making it \(process \d+ on .*; it was renewed \d+ s ago\)"):
        carry_out(request)
    monkeypatch.setattr(lease, "LIFE", -1.0)
    made = carry_out(request)
    assert made.manifest.content_digest == sealed["zarr"].manifest.content_digest
    pack = next(steps)
    with pytest.raises(TargetError, match="another builder has taken over"):
        pack.run(Serial())
    steps.close()
    assert verify(made.place, full=True) == []


def test_a_builder_that_was_killed_is_followed_at_once_on_its_own_machine(
    memory: str, bigearthnet: Pipeline, bigearthnet_source: Path
) -> None:
    request = BuildRequest(dataset=bigearthnet, source=bigearthnet_source, out=memory, **options())
    first = Itinerary(request)
    step = next(steps := first.steps())
    (draft,) = step.run(Serial())
    locks.release(draft.target.lock)  # as the system does of a process that ends; the lease stays
    draft.target.lock = None
    draft.target.lease.number = None
    assert [name for name in names(memory) if "/lease-" in name]
    assert carry_out(request).place
    steps.close()
    assert not [name for name in names(memory) if ".building/" in name]


def test_a_damaged_build_of_a_store_is_built_again(
    memory: str, bigearthnet: Pipeline, bigearthnet_source: Path
) -> None:
    made = make(bigearthnet, bigearthnet_source, memory)
    Store(made.place).remove([shards(made)[0]])
    (problem,) = verify(made.place)
    assert (problem.what, problem.expected, problem.found) == (shards(made)[0], "a file", "none")
    says: list[str] = []
    request = BuildRequest(dataset=bigearthnet, source=bigearthnet_source, out=memory, **options())
    again = carry_out(request, say=says.append)
    assert any("is damaged and is built again" in text and "Its manifest is removed" in text for text in says)
    assert again.manifest.content_digest == made.manifest.content_digest
    assert verify(again.place, full=True) == []


def test_lmdb_is_refused_with_what_streams(memory: str, bigearthnet: Pipeline, bigearthnet_source: Path) -> None:
    with pytest.raises(UsageError, match=r"nothing streams it from a store. Choose `format=zarr` or `format=webd"):
        make(bigearthnet, bigearthnet_source, memory, "lmdb")
    assert names(memory) == set()


def test_a_source_in_a_store_gives_the_build_of_the_same_files_here(
    prefix: str, bigearthnet: Pipeline, bigearthnet_source: Path, sealed: dict[str, Build], tmp_path: Path
) -> None:
    url = f"{prefix}/raw"
    files, root = fsspec.core.url_to_fs(url)
    files.put(f"{bigearthnet_source}/", root, recursive=True)
    asked = BuildRequest(dataset=bigearthnet, source=url, out=tmp_path / "out", **options())
    build = carry_out(asked)
    assert build.manifest.content_digest == sealed["zarr"].manifest.content_digest
    assert build.name == sealed["zarr"].name, "the place of a source is no part of a recipe"
    with pytest.raises(SourceError, match=r"elsewhere: expected a folder with files, found nothing"):
        carry_out(BuildRequest(dataset=bigearthnet, source=f"{url}/elsewhere", out=tmp_path, **options()))
