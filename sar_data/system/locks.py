"""Locks on open files and folders, which the system releases when their process ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def try_lock(descriptor: int) -> bool:
    """Lock an open file or folder exclusively; return False where another process has the lock.

    Raises OSError where the file system has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_at(descriptor: int, path: Path) -> bool:
    """Say whether an open file or folder is the one at this path."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def acquire(path: Path, open_file: Callable[[], int], on_busy: Callable[[], object]) -> int:
    """Return what `open_file` opens at a path, locked for this process alone.

    A file that lost its name before it was locked is opened again. While another process has the lock, `on_busy` is
    called repeatedly: it sleeps, or raises.
    """
    while True:
        descriptor = open_file()
        try:
            free = try_lock(descriptor)
            if free and is_at(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        release(descriptor)
        if not free:
            on_busy()


@contextmanager
def exclusive_lock(descriptor: int) -> Iterator[int]:
    """Wait for the lock of an open file or folder; close the descriptor at the end."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        release(descriptor)


def release(descriptor: int) -> None:
    """Release a lock and close its descriptor: a forked child may have a copy, which would keep the lock."""
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)
