"""Samples of compressed shards: the blocks that are needed, decoded whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from sar_data.formats.container import Blocks
from sar_data.sealed.files import Files
from sar_data.stream.kernels.memory import Memory, inside
from sar_data.stream.storage.store import Integers


class Decoded:
    """The samples of one split, each in a shard at a position."""

    def __init__(self, files: Files, names: Sequence[str], blocks: Blocks, shard: Integers, position: Integers) -> None:
        self._files, self._names, self._blocks = files, names, blocks
        self._shard, self._position = shard, position

    def name(self, row: int) -> str:
        return self._names[int(self._shard[row])]

    def chunks(self, rows: Integers) -> Iterator[tuple[slice, Memory]]:
        shard = self._shard[rows]
        block, within = np.divmod(self._position[rows], self._blocks.samples)
        starts = np.flatnonzero(np.r_[True, (np.diff(shard) != 0) | (np.diff(block) != 0)])
        for low, high in zip(starts, [*starts[1:], len(rows)], strict=True):
            path = self._files.path(self.name(int(rows[low])))
            data = self._blocks.decode(path, int(block[low]))
            yield slice(int(low), int(high)), inside(data, within[low:high] * self._blocks.sample)

    def close(self) -> None:
        return None
