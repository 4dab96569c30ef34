"""System calls that fail once: at which of them a build writes, and what becomes of a build where one fails."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sar_data.errors import TargetError
from sar_data.sealed.manifest import NAME
from sar_data.sealed.opened import Build
from tests.kill.evidence import Undisturbed
from tests.mini.builds import visible

Make = Callable[[Path], Build]

# Each call, and which of its arguments is the path; None where it takes a file descriptor.
CALLS = {"open": 0, "mkdir": 0, "unlink": 0, "replace": 1, "rename": 1, "write": None, "fsync": None}
SHORT_WRITE = 0
VARYING = re.compile("[0-9a-f]{32}|[0-9]+|train|val(?!id)|test")
NUMBERS = (errno.ENOSPC, errno.EIO, SHORT_WRITE, errno.EMFILE, errno.EACCES)


@contextmanager
def memory() -> Iterator[Path]:
    """Make a folder in memory, where there is one: a hundred builds then wait for no disk."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else None) as folder:
        yield Path(folder)


class Calls:
    """Counts the calls on files below a folder, and lets one of them fail with an error number."""

    def __init__(self, patch: pytest.MonkeyPatch, below: Path, turn: int | None = None, number: int = 0) -> None:
        self._below, self._turn, self._number = str(below), turn, number
        self.seen: list[str] = []
        for name, where in CALLS.items():
            patch.setattr(os, name, self._watched(name, getattr(os, name), where))

    def _watched(self, name: str, function: Callable[..., Any], where: int | None) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            path = os.readlink(f"/proc/self/fd/{arguments[0]}") if where is None else os.fspath(arguments[where])
            if named.get("dir_fd") is not None or not path.startswith(self._below):
                return function(*arguments, **named)
            mine = len(self.seen) == self._turn
            self.seen.append(f"{name} {VARYING.sub('*', path.removeprefix(self._below))}")
            if not mine:
                return function(*arguments, **named)
            if self._number == SHORT_WRITE and name == "write":
                return function(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
            number = self._number or errno.EIO
            raise OSError(number, os.strerror(number), path)

        return call


def sites(make: Make, out: Path) -> list[str]:
    """Return every call that a build writes with, in order, with * for numbers and splits."""
    with pytest.MonkeyPatch.context() as patch:
        calls = Calls(patch, out)
        make(out)
    return calls.seen


def fails_once(make: Make, known: Undisturbed, out: Path, turn: int) -> bool:
    """Let the call number `turn` of a build fail, then build again; say whether the failure was one of the build's."""
    said = ""
    with pytest.MonkeyPatch.context() as patch:
        calls = Calls(patch, out, turn, NUMBERS[turn % len(NUMBERS)])
        try:
            known.check(make(out).path)
        except TargetError as error:
            said = str(error)
    assert len(calls.seen) > turn
    assert not said or str(out) in said
    for path in out.glob("*/*/*"):
        assert path.name.startswith(".") or (path / NAME).exists(), calls.seen[turn]
    known.check(make(out).path)
    assert [path.name for path in out.glob("*/*/*")] == visible(out) == [known.path.name]
    shutil.rmtree(out)
    return bool(said)
