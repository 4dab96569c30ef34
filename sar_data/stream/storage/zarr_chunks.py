"""Samples of zstd-compressed Zarr shards: the inner chunks that are needed, decoded where they lie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from sar_data.formats.zarr_shards import INNER, Shards
from sar_data.stream.kernels.memory import Memory, inside
from sar_data.stream.storage.files import Files
from sar_data.stream.storage.store import Integers


class Inner:
    """The samples of one split, each in a shard at a position."""

    def __init__(self, files: Files, names: Sequence[str], shards: Shards, shard: Integers, position: Integers) -> None:
        self._files, self._names, self._shards = files, names, shards
        self._shard, self._position = shard, position

    def name(self, row: int) -> str:
        return self._names[int(self._shard[row])]

    def chunks(self, rows: Integers) -> Iterator[tuple[slice, Memory]]:
        whole = self._shard[rows] * self._shards.slots + self._position[rows]
        starts = np.flatnonzero(np.r_[True, np.diff(whole // INNER) != 0])
        for low, high in zip(starts, [*starts[1:], len(rows)], strict=True):
            path = self._files.path(self.name(int(rows[low])))
            chunk = self._shards.decoded(path, int(self._position[rows[low]]) // INNER)
            yield (
                slice(int(low), int(high)),
                inside(chunk, self._position[rows[low:high]] % INNER * self._shards.sample),
            )

    def close(self) -> None:
        return None
