"""Files as memory, by address: mapped without keeping a file descriptor each."""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
import weakref
from pathlib import Path

from sar_data.errors import BuildError
from sar_data.system.regular import open_regular

FAILED = ctypes.c_void_p(-1).value


class Maps:
    """Read-only maps of whole files, which live as long as this object.

    Python's own maps keep a descriptor each, and a build of half a million samples has more shards than a process may
    open files. A map is inherited by a forked process and valid there.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.mmap.restype = ctypes.c_void_p
        size, offset = ctypes.c_size_t, ctypes.c_int64
        self._libc.mmap.argtypes = [ctypes.c_void_p, size, ctypes.c_int, ctypes.c_int, ctypes.c_int, offset]
        self._libc.munmap.argtypes = [ctypes.c_void_p, size]
        self._held: list[tuple[int, int]] = []
        self._lock = threading.Lock()
        weakref.finalize(self, _unmap, self._libc, self._held).atexit = False

    def map(self, path: Path, size: int | None = None) -> tuple[int, int]:
        """Return address and length of a regular file's bytes; raise BuildError where it cannot be mapped.

        So too where it does not have `size` bytes. Whoever cuts the file later ends this process (SIGBUS).
        """
        descriptor = open_regular(path, size)
        try:
            length = os.fstat(descriptor).st_size
            address = self._libc.mmap(None, length, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
        finally:
            os.close(descriptor)
        if address == FAILED:
            raise BuildError(f"{path}: cannot map {length} bytes: {os.strerror(ctypes.get_errno())}. Use io='pread'")
        with self._lock:
            self._held.append((address, length))
        return address, length

    def close(self) -> None:
        """Unmap everything; no other thread may be reading."""
        _unmap(self._libc, self._held)


def _unmap(libc: ctypes.CDLL, maps: list[tuple[int, int]]) -> None:
    while maps:
        libc.munmap(*maps.pop())
