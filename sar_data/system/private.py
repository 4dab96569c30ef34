"""Private work files and folders: no links, owned by our user, and not writable for others.

Other users may write to the parent folder and know our names. A file that they put there under such a name is
neither followed nor trusted.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from sar_data.errors import TargetError

OTHERS = stat.S_IWGRP | stat.S_IWOTH
REMEDY = "Another user may have put it there: look at it, remove it, or choose another folder."


def open_folder(path: Path) -> int:
    """Open a folder of our own, created if missing; raise TargetError for a link or another user's folder.

    Others may still have written files into it: see `make_private`.
    """
    descriptor, created = _create_or_open(path)
    try:
        _check_owner(path, descriptor, "a folder", created=created)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _create_or_open(path: Path) -> tuple[int, bool]:
    """Return the descriptor of a folder, and whether it was just created."""
    while True:
        created = True
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            created = False
        try:
            return _open_no_follow(path, os.O_RDONLY | os.O_DIRECTORY, "a folder"), created
        except FileNotFoundError:
            continue  # removed by its owner meanwhile


def make_private(descriptor: int) -> bool:
    """Make a folder of our own unwritable for others; return whether they could write to it until now.

    Returns False on a file system without modes.
    """
    mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
    if not mode & OTHERS:
        return False
    try:
        os.fchmod(descriptor, mode & ~OTHERS)
    except OSError:
        return False
    return not os.fstat(descriptor).st_mode & OTHERS


def is_plain(folder: Path) -> bool:
    """Say whether a folder contains only real folders and regular files with one name, all of its own owner.

    A folder of ours may have come out of an archive, with links and pipes in it.
    """
    owner = os.lstat(folder).st_uid
    for path in folder.rglob("*"):
        try:
            facts = os.lstat(path)
        except FileNotFoundError:
            continue  # the last file of a worker that outlives its builder
        regular = stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1
        if facts.st_uid != owner or not (regular or stat.S_ISDIR(facts.st_mode)):
            return False
    return True


def make_folders(home: Path, path: Path) -> None:
    """Create the folders below `home` down to `path` where they are missing; raise TargetError for a link among them.

    `home` itself was chosen by the user, and may be a link.
    """
    with suppress(FileExistsError):
        home.mkdir(parents=True)
    for part in path.relative_to(home).parts:
        home = home / part
        with suppress(FileExistsError):
            home.mkdir()
        if not stat.S_ISDIR(os.lstat(home).st_mode):
            raise TargetError(f"{home}: expected a folder of our own, found a link or a file. {REMEDY}")


def clear_folder(folder: Path) -> None:
    """Remove everything in a folder; links are removed, not followed."""
    for child in folder.iterdir():
        shutil.rmtree(child) if child.is_dir() and not child.is_symlink() else child.unlink()


def private_folder(path: Path) -> None:
    """Create a folder of our own, or use the existing one.

    It is cleared where others could write to it until now, or where it contains links or pipes. Raises TargetError as
    `open_folder` does.
    """
    descriptor = open_folder(path)
    try:
        if make_private(descriptor) or not is_plain(path):
            clear_folder(path)
    finally:
        os.close(descriptor)


def open_file(path: Path, flags: int) -> int:
    """Open a regular file of our own, created if `flags` say so; raise TargetError for links and files of others."""
    # O_NONBLOCK: never wait for the other end of a pipe.
    descriptor = _open_no_follow(path, flags | os.O_NONBLOCK, "a file")
    try:
        _check_owner(path, descriptor, "a file", created=False)
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise TargetError(f"{path}: expected a file, found a folder, a device or a pipe. {REMEDY}")
        if facts.st_nlink > 1:
            raise TargetError(f"{path}: expected a file with one name, found one with {facts.st_nlink}. {REMEDY}")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def is_trusted(path: Path, origins: Iterable[str | Path]) -> bool:
    """Say whether a file is a regular one that belongs to us, or to an owner of the files it was made from."""
    try:
        facts = os.lstat(path)
        if not stat.S_ISREG(facts.st_mode):
            return False
        owners = {os.geteuid(), *(os.stat(origin).st_uid for origin in origins)}
        return facts.st_uid in owners or facts.st_uid == _own_user_in(path.parent)
    except OSError:
        return False


def _open_no_follow(path: Path, flags: int, what: str) -> int:
    try:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO):
            kind = "a link" if path.is_symlink() else "something else"
            raise TargetError(f"{path}: expected {what} of our own, found {kind}. {REMEDY}") from error
        raise


def _check_owner(path: Path, descriptor: int, what: str, *, created: bool) -> None:
    owner = os.fstat(descriptor).st_uid
    if created or owner == os.geteuid() or owner == _own_user_in(path.parent):
        return
    raise TargetError(f"{path}: expected {what} of our own, found one of user {owner}. {REMEDY}")


def _own_user_in(folder: Path) -> int:
    """Return the owner that a new file of ours gets in a folder: some mounts map users to other numbers."""
    probe = folder / f".owner-{secrets.token_hex(8)}"
    descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        return os.fstat(descriptor).st_uid
    finally:
        os.close(descriptor)
        probe.unlink()
