"""The values of an LMDB split as raw payloads: found in the file's own tree on first use."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from sar_data.errors import BuildError
from sar_data.formats import lmdb_pages as btree
from sar_data.stream.rows import indices
from sar_data.stream.storage.files import Files
from sar_data.stream.storage.store import Integers, Raw


class Values(Raw):
    """Tensors behind a header of known bytes, in values whose keys are known; `head(row)` returns the header.

    `skip` is the number of bytes between the header and the tensors that are wanted, `size` that of a whole value.
    """

    def __init__(
        self,
        files: Files,
        name: str,
        keys: pa.StringArray,
        head: Callable[[int], bytes],
        length: Integers,
        *,
        skip: Integers,
        size: Integers,
        mapped: bool,
    ) -> None:
        count = len(keys)
        super().__init__(files, [name], np.zeros(count, np.int64), np.full(count, -1, np.int64), length, mapped=mapped)
        self._keys, self._head, self._skip, self._size = keys, head, skip, size
        self._tree: tuple[btree.Tree, int] | None = None

    def _locate(self, rows: Integers) -> None:
        unknown = rows[self._offset[rows] < 0]
        if not len(unknown):
            return
        tree, address = self._opened()
        keys = self._keys.take(indices(unknown)).cast(pa.large_binary())
        _, edges, text = keys.buffers()
        at = np.frombuffer(edges, np.int64)[: len(unknown) + 1].copy()
        heads = [self._head(int(row)) for row in unknown]
        found, sizes = np.empty(len(unknown), np.int64), np.empty(len(unknown), np.int64)
        btree.find(address, tree.page, tree.pages, tree.root, np.frombuffer(text, np.uint8).copy(), at, found, sizes)
        for i, row in enumerate(unknown):
            self._check(int(row), int(found[i]), int(sizes[i]), heads[i], address)
        self._offset[unknown] = found + [len(head) for head in heads] + self._skip[unknown]

    def _opened(self) -> tuple[btree.Tree, int]:
        with self._lock:
            if self._tree is None:
                path = self._files.path(self._names[0])
                tree = btree.tree(path)
                self._tree = tree, self._maps.map(path)[0]
            return self._tree

    def _check(self, row: int, at: int, size: int, head: bytes, address: int) -> None:
        path, key = self._files.path(self._names[0]), self._keys[row].as_py()
        if at == btree.ABSENT:
            raise BuildError(f"{path}: expected a value under {key}, found none: this file is of another build")
        if at == btree.DAMAGED:
            raise BuildError(f"{path}: the page that leads to {key} is damaged. `sar-data verify` lists what is wrong.")
        if size != len(head) + self._size[row] or ctypes.string_at(address + at, len(head)) != head:
            raise BuildError(f"{path}: the value under {key} has another header or size than the manifest says")

    def close(self) -> None:
        super().close()
        self._tree = None
        self._offset[:] = -1
