"""One process fetches a file at a time: the lock is on the part itself, and ends with its process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sar_data.download.partial import Part, note_path, part_path, read_note
from sar_data.errors import SarDataError, TargetError
from sar_data.system import durable, locks, private

LOOK_AGAIN_S = 0.1


@contextmanager
def lock_part(target: Path, wait: Callable[[float], object], say: Callable[[str], None]) -> Iterator[Part | None]:
    """Lock the part of `target`; yield None where the target exists, perhaps published by another process just now.

    Waits for another process, and reports it through `say`. The lock ends with the process; an empty part is removed at
    the end of the block. `wait` sleeps for a number of seconds, and may raise.
    """
    descriptor = _acquire(target, wait, say)
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
            _remove_empty(part)
    finally:
        locks.release(descriptor)


def _acquire(target: Path, wait: Callable[[float], object], say: Callable[[str], None]) -> int | None:
    """Return the descriptor of the locked part, None once the target exists."""
    path, reported = part_path(target), False

    def open_part() -> int:
        with durable.explain_errors(target, "to"):
            target.parent.mkdir(parents=True, exist_ok=True)
            return private.open_file(path, os.O_RDWR | os.O_CREAT)

    def on_busy() -> None:
        nonlocal reported
        note = read_note(note_path(target))
        if note.pid and not reported:
            reported = True
            say(f"{target.name}: process {note.pid} on {note.host} is fetching it: waiting for it")
        wait(LOOK_AGAIN_S)

    if target.exists():
        if not path.exists():  # else its owner is about to clean up
            note_path(target).unlink(missing_ok=True)
            _sweep(target)
        return None
    try:
        descriptor = locks.acquire(path, open_part, on_busy)
    except SarDataError:
        raise
    except OSError as error:
        raise TargetError(f"{target.parent}: expected a disk that locks files: {error.strerror}") from error
    if not target.exists():
        return descriptor
    path.unlink()  # published after the first look, so this part is a new one
    locks.release(descriptor)
    note_path(target).unlink(missing_ok=True)
    _sweep(target)
    return None


def _remove_empty(part: Part) -> None:
    """Remove a part without bytes."""
    path = part_path(part.target)
    with suppress(FileNotFoundError):
        if not part.have and locks.is_at(part.descriptor, path):
            note_path(part.target).unlink(missing_ok=True)
            path.unlink()


def _sweep(target: Path) -> None:
    """Remove unfinished notes of killed processes."""
    durable.sweep(target.parent, note_path(target).name)
