"""The digest of a file that is still being written, computed by a thread beside the writer."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

BLOCK = 1 << 18  # stays in a core's own cache between read and hash
ALGORITHMS = ("md5", "sha1", "sha256", "sha512")


class FileHasher:
    """A thread that hashes a file up to the position given by `advance`.

    It hashes the bytes of an earlier process while further ones arrive, on a core of its own: OpenSSL releases the
    interpreter's lock. Use as a context manager.
    """

    def __init__(self, descriptor: int, algorithm: str) -> None:
        self._descriptor = descriptor
        self._algorithm = algorithm
        self._digest = hashlib.new(algorithm, usedforsecurity=False)
        self._stands = self._done = 0
        self._ending = False
        self._failed: OSError | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._follow, name=f"{algorithm} follower", daemon=True)
        self._thread.start()

    def advance(self, to: int) -> None:
        """Say that the bytes before `to` are written."""
        with self._changed:
            self._stands = to
            self._changed.notify_all()

    def restart(self) -> None:
        """Start again from the beginning of the file."""
        with self._changed:
            self._digest = hashlib.new(self._algorithm, usedforsecurity=False)
            self._stands = self._done = 0

    def result(self) -> str:
        """Wait until all written bytes are hashed; return "algorithm:digest"."""
        with self._changed:
            self._changed.wait_for(lambda: self._done >= self._stands or self._failed)
            if self._failed is not None:
                raise self._failed
            return f"{self._algorithm}:{self._digest.hexdigest()}"

    def _follow(self) -> None:
        block = memoryview(bytearray(BLOCK))
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ending or self._done < self._stands)
                if self._ending:
                    return
                digest, at, most = self._digest, self._done, min(BLOCK, self._stands - self._done)
            size, trouble = 0, OSError(errno.EIO, "the file became shorter while it was read")
            try:
                size = os.preadv(self._descriptor, [block[:most]], at)
            except OSError as error:
                trouble = error
            digest.update(block[:size])
            with self._changed:
                if digest is not self._digest:  # restarted meanwhile
                    continue
                self._done += size
                self._failed = None if size else trouble
                self._changed.notify_all()
                if self._failed is not None:
                    return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        self._thread.join()


def hash_file(path: Path, algorithm: str, step: Callable[[int], None]) -> str:
    """Return the "algorithm:digest" of a file; `step` gets the number of bytes read so far, block by block."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    have, block = 0, memoryview(bytearray(BLOCK))
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(block):
            digest.update(block[:size])
            have += size
            step(have)
    return f"{algorithm}:{digest.hexdigest()}"
