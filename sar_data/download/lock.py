"""One process fetches a file at a time: the lock is on the part itself, and ends with its process."""

from __future__ import annotations

import fcntl
import glob
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sar_data.download.partial import Part, note_path, part_path, read_note
from sar_data.errors import TargetError
from sar_data.system import durable

LOOK_AGAIN_S = 0.1


@contextmanager
def held(target: Path, wait: Callable[[float], object], say: Callable[[str], None]) -> Iterator[Part | None]:
    """Lock the part of `target`; yield None where the target is there, maybe published by another process just now.

    Another holder is waited for, and named through `say`. The lock ends with the process, and an empty part with
    the block. `wait` sleeps so many seconds, and may raise.
    """
    descriptor = _acquired(target, wait, say)
    if descriptor is None:
        yield None
        return
    try:
        part = Part(target, descriptor)
        _sweep(target)
        part.sign()
        try:
            yield part
        finally:
            _leave(part)
    finally:
        os.close(descriptor)


def _acquired(target: Path, wait: Callable[[float], object], say: Callable[[str], None]) -> int | None:
    """Return the descriptor of the locked part, None once the target is there."""
    said = False
    while True:
        with durable.explained(target, "to"):
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                if not part_path(target).exists():  # else its holder is about to clear up
                    note_path(target).unlink(missing_ok=True)
                    _sweep(target)
                return None
            descriptor = os.open(part_path(target), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        locked: bool | None = False
        try:
            locked = _locked(target, descriptor)
            if locked and target.exists():  # published after it was looked for, so this part is a new one
                part_path(target).unlink()
                locked = False
        finally:
            if not locked:
                os.close(descriptor)
        if locked:
            return descriptor
        if locked is None:
            note = read_note(note_path(target))
            if note.pid and not said:
                said = True
                say(f"{target.name}: process {note.pid} on {note.host} is fetching it: waiting for it")
            wait(LOOK_AGAIN_S)


def _locked(target: Path, descriptor: int) -> bool | None:
    """Lock a part: None where another process has it, False where that gave it its name or removed it meanwhile."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    except OSError as error:
        raise TargetError(f"{target.parent}: expected a disk that locks files: {error.strerror}") from error
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), os.stat(part_path(target)))
    return False


def _leave(part: Part) -> None:
    """Remove a part without bytes, so that nothing is left where nothing was begun."""
    path = part_path(part.target)
    with suppress(FileNotFoundError):
        if not part.have and os.path.samestat(os.fstat(part.descriptor), os.stat(path)):
            note_path(part.target).unlink(missing_ok=True)
            path.unlink()


def _sweep(target: Path) -> None:
    """Remove the notes that killed processes did not finish."""
    note = note_path(target)
    for path in note.parent.glob(f"{glob.escape(note.name)}.*{durable.PARTIAL}"):
        path.unlink(missing_ok=True)
