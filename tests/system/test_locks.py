"""A name and a lock belong together, and both end with their process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sar_data.system import locks, private
from tests.mini.hang import HANG_S

HOLDER = """
import os, sys
from pathlib import Path
from sar_data.system import locks, private
descriptor = private.open_file(Path(sys.argv[1]), os.O_RDWR | os.O_CREAT)
assert locks.try_lock(descriptor)
print("held", flush=True)
sys.stdin.read()
"""


def opened(path: Path) -> int:
    return private.open_file(path, os.O_RDWR | os.O_CREAT)


def test_a_lock_belongs_to_one_process_and_ends_with_it(tmp_path: Path) -> None:
    path, busy = tmp_path / "file", list[int]()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"

    def wait() -> None:
        busy.append(1)
        holder.kill()
        holder.communicate(timeout=HANG_S)

    descriptor = locks.acquire(path, lambda: opened(path), wait)
    assert len(busy) == 1
    locks.release(descriptor)


def test_waiting_for_a_lock_may_be_given_up(tmp_path: Path) -> None:
    path = tmp_path / "file"
    mine = locks.acquire(path, lambda: opened(path), lambda: None)

    def give_up() -> None:
        raise TimeoutError

    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(TimeoutError):
        locks.acquire(path, lambda: opened(path), give_up)
    assert len(os.listdir("/proc/self/fd")) == before
    locks.release(mine)


def test_a_renamed_file_is_opened_again(tmp_path: Path) -> None:
    path, made = tmp_path / "file", list[int]()

    def moving() -> int:
        descriptor = opened(path)
        made.append(os.fstat(descriptor).st_ino)
        if len(made) == 1:
            os.rename(path, tmp_path / "published")
        return descriptor

    descriptor = locks.acquire(path, moving, lambda: None)
    assert len(made) == 2
    assert locks.is_at(descriptor, path)
    assert not locks.is_at(descriptor, tmp_path / "published")
    assert not locks.is_at(descriptor, tmp_path / "none")
    locks.release(descriptor)


def test_a_link_to_a_file_is_not_that_file(tmp_path: Path) -> None:
    descriptor = opened(tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert not locks.is_at(descriptor, tmp_path / "link")
    os.close(descriptor)


def test_an_exclusive_lock_ends_with_its_block(tmp_path: Path) -> None:
    with locks.exclusive_lock(opened(tmp_path / "file")):
        other = opened(tmp_path / "file")
        assert not locks.try_lock(other)
    assert locks.try_lock(other)
    locks.release(other)
