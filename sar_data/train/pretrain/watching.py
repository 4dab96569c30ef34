"""The quality of an encoder during pretraining: kNN by its features for the classes of another build."""

from __future__ import annotations

from contextlib import closing

import torch
from torch import Tensor

from sar_data.errors import UsageError
from sar_data.train.classification import CHOSEN_BY
from sar_data.train.data import Data
from sar_data.train.jobs import WATCH
from sar_data.train.models.encoder import Backbone
from sar_data.train.probe import neighbours
from sar_data.train.probe.selection import score
from sar_data.train.settings import Pretrain, Probe

POOLING = "mean"  # of the patches' tokens, which carry what was learnt; the class token has no target of its own
NEIGHBOURS, TEMPERATURE = 20, 0.07  # as a probe's


class Watch:
    """kNN by an encoder's features among the train samples of a labelled build, scored on its val samples, else test.

    Images are prepared as they are for pretraining, without augmentation. Raises UsageError for a build that has other
    bands, no classes, or no such samples.
    """

    def __init__(self, encoder: Backbone, data: Data, settings: Pretrain) -> None:
        self._encoder, self._ranks, self._build = encoder, data.ranks, str(settings.watch)
        same = ("model", "unit", "normalize", "crop", "pad", "resample", "batch_size", "seed", "threads")
        shared = {name: getattr(settings, name) for name in same}
        self._settings = Probe(**shared, bands=data.channels, image_size=data.side)
        with closing(self._open()) as other:
            self._judged = next((split for split in ("val", "test") if other.has(split)), "")
            self._name = CHOSEN_BY[other.task.kind]
        if not self._judged:
            raise UsageError(f"`watch={self._build}`: expected val or test samples, found train alone")

    def __call__(self) -> dict[str, float]:
        """Return overall accuracy, of several labels mAP micro; nothing where features are not finite."""
        with closing(self._open()) as data:
            known, targets = self._features(data, "train")
            asked, truth = self._features(data, self._judged)
            share = neighbours.shares(
                known, targets, asked, [min(NEIGHBOURS, len(known))], classes=len(data.classes), temperature=TEMPERATURE
            )[0]
            logits = neighbours.logits(share, several=targets.ndim == 2)
            figures = score(logits, truth, data.classes)
        return {f"{WATCH}{name}": value for name, value in figures.items() if name == self._name}

    def _open(self) -> Data:
        return Data(self._build, self._settings, self._ranks)

    def _features(self, data: Data, split: str) -> tuple[Tensor, Tensor]:
        """Return float32 features [sample, width] and targets of a split in stored order, on every rank."""
        parts: list[tuple[int, Tensor, Tensor]] = []
        for first, batch in data.encoding(split):
            real = int(batch["weight"].sum())
            with torch.inference_mode():
                vectors = self._encoder(batch["image"], (POOLING,))[POOLING]
            parts.append((first, vectors[:real].cpu(), batch["target"][:real].cpu()))
        batches = sorted((batch for part in self._ranks.gather(parts) for batch in part), key=lambda batch: batch[0])
        return torch.cat([vectors for _, vectors, _ in batches]), torch.cat([target for _, _, target in batches])
