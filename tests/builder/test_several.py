"""Several containers of one read: each is the build that it is alone, and a kill costs none of them."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sar_data.builder import pack
from sar_data.builder.following import AHEAD, write_each
from sar_data.builder.itinerary import build, carry_out
from sar_data.errors import BadRecord, TargetError
from sar_data.formats.container import Entry, Written
from sar_data.formats.lmdb import Lmdb
from sar_data.record import Record, Sample, SourceFile
from sar_data.sealed.opened import Build
from sar_data.spec import Tree
from tests.builder.several import CONTAINERS, asked
from tests.kill.evidence import contents as values
from tests.mini import invented
from tests.mini.builds import contents, visible

COUNT = 12


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return invented.archive(tmp_path_factory.mktemp("several") / "raw", COUNT)


@pytest.fixture(scope="module")
def alone(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Build]:
    request = asked(source, tmp_path_factory.mktemp("alone"))
    return {name: build(request.of(name)) for name in CONTAINERS}


def assert_as_alone(made: Iterable[Build], alone: dict[str, Build]) -> None:
    made = list(made)
    assert [one.manifest.format for one in made] == list(CONTAINERS)
    assert {one.manifest.content_digest for one in made} == {alone["zarr"].manifest.content_digest}
    for one in made:
        other = alone[one.manifest.format]
        assert one.path.name == other.path.name
        stored, expected = contents(one.path), contents(other.path)
        if one.manifest.format == "lmdb":  # whose pages may lie elsewhere
            assert values(one.path) == values(other.path)
            stored, expected = (
                {name: files[name] for name in files if name.endswith("parquet")} for files in (stored, expected)
            )
        assert stored == expected


@pytest.mark.parametrize("kept", [0, pack.MOST_KEPT])
def test_each_container_is_the_build_that_it_is_alone_and_each_image_is_read_once(
    source: Path, alone: dict[str, Build], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    monkeypatch.setattr(pack, "MOST_KEPT", kept)
    read = Counter[str]()
    request = asked(source, tmp_path)
    pipeline = request.pipeline

    def counted(tree: Tree, record: Record) -> Sample:
        read[record.key] += 1
        return pipeline.read(tree, record)

    results = carry_out(dataclasses.replace(request, dataset=dataclasses.replace(pipeline, read=counted)))
    assert_as_alone((result.build for result in results), alone)
    assert (len(read), set(read.values())) == (COUNT, {1})


def test_what_one_container_lacks_is_packed_for_it_alone(source: Path, alone: dict[str, Build], tmp_path: Path) -> None:
    request = asked(source, tmp_path)
    first = build(request.of("zarr"))
    results = carry_out(request)
    assert [result.reused for result in results] == [False, False, True]
    assert results[2].build.path == first.path
    assert_as_alone((result.build for result in results), alone)


def test_a_killed_build_of_several_goes_on_with_each(source: Path, alone: dict[str, Build], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.builder.several", source, tmp_path / "out", "3"]
    killed = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert int(killed.stdout) > 1
    assert len(visible(tmp_path / "out")) == len(CONTAINERS)
    assert [path.name for path in (tmp_path / "out").glob("*/*/.*")] == []
    results = carry_out(asked(source, tmp_path / "out"))
    assert all(result.reused for result in results)
    assert_as_alone((result.build for result in results), alone)


def test_a_key_that_one_container_refuses_is_missing_in_that_one_alone(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = "s0003"
    monkeypatch.setattr(Lmdb, "refuse", lambda container, key: "expected another key" if key == refused else None)
    request = dataclasses.replace(asked(source, tmp_path), format=("webdataset", "lmdb"), bad_records="quarantine")
    whole, lacking = (result.build for result in carry_out(request))
    assert [[record.key for record in one.manifest.quarantine] for one in (whole, lacking)] == [[], [refused]]
    keys, others = (set(one.index()["key"].to_pylist()) for one in (whole, lacking))
    assert keys - others == {refused}


ENTRIES = [
    Entry(Record(key=str(n), files=(SourceFile("f", 1),), labels={}, objects=(), shape=(1, 1)), None)
    for n in range(4 * AHEAD)
]


def collect(seen: list[Entry]) -> Any:
    def write(entries: Iterable[Entry]) -> Written:
        seen.extend(entries)
        return Written(len(seen), [], [])

    return write


def test_each_writer_sees_all_entries_in_order() -> None:
    seen: list[list[Entry]] = [[], [], []]

    def lazy(entries: Iterable[Entry]) -> Written:
        seen[0].append(next(iter(entries)))
        return Written(1, [], [])

    written = write_each([lazy, collect(seen[1]), collect(seen[2])], iter(ENTRIES))
    assert [one.bytes for one in written] == [1, len(ENTRIES), len(ENTRIES)]
    assert (seen[1], seen[2]) == (ENTRIES, ENTRIES)


def test_a_pass_that_fails_ends_no_writer_as_if_it_were_whole() -> None:
    def broken() -> Iterator[Entry]:
        yield from ENTRIES[:3]
        raise BadRecord("f", "broken")

    ended: list[str] = []

    def write(entries: Iterable[Entry]) -> Written:
        for _ in entries:
            pass
        ended.append("whole")
        return Written(0, [], [])

    with pytest.raises(BadRecord, match="broken"):
        write_each([write] * 3, broken())
    assert ended == []


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_writer_that_fails_stops_the_pass(place: int) -> None:
    def full(entries: Iterable[Entry]) -> Written:
        next(iter(entries))
        raise TargetError("disk full")

    seen: list[Entry] = []
    writers = [collect(seen), collect([]), collect([])]
    writers[place] = full
    with pytest.raises(TargetError, match="disk full"):
        write_each(writers, iter(ENTRIES))
