"""Work files and folders that are our own: no links, of our user, and nobody else may write to them.

Others may write to the folder that ours lie in, and know what ours are called. What they put there under such a name is
neither followed nor believed.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path

from sar_data.errors import TargetError

OTHERS = stat.S_IWGRP | stat.S_IWOTH
REMEDY = "Somebody else may have put it there: look at it, remove it, or choose another folder."


def open_folder(path: Path) -> int:
    """Open a folder of our own, made where there is none; raise TargetError where it is a link or somebody else's.

    What is in it may be theirs all the same: see `was_shared`.
    """
    descriptor, made = _entered(path)
    try:
        _check_owner(path, descriptor, "a folder", made=made)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _entered(path: Path) -> tuple[int, bool]:
    """Return a folder's descriptor, and whether it was made just now."""
    while True:
        made = True
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            made = False
        try:
            return _opened(path, os.O_RDONLY | os.O_DIRECTORY, "a folder"), made
        except FileNotFoundError:
            continue  # removed by its owner meanwhile


def was_shared(descriptor: int) -> bool:
    """Take a folder of our own away from others; say whether they could write to it until now.

    A file system that has no modes keeps none, and answers False.
    """
    mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
    if not mode & OTHERS:
        return False
    try:
        os.fchmod(descriptor, mode & ~OTHERS)
    except OSError:
        return False
    return not os.fstat(descriptor).st_mode & OTHERS


def empty(folder: Path) -> None:
    """Remove everything in a folder; links are removed, not followed."""
    for child in folder.iterdir():
        shutil.rmtree(child) if child.is_dir() and not child.is_symlink() else child.unlink()


def private_folder(path: Path) -> None:
    """Make a folder of our own, or take the one that is there, emptied where others could write to it until now.

    Raises TargetError as `open_folder` does.
    """
    descriptor = open_folder(path)
    try:
        if was_shared(descriptor):
            empty(path)
    finally:
        os.close(descriptor)


def open_file(path: Path, flags: int) -> int:
    """Open a regular file of our own, made where `flags` say so; raise TargetError for links and somebody else's."""
    # Not to wait for the other end of a pipe.
    descriptor = _opened(path, flags | os.O_NONBLOCK, "a file")
    try:
        _check_owner(path, descriptor, "a file", made=False)
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise TargetError(f"{path}: expected a file, found a folder, a device or a pipe. {REMEDY}")
        if facts.st_nlink > 1:
            raise TargetError(f"{path}: expected a file with one name, found one with {facts.st_nlink}. {REMEDY}")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def believed(path: Path, origins: Iterable[str | Path]) -> bool:
    """Say whether a file is there that is a regular one of our own, or of whoever owns one of what it was made from."""
    try:
        facts = os.lstat(path)
        if not stat.S_ISREG(facts.st_mode):
            return False
        owners = {os.geteuid(), *(os.stat(origin).st_uid for origin in origins)}
        return facts.st_uid in owners or facts.st_uid == _us_in(path.parent)
    except OSError:
        return False


def _opened(path: Path, flags: int, what: str) -> int:
    try:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO):
            found = "a link" if path.is_symlink() else "something else"
            raise TargetError(f"{path}: expected {what} of our own, found {found}. {REMEDY}") from error
        raise


def _check_owner(path: Path, descriptor: int, what: str, *, made: bool) -> None:
    owner = os.fstat(descriptor).st_uid
    if made or owner == os.geteuid() or owner == _us_in(path.parent):
        return
    raise TargetError(f"{path}: expected {what} of our own, found one of user {owner}. {REMEDY}")


def _us_in(folder: Path) -> int:
    """Return the owner that a file of ours gets in a folder: some mounts know us by another number."""
    probe = folder / f".owner-{secrets.token_hex(8)}"
    descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        return os.fstat(descriptor).st_uid
    finally:
        os.close(descriptor)
        probe.unlink()
