"""Agreements between processes: locks on open files and folders, which the system drops with their process."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def locked(descriptor: int) -> bool:
    """Lock an open file or folder for oneself, unless somebody has a lock on it; raise OSError where none are kept."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_at(descriptor: int, path: Path) -> bool:
    """Say whether an open file or folder is the one that has this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def acquired(path: Path, opened: Callable[[], int], busy: Callable[[], object]) -> int:
    """Return what `opened` opens under a name, locked for this process alone.

    What lost its name before it was locked is opened anew. While somebody else has the lock, `busy` is called again and
    again: it sleeps, or raises.
    """
    while True:
        descriptor = opened()
        try:
            free = locked(descriptor)
            if free and is_at(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        release(descriptor)
        if not free:
            busy()


@contextmanager
def held(descriptor: int) -> Iterator[int]:
    """Wait for the lock of an open file or folder, and close it at the end."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        release(descriptor)


def release(descriptor: int) -> None:
    """Drop a lock and close its descriptor: a forked child may hold a copy, with which the lock would go on."""
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)
