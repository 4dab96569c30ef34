"""Hostile and damaged archives: refused by the member's name, and nothing is written but what --work is for."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import xxhash

from sar_data.errors import BadRecord, SourceError
from sar_data.sources.archives import detect, members
from sar_data.sources.archives.open import open_tree
from tests.contract.trees import walked
from tests.mini.archives import KINDS, zip_bytes
from tests.mini.builds import snapshot
from tests.mini.hostile import HOSTILE
from tests.mini.strangers import given_away


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_with_the_member_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = HOSTILE[name]
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    (tmp_path / "canary.txt").write_text("alive")
    (home / hostile.file).write_bytes(hostile.make())
    monkeypatch.chdir(home)
    before = {path: facts for path, facts in snapshot(tmp_path).items() if not path.startswith("work")}
    with pytest.raises(BadRecord if hostile.at_read else SourceError) as caught:
        walked(open_tree(home / hostile.file, work=work))
    message = str(caught.value)
    assert "evil." in message
    assert message.count(str(home)) <= 1
    assert repr(hostile.member)[1:-1] in message
    assert re.search(hostile.reason, message), message
    after = {path: facts for path, facts in snapshot(tmp_path).items() if not path.startswith("work")}
    assert after == before
    left = list(work.rglob("*"))
    assert all(path.is_file() and not path.is_symlink() for path in left)
    assert sum(path.stat().st_size for path in left) <= (64 << 20) + (8 << 20)
    assert hostile.at_read or not [path for path in left if path.name.endswith(".members")]


def test_there_are_many_hostile_archives() -> None:
    assert len(HOSTILE) >= 80


def test_a_partial_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    archive = KINDS["tar.gz"]({"a.txt": b"x"}, tmp_path / "home")
    open_tree(archive, work=tmp_path / "first")
    (made,) = (tmp_path / "first").glob("*.plain.tar")
    (tmp_path / "work").mkdir()
    (tmp_path / "canary.txt").write_text("alive")
    os.symlink(tmp_path / "canary.txt", tmp_path / "work" / f"{made.name}.partial")
    with pytest.raises(OSError, match="partial"):
        open_tree(archive, work=tmp_path / "work")
    assert (tmp_path / "canary.txt").read_text() == "alive"


@pytest.mark.parametrize("what", ["table", "plain tar"])
def test_files_of_another_user_for_an_archive_are_not_trusted(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = KINDS["tar.gz"]({"a.txt": b"right"}, tmp_path / "home")
    work = tmp_path / "work"
    assert walked(open_tree(archive, work=work)) == {"a.txt": b"right"}
    (left,) = work.glob(".*.members" if what == "table" else "*.plain.tar")
    if what == "plain tar":
        left.write_bytes(left.read_bytes().replace(b"right", b"wrong"))
    before = left.stat().st_ino
    given_away(left, monkeypatch)
    if os.geteuid() == 0:
        assert walked(open_tree(archive, work=work)) == {"a.txt": b"right"}
        assert left.stat().st_ino != before, "it was made anew"
        assert left.stat().st_uid == 0


def test_a_table_that_is_a_link_is_replaced(tmp_path: Path) -> None:
    archive = KINDS["tar, GNU"]({"a.txt": b"right"}, tmp_path / "home")
    work = tmp_path / "work"
    open_tree(archive, work=work)
    (table,) = work.glob(".*.members")
    table.rename(tmp_path / "elsewhere")
    table.symlink_to(tmp_path / "elsewhere")
    before = (tmp_path / "elsewhere").read_bytes()
    assert walked(open_tree(archive, work=work)) == {"a.txt": b"right"}
    assert not table.is_symlink()
    assert (tmp_path / "elsewhere").read_bytes() == before


def forged(table: Path, column: str, row: int, value: int) -> None:
    """Change a number of a table, with a digest that fits."""
    data = bytearray(table.read_bytes()[: -members.DIGEST])
    at = members.WIDTH + int.from_bytes(data[: members.WIDTH], "little")
    count = json.loads(data[members.WIDTH : at])["rows"]
    for name, code in members.STORED_COLUMNS:
        size = np.dtype(code).itemsize
        if name == column:
            data[at + row * size : at + (row + 1) * size] = value.to_bytes(size, "little")
            break
        at += size * (count + (name == "end"))
    table.unlink()  # this process has mapped the sound one
    table.write_bytes(data + xxhash.xxh3_128_digest(bytes(data)))


@pytest.mark.parametrize(
    ("column", "row", "value"),
    [
        *(("end", 1, 1), ("end", 2, 1 << 40), ("row", 0, 9), ("kind", 0, 1), ("kind", 2, 4), ("part", 1, 7)),
        *(("offset", 0, 1 << 40), ("size", 0, 1 << 63), ("offset", 2, 1 << 20), ("size", 2, 1 << 62)),
        *(("packed", 1, 1 << 62), ("size", 1, 65 << 20)),
    ],
)
def test_a_table_that_came_with_its_archive_leads_out_of_nothing(
    tmp_path: Path, column: str, row: int, value: int
) -> None:
    archive = KINDS["zip, deflated"]({"a.txt": b"right" * 99, "folder/b.txt": b"x"}, tmp_path)
    known = walked(open_tree(archive))
    (table,) = tmp_path.glob(".*.members")
    whole = table.read_bytes()
    forged(table, column, row, value)
    assert table.read_bytes() != whole
    assert walked(open_tree(archive)) == known
    assert table.read_bytes() == whole


def test_partial_tables_of_dead_processes_are_removed(tmp_path: Path) -> None:
    archive = KINDS["tar, GNU"]({"a.txt": b"right"}, tmp_path / "home")
    work = tmp_path / "work"
    open_tree(archive, work=work)
    (table,) = work.glob(".*.members")
    table.unlink()
    (work / f"{table.name}.7.0123456789abcdef.partial").write_bytes(b"torn")
    open_tree(archive, work=work)
    assert [path.name for path in work.iterdir()] == [table.name]


def test_zips_deeper_than_one_in_another_are_files(tmp_path: Path) -> None:
    inmost = zip_bytes({"a.txt": b"x"})
    (tmp_path / "all.zip").write_bytes(zip_bytes({"one.zip": zip_bytes({"two.zip": inmost})}))
    assert walked(open_tree(tmp_path / "all.zip")) == {"one": None, "one/two.zip": inmost}


def test_blanks_without_end_are_no_suffix_of_a_browser() -> None:
    assert detect.SAVED.sub("", " " * (1 << 20) + "x") == " " * (1 << 20) + "x"
    assert detect.SAVED.sub("", "a (1).zip") == "a.zip"
