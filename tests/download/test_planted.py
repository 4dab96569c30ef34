"""A download overwrites nothing through what somebody put where its parts lie."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sar_data.download import ledger
from sar_data.download.http import Web
from sar_data.download.retry import Patience
from sar_data.download.target import Target
from sar_data.download.transfer import download
from sar_data.errors import FetchError, TargetError
from tests.download import site as web
from tests.download.site import Site, good
from tests.mini.hang import HANG_S
from tests.mini.strangers import given_away

DATA = b"data" * 1000
CHECKSUM = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
HASTE = Patience(attempts=3, first_s=0.001, most_s=0.002, connect_s=HANG_S, read_s=HANG_S)


@pytest.fixture
def here() -> Iterator[Site]:
    with web.serving() as site:
        site.answers["/a"] = [good(DATA)]
        yield site


def fetched(site: Site, folder: Path) -> bytes:
    wanted = Target(name="a", urls=(f"{site.url}/a",), size=len(DATA), checksum=CHECKSUM)
    with Web(patience=HASTE) as client:
        return download(wanted, folder, web=client).path.read_bytes()


@pytest.mark.parametrize("plant", ["link", "second name", "pipe", "of somebody else"])
def test_a_part_of_another_user_is_refused_and_left_unchanged(
    here: Site, tmp_path: Path, plant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    precious, part = tmp_path / "precious", tmp_path / "to" / "a.part"
    precious.write_text("years of work")
    part.parent.mkdir()
    if plant == "link":
        part.symlink_to(precious)
    elif plant == "second name":
        os.link(precious, part)
    elif plant == "pipe":
        os.mkfifo(part)
    else:
        part.write_text("theirs")
        given_away(part, monkeypatch)
    with pytest.raises(TargetError, match=r"a\.part: expected a file"):
        fetched(here, part.parent)
    assert precious.read_text() == "years of work"
    assert os.path.lexists(part)
    part.unlink()
    monkeypatch.undo()
    assert fetched(here, part.parent) == DATA


def test_links_in_the_place_of_notes_and_of_the_record_are_replaced(here: Site, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("years of work")
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "a.part.json").symlink_to(precious)
    assert fetched(here, tmp_path / "to") == DATA
    assert precious.read_text() == "years of work"
    empty = tmp_path / "empty.json"
    empty.write_text(ledger.Ledger().model_dump_json())
    before = empty.read_bytes()
    (tmp_path / "to" / ledger.NAME).symlink_to(empty)
    entry = ledger.Entry(url="https://x/a", bytes=1, checksum=CHECKSUM, kind="published", time="now")
    ledger.record(tmp_path / "to", "a", entry)
    assert empty.read_bytes() == before
    assert ledger.read(tmp_path / "to").files == {"a": entry}


def test_no_pipe_in_the_place_of_a_file_or_a_record_blocks_a_download(here: Site, tmp_path: Path) -> None:
    for name in ("a", ledger.NAME):
        os.mkfifo(tmp_path / name)
    with pytest.raises(FetchError, match="expected a file, found a folder, a pipe or a device"):
        fetched(here, tmp_path)
    with pytest.raises(FetchError, match=r"sources\.json: .*a pipe or a device"):
        ledger.read(tmp_path)


@pytest.mark.parametrize("planted", ["pipe", "[" * 100_000])
def test_a_note_that_is_none_begins_a_download_anew(here: Site, tmp_path: Path, planted: str) -> None:
    (tmp_path / "a.part").write_bytes(b"not those")
    if planted == "pipe":
        os.mkfifo(tmp_path / "a.part.json")
    else:
        (tmp_path / "a.part.json").write_text(planted)
    assert fetched(here, tmp_path) == DATA
