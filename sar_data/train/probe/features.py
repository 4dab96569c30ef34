"""Encoded features for training heads: rows of mapped files, float32 on the device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sar_data.torch.pinned import sent

CHUNK = 1024  # rows read at a time where all are read: the logits of 50 heads then fit into a cache
ROOM = 0.25  # of a GPU's free memory, for one file that is kept there


class Features:
    """The vectors of one split, by pooling and view, with targets and keys.

    name      the split, or the part of a split
    files     pooling → an .npy file of each view
    rows      the rows of the files that are used, one a sample
    """

    def __init__(
        self,
        name: str,
        files: Mapping[str, Sequence[Path]],
        rows: npt.NDArray[np.int64],
        target: npt.NDArray[Any],
        keys: Sequence[str],
        device: torch.device,
    ) -> None:
        self.name, self._files, self._device = name, files, device
        self._rows = torch.from_numpy(rows)
        self._in_order = bool((rows == np.arange(len(rows))).all())
        self._open: dict[tuple[str, int], Tensor] = {}
        self.target = torch.from_numpy(target).to(device)
        self.keys = list(keys)

    def __len__(self) -> int:
        return len(self.keys)

    def part(self, name: str, which: npt.NDArray[np.bool_]) -> Features:
        """Return the features of some samples, in the same order, under another name."""
        there = torch.from_numpy(np.flatnonzero(which)).to(self._device)
        keys = [key for key, taken in zip(self.keys, which.tolist(), strict=True) if taken]
        target = self.target[there].cpu().numpy()
        return Features(name, self._files, self._rows.numpy()[which], target, keys, self._device)

    @property
    def views(self) -> int:
        """The number of views of each sample."""
        return len(next(iter(self._files.values())))

    def width(self, pooling: str) -> int:
        """Return the length of a vector."""
        return int(self._vectors(pooling, 0).shape[1])

    def take(self, pooling: str, which: Tensor, view: int = 0) -> Tensor:
        """Return float32 [len(which), width] of the samples with the numbers `which`, a tensor on the CPU."""
        vectors = self._vectors(pooling, view)
        rows = vectors.index_select(0, sent(self._rows[which], vectors.device))
        return rows.to(self._device).float()

    def chunks(self, pooling: str) -> Iterator[tuple[slice, Tensor]]:
        """Yield slices of the samples, CHUNK each, with their vectors of view 0."""
        for start in range(0, len(self), CHUNK):
            part = slice(start, min(start + CHUNK, len(self)))
            if self._in_order:
                yield part, self._vectors(pooling, 0)[part].to(self._device).float()
            else:
                yield part, self.take(pooling, torch.arange(part.start, part.stop))

    def whole(self, pooling: str) -> Tensor:
        """Return float32 [sample, width] of view 0."""
        return self.take(pooling, torch.arange(len(self)))

    def _vectors(self, pooling: str, view: int) -> Tensor:
        """Return a file's vectors: mapped, or copied to a GPU that has memory for them."""
        if (pooling, view) not in self._open:
            # "c" maps privately and writable, as torch requires; nothing is ever written.
            vectors = torch.from_numpy(np.load(self._files[pooling][view], mmap_mode="c", allow_pickle=False))
            if self._device.type == "cuda" and vectors.nbytes < ROOM * torch.cuda.mem_get_info(self._device)[0]:
                vectors = vectors.to(self._device)
            self._open[pooling, view] = vectors
        return self._open[pooling, view]
