"""Files appear whole or not at all, and only after they are on the disk."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Any

import pytest

from sar_data.errors import BuildError, TargetError
from sar_data.system import durable
from tests.mini.strangers import given_away

PARTIAL = rf"file\.{os.getpid()}\.[0-9a-f]{{16}}\.partial"


def test_a_file_appears_when_the_block_ends_and_not_before(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with durable.publish(path) as file:
        file.write(b"one ")
        file.write(memoryview(b"two"))
        (partial,) = tmp_path.iterdir()
        assert re.fullmatch(PARTIAL, partial.name)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"one two"


@pytest.mark.parametrize("error", [BuildError("no"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_a_block_that_fails_leaves_nothing_and_the_old_file_as_it_was(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def attempt() -> None:
        with durable.publish(path) as file:
            file.write(b"new")
            raise error

    with pytest.raises(type(error)):
        attempt()
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"


def test_a_file_is_flushed_then_renamed_then_its_folder_is_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(descriptor: int) -> None:
        calls.append(f"fsync {os.readlink(f'/proc/self/fd/{descriptor}').removeprefix(str(tmp_path))}")
        fsync(descriptor)

    def note_replace(source: Path, target: Path) -> None:
        calls.append(f"rename to {target.name}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    durable.write(tmp_path / "file", b"data")
    first, *others = calls
    assert re.fullmatch(f"fsync /{PARTIAL}", first)
    assert others == ["rename to file", "fsync "]
    calls.clear()
    durable.write(tmp_path / "scratch", b"data", sync=False)
    assert calls == ["rename to scratch"]


def test_short_writes_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data)[:3]))
    with durable.publish(tmp_path / "file") as file:
        assert file.write(b"0123456789") == 10
        assert file.write(memoryview(bytearray(b"ab"))) == 2
    assert (tmp_path / "file").read_bytes() == b"0123456789ab"


def test_long_files_are_sent_to_the_disk_while_they_grow(tmp_path: Path) -> None:
    block = os.urandom(durable.WRITEBACK // 2 + 1)
    with durable.publish(tmp_path / "file") as file:
        assert [file.write(block) for _ in range(5)] == [len(block)] * 5
    assert (tmp_path / "file").read_bytes() == block * 5


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        durable.write(tmp_path / "file", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
def test_the_error_of_a_full_disk_has_the_path_and_the_free_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(TargetError, match=r"/file: disk full, [\d.]+ MB free\. Free some space") as caught:
            durable.write(tmp_path / "file", b"data")
    assert isinstance(caught.value.__cause__, OSError)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_gives_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"missing/file: cannot write: No such file.* Choose another `out=…`"):
        durable.write(tmp_path / "missing" / "file", b"data")


def test_other_errors_pass_unchanged(tmp_path: Path) -> None:
    for error in (TargetError("explained"), BuildError("explained"), ValueError("other")):
        with pytest.raises(type(error)) as caught, durable.explain_errors(tmp_path):
            raise error
        assert caught.value is error


def test_a_full_disk_is_explained_also_below_missing_folders(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="disk full"), durable.explain_errors(tmp_path / "a/b/c"):
        raise OSError(errno.ENOSPC, "full")


def test_every_file_and_folder_of_a_tree_is_flushed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"data")
    durable.sync_tree(tmp_path)
    with pytest.raises(FileNotFoundError):
        durable.sync_tree(tmp_path / "missing")


def test_a_link_with_the_name_of_a_partial_file_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    monkeypatch.setattr(durable.secrets, "token_hex", lambda size: "0" * 2 * size)  # were it to be guessed
    (tmp_path / f"file.{os.getpid()}.{'0' * 16}.partial").symlink_to(tmp_path / "precious")
    with pytest.raises(TargetError, match="file: cannot write: File exists"):
        durable.write(tmp_path / "file", b"data")
    assert (tmp_path / "precious").read_bytes() == b"precious"


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "file").symlink_to(tmp_path / "precious")
    durable.write(tmp_path / "file", b"data")
    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert not (tmp_path / "file").is_symlink()


def test_only_partial_files_of_dead_processes_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    os.mkfifo(tmp_path / "file.1.2.partial")
    (tmp_path / "file.1.3.partial").symlink_to(tmp_path / "precious")
    (tmp_path / "file.1.4.partial").write_bytes(b"torn")
    (tmp_path / "other.1.5.partial").write_bytes(b"torn")
    (tmp_path / "file.1.6.partial").write_bytes(b"of somebody else")
    with durable.publish(tmp_path / "file") as file:
        file.write(b"being written")
        durable.sweep(tmp_path, "file")
    assert (tmp_path / "file").read_bytes() == b"being written"
    left = {path.name for path in tmp_path.iterdir()}
    assert {"file.1.2.partial", "file.1.3.partial", "other.1.5.partial", "precious"} <= left
    assert "file.1.4.partial" not in left
    (tmp_path / "file.1.6.partial").write_bytes(b"of somebody else")
    given_away(tmp_path / "file.1.6.partial", monkeypatch)
    durable.sweep(tmp_path)
    assert (tmp_path / "file.1.6.partial").exists()


def test_short_writes_at_an_offset_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda descriptor, data, at: pwrite(descriptor, bytes(data)[:3], at))
    with open(tmp_path / "file", "w+b") as file:
        assert durable.write_all(file.fileno(), b"0123456789", 5) == 10
    assert (tmp_path / "file").read_bytes() == bytes(5) + b"0123456789"
