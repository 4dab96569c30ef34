"""Files written past the page cache: to copy a shard there costs more than to count its pixels, and nobody reads it."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import mmap
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from sar_data.system.durable import publish

BLOCK = 2 << 20
ALIGNED = 4096  # places and lengths of direct writes are multiples of this on all disks
DIRECT = getattr(os, "O_DIRECT", 0)


class DirectFile:
    """A file that is written from its first byte on: a thread hashes and writes a block while the next one is filled.

    Where the file system refuses direct writes they are plain ones. Errors of a write are raised by a later call.
    """

    def __init__(self, descriptor: int, writer: ThreadPoolExecutor) -> None:
        self._descriptor, self._writer = descriptor, writer
        self._block, self._other = (memoryview(mmap.mmap(-1, BLOCK)) for _ in range(2))
        self._used = 0
        self._digest = hashlib.sha256()
        self._last: Future[None] | None = None
        self._set_direct(DIRECT)

    def write(self, data: bytes | memoryview) -> int:
        """Append every byte; return their number."""
        view, done = memoryview(data).cast("B"), 0
        while done < len(view):
            part = view[done : done + BLOCK - self._used]
            self._block[self._used : self._used + len(part)] = part
            done, self._used = done + len(part), self._used + len(part)
            if self._used == BLOCK:
                self._send()
        return done

    def finish(self) -> None:
        """Write what is left."""
        self._send()
        self._wait()

    @property
    def sha256(self) -> str:
        """The sha256 of all bytes, once they are written."""
        return self._digest.hexdigest()

    def _send(self) -> None:
        self._wait()
        self._last = self._writer.submit(self._store, self._block[: self._used])
        self._block, self._other, self._used = self._other, self._block, 0

    def _wait(self) -> None:
        if self._last is not None:
            self._last.result()

    def _store(self, block: memoryview) -> None:
        self._digest.update(block)
        while len(block):
            if len(block) % ALIGNED:  # the end of the file
                self._set_direct(0)
            try:
                block = block[os.write(self._descriptor, block) :]
            except OSError as error:
                if error.errno != errno.EINVAL or not is_direct(self._descriptor):
                    raise
                self._set_direct(0)

    def _set_direct(self, flag: int) -> None:
        """Turn direct writes on or off, as far as the system and the file system have them."""
        with suppress(OSError):
            flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL)
            fcntl.fcntl(self._descriptor, fcntl.F_SETFL, flags & ~DIRECT | flag)


def is_direct(descriptor: int) -> bool:
    """Say whether writes to an open file go past the page cache."""
    return bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & DIRECT)


@contextmanager
def publish_direct(path: Path) -> Iterator[DirectFile]:
    """Open a file that appears at `path` when the block succeeds, as `publish` does; then it has its sha256."""
    with publish(path) as partial, ThreadPoolExecutor(1) as writer:
        file = DirectFile(partial.descriptor, writer)
        yield file
        file.finish()
