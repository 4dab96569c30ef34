"""A map-style dataset, for a DataLoader of one's own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sar_data.stream.collection import Batch, open_collection
from sar_data.stream.selection import select
from sar_data.torch.device import tensors


class _Ready(list[Batch]):
    """Samples that are views of one batch, which `Samples.collate` takes as it is."""

    batch: Batch


class Samples(torch.utils.data.Dataset[Batch]):
    """A map-style dataset of one split: a sample by its number, or a whole batch at once.

    Give a DataLoader `collate_fn=Samples.collate`, and what `__getitems__` gathered is handed on without a copy. Safe
    under fork and spawn; pickled by its arguments. Options as for `loader`.
    """

    def __init__(
        self,
        path: str | Path | Sequence[str | Path],
        *,
        split: str = "train",
        bands: Sequence[str] | None = None,
        fraction: float | None = None,
        draw: int = 0,
        each_class: bool = False,
        keys: Iterable[str] | None = None,
        where: Any = None,
        **options: Any,
    ) -> None:
        self._collection = open_collection(path, split=split, bands=bands, **options)
        self._rows = select(
            self._collection, keys=keys, where=where, fraction=fraction, draw=draw, each_class=each_class
        )

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Batch]:
        batch = tensors(self._collection.batch(self._rows[np.asarray(indices, np.int64)]))
        samples = _Ready({name: values[i] for name, values in batch.items()} for i in range(len(indices)))
        samples.batch = batch
        return samples

    @staticmethod
    def collate(samples: list[Batch]) -> Batch:
        """Return the batch that samples of `__getitems__` are views of."""
        if isinstance(samples, _Ready):
            return samples.batch
        return torch.utils.data.default_collate(samples)  # type: ignore[no-any-return]
