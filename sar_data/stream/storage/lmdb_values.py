"""The values of an LMDB split as raw payloads: found in the file's own tree on first use."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from sar_data.errors import BuildError
from sar_data.formats.lmdb_pages import ABSENT, DAMAGED, Tree, find, tree
from sar_data.stream.kernels.read import read
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
        nowhere = np.full(count, -1, np.int64)
        super().__init__(files, [name], [-1], np.zeros(count, np.int64), nowhere, length, mapped=mapped)
        self._keys, self._head, self._skip, self._whole = keys, head, skip, size
        self._tree: Tree | None = None

    def _locate(self, rows: Integers) -> None:
        unknown = rows[self._offset[rows] < 0]
        if not len(unknown):
            return
        path = self._files.path(self._names[0])
        self._tree = self._tree or tree(path)
        _, edges, text = self._keys.take(indices(unknown)).cast(pa.large_binary()).buffers()
        heads = [self._head(int(row)) for row in unknown]
        sizes = np.array([len(head) for head in heads], np.int64)
        file = self._open(0)
        try:
            found = find(
                file, self._tree, np.frombuffer(text, np.uint8), np.frombuffer(edges, np.int64)[: len(heads) + 1]
            )
            at, length = found[:, 0].copy(), found[:, 1]
            stored = np.empty(int(sizes.sum()), np.uint8)
            lost = read(np.full(len(heads), file, np.int32), np.maximum(at, 0), sizes, stored)
        finally:
            os.close(file)
        ends = np.cumsum(sizes)
        for i, head in enumerate(heads):
            if at[i] < 0 or length[i] != sizes[i] + self._whole[unknown[i]] or i == lost:
                raise self._wrong(path, int(unknown[i]), int(at[i]))
            if stored[ends[i] - sizes[i] : ends[i]].tobytes() != head:
                raise self._wrong(path, int(unknown[i]), int(at[i]))
        self._offset[unknown] = at + sizes + self._skip[unknown]

    def _wrong(self, path: Path, row: int, at: int) -> BuildError:
        key = self._keys[row].as_py()
        if at == ABSENT:
            return BuildError(f"{path}: expected a value under {key}, found none: this file is of another build")
        if at == DAMAGED:
            return BuildError(
                f"{path}: the page that leads to {key} is damaged. `verify(full=True)` lists what is wrong."
            )
        return BuildError(f"{path}: the value under {key} has another header or size than the manifest says")

    def close(self) -> None:
        super().close()
        self._tree = None
        self._size[:] = -1
        self._offset[:] = -1
