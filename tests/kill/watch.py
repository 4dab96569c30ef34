"""Watch file events of a folder tree through inotify (Linux), by ctypes: no clock decides when a builder dies."""

from __future__ import annotations

import ctypes
import errno
import os
import select
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

# source: linux/inotify.h
MODIFY, CLOSE_WRITE, OPEN, MOVED_TO, CREATE, DELETE = 0x2, 0x8, 0x20, 0x80, 0x100, 0x200
IS_FOLDER = 0x40000000
EVENT = struct.Struct("iIII")

_libc: Any = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Event:
    """What happened, as one of the constants above, to the file or folder at `path`."""

    what: int
    path: str


class Watch:
    """Follow `mask` in all folders below some roots, those included that appear later."""

    def __init__(self, *roots: Path, mask: int) -> None:
        self._mask = mask
        self._folders: dict[int, str] = {}
        self._early: list[Event] = []
        self.descriptor: int = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.descriptor < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        for root in roots:
            self._follow(str(root))
        self._early.clear()

    def _follow(self, folder: str) -> None:
        """Watch a folder and what is in it already: entries made before the watch stood count as created."""
        mask = self._mask | CREATE | MOVED_TO
        number = _libc.inotify_add_watch(self.descriptor, os.fsencode(folder), mask)
        if number < 0:
            if ctypes.get_errno() in (errno.ENOENT, errno.ENOTDIR):
                return
            raise OSError(ctypes.get_errno(), "inotify_add_watch", folder)
        self._folders[number] = folder
        try:
            entries = list(os.scandir(folder))
        except FileNotFoundError:
            return
        for entry in entries:
            self._early.append(Event(CREATE, entry.path))
            if entry.is_dir(follow_symlinks=False):
                self._follow(entry.path)

    def events(self, until: int, timeout: float) -> Iterator[Event]:
        """Yield events until the process of the pidfd `until` has ended; raise TimeoutError where nothing happens."""
        poll = select.poll()
        poll.register(self.descriptor, select.POLLIN)
        poll.register(until, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll(timeout * 1000)}
            if not ready:
                raise TimeoutError(f"no file event for {timeout} s")
            if self.descriptor in ready:
                yield from self._read()
            elif until in ready:
                return

    def _read(self) -> Iterator[Event]:
        data = os.read(self.descriptor, 1 << 16)
        at = 0
        while at < len(data):
            number, mask, _, length = EVENT.unpack_from(data, at)
            at += EVENT.size + length
            name = data[at - length : at].rstrip(b"\0").decode()
            if number not in self._folders:
                continue
            path = f"{self._folders[number]}/{name}"
            what = mask & self._mask
            if what and not (mask & IS_FOLDER and what == OPEN):
                yield Event(what, path)
            if mask & IS_FOLDER and mask & (CREATE | MOVED_TO):
                self._follow(path)
                yield from self._early
                self._early.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.descriptor)
