"""Parts of a file: its head by one read, any other part by a read of its own."""

from __future__ import annotations

from collections.abc import Callable

from sar_data.spec import Tree

HEAD_BYTES = 4096


class FileParts:
    """Any part of a file, truncated at the end of the file."""

    def __init__(self, head: bytes, size: Callable[[], int], pread: Callable[[int, int], bytes]) -> None:
        self.head = head
        self._size = size
        self._pread = pread

    @classmethod
    def of(cls, data: bytes) -> FileParts:
        """Return the parts of a file whose bytes are all in memory."""
        return cls(data, lambda: len(data), lambda offset, size: data[offset : offset + size])

    @classmethod
    def at(cls, tree: Tree, path: str) -> FileParts:
        """Return the parts of a file in a tree; raise BadRecord where it cannot be read."""
        head = tree.head(path, HEAD_BYTES)
        size = (lambda: tree.size(path)) if len(head) == HEAD_BYTES else lambda: len(head)
        return cls(head, size, lambda offset, size: tree.pread(path, offset, size))

    @property
    def size(self) -> int:
        """The bytes of the whole file."""
        return self._size()

    def part(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to `stop`, fewer where the file ends before."""
        if stop <= len(self.head):
            return self.head[start:stop]
        stop = min(stop, self.size)
        return self._pread(start, stop - start) if start < stop else b""
