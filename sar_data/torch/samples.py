"""Map-style datasets, for a DataLoader of one's own and for the trainers of torchgeo and terratorch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sar_data.errors import UsageError
from sar_data.spec import MASKED
from sar_data.stream.collection import Batch, open_collection
from sar_data.stream.selection import select
from sar_data.torch.device import tensors

BOXES = "bbox_xyxy"


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
        batch = self._batch(indices)
        samples = _Ready({name: values[i] for name, values in batch.items()} for i in range(len(indices)))
        samples.batch = batch
        return samples

    def _batch(self, indices: Sequence[int]) -> Batch:
        return tensors(self._collection.batch(self._rows[np.asarray(indices, np.int64)]))

    @staticmethod
    def collate(samples: list[Batch]) -> Batch:
        """Return samples as a batch: the one that they are views of, else a new one; objects stay a list a sample."""
        if isinstance(samples, _Ready):
            return samples.batch
        of_objects = {name for name, value in samples[0].items() if isinstance(value, dict)}
        of_objects |= {BOXES, "label"} if BOXES in samples[0] else set()
        rest = [{name: value for name, value in sample.items() if name not in of_objects} for sample in samples]
        batch: Batch = torch.utils.data.default_collate(rest)
        return batch | {name: [sample[name] for sample in samples] for name in of_objects}


class GeoSamples(Samples):
    """`Samples` by the names of torchgeo, which the trainers of torchgeo and terratorch read.

    A sample has `image` float32 [band, y, x], `filename` (its key), and of the task: `label`, int64, the class or, for
    several, [class] of 0 and 1; `mask`, int64 [y, x], 255 where there is nothing to learn; or `bbox_xyxy`, float32
    [object, 4], with `label`, int64 [object] from 1 on, since 0 is the background there. `transforms` is called with
    each sample and returns it. `classes` are the names, in order. Raises UsageError for a build without a task.
    """

    def __init__(
        self,
        path: str | Path | Sequence[str | Path],
        *,
        transforms: Callable[[Batch], Batch] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(path, **options)
        task = self._collection.sources[0].task
        if task is None:
            raise UsageError(f"{path}: expected a build with a task, found none: take sar_data.torch.Samples")
        self.kind, self.classes, self.transforms = task.kind, tuple(task.classes), transforms

    def __getitems__(self, indices: Sequence[int]) -> list[Batch]:
        samples = super().__getitems__(indices)
        return samples if self.transforms is None else list(map(self.transforms, samples))

    def _batch(self, indices: Sequence[int]) -> Batch:
        batch = super()._batch(indices)
        target, named = batch["target"], {"image": batch["image"], "filename": batch["key"]}
        if self.kind == "detection":
            boxes = [objects["boxes"] for objects in target]
            return {**named, BOXES: boxes, "label": [objects["labels"] + 1 for objects in target]}
        return {**named, ("mask" if self.kind in MASKED else "label"): target.long()}
