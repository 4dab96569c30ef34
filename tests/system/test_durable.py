"""Files appear whole or not at all, and only after they are on the disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from sar_data.errors import BuildError, TargetError
from sar_data.system import durable


def test_a_file_appears_when_the_block_ends_and_not_before(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with durable.publish(path) as file:
        file.write(b"one ")
        file.write(memoryview(b"two"))
        assert [p.name for p in tmp_path.iterdir()] == [f"file.{os.getpid()}.partial"]
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
    assert calls == [f"fsync /file.{os.getpid()}.partial", "rename to file", "fsync "]
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
def test_a_full_disk_is_explained_with_the_path_and_what_is_free(
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


def test_a_folder_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"missing/file: cannot write: No such file.* Choose another `out=…`"):
        durable.write(tmp_path / "missing" / "file", b"data")


def test_what_is_explained_already_and_what_is_no_matter_of_files_passes(tmp_path: Path) -> None:
    for error in (TargetError("explained"), BuildError("explained"), ValueError("other")):
        with pytest.raises(type(error)) as caught, durable.explained(tmp_path):
            raise error
        assert caught.value is error


def test_a_disk_full_deep_in_folders_that_do_not_exist_is_explained(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="disk full"), durable.explained(tmp_path / "a/b/c"):
        raise OSError(errno.ENOSPC, "full")


def test_a_tree_is_flushed_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"data")
    durable.sync_tree(tmp_path)
    with pytest.raises(FileNotFoundError):
        durable.sync_tree(tmp_path / "missing")
