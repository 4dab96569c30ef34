"""Classes of whole images, one or several: the job behind `finetune`, and behind a probe without a cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor, nn

from sar_data.train import pictures
from sar_data.train.data import Data
from sar_data.train.jobs import Batch, Forward
from sar_data.train.losses import loss
from sar_data.train.metrics import calibration, confusion, figures, headline
from sar_data.train.metrics.batched import rescore_batches
from sar_data.train.models import classifier
from sar_data.train.models.encoder import Backbone
from sar_data.train.pictures import reliability, sheets
from sar_data.train.pictures.drawing import Drawing
from sar_data.train.predictions import labelled, multilabel, scores, targets
from sar_data.train.settings import Classes, Finetune

LOSSES = {"multiclass": "ce", "multilabel": "soft-margin"}
CHOSEN_BY = {"multiclass": "oa", "multilabel": "map_micro"}


class Verdict:
    """What is told and drawn of predicted classes, whoever predicted them."""

    def __init__(self, classes: Sequence[str], settings: Classes) -> None:
        self._classes = tuple(classes)
        self._batched = settings.batch_size if settings.metrics == "fgmae-batched" else None

    def score(self, predictions: pa.Table) -> dict[str, Any]:
        """Return figures and calibration of the whole split and, where asked for, FG-MAE's means over batches."""
        found = figures(predictions, self._classes)
        found["calibration"] = calibration.figures(predictions, self._classes)
        if self._batched is not None:
            found["fgmae_batched"] = rescore_batches(predictions, self._classes, self._batched)
        return found

    def draw(self, drawing: Drawing, predictions: pa.Table, metrics: dict[str, Any]) -> None:
        """Write a sheet of predictions, the reliability and, where a sample has one class, the confusion matrix."""
        several = multilabel(predictions)
        name = CHOSEN_BY["multilabel" if several else "multiclass"]
        title, path = drawing.title(headline(drawing.split, name, metrics)), drawing.file("predictions")
        sheets.answers(path, predictions, self._classes, drawing.images, units=drawing.units, title=title)
        about = drawing.title(drawing.split)
        reliability.draw(drawing.file("reliability"), predictions, self._classes, metrics, about)
        if not several:
            counts = confusion(targets(predictions), scores(predictions).argmax(axis=1), len(self._classes))
            pictures.confusion(drawing.file("confusion"), counts, self._classes, title)


class Classification(Verdict):
    """Train and evaluate a classifier; see sar_data.train.jobs.Job."""

    def __init__(self, encoder: Backbone, data: Data, settings: Finetune) -> None:
        kind = data.task.kind
        super().__init__(data.classes, settings)
        self.encoder = encoder
        pooling, name = settings.pooling or encoder.poolings[0], settings.loss or LOSSES[kind]
        self.resolved: dict[str, Any] = {"pooling": pooling, "loss": name}
        self.model: nn.Module = network(encoder, len(data.classes), settings)
        self._loss = loss(name, len(data.classes), kind)
        self.linear, self.chosen_by = self._loss.linear, CHOSEN_BY[kind]

    def sums(self, model: Forward, batch: Batch) -> Tensor:
        return self._loss.sums(model(batch["image"]), batch["target"])

    def known(self, batch: Batch) -> Tensor:
        return self._loss.known(batch["target"])

    def value(self, sums: Tensor) -> Tensor:
        return self._loss.value(sums)

    def loss(self, predictions: pa.Table) -> float:
        logits, target = (torch.tensor(of(predictions)) for of in (scores, targets))
        return float(self._loss.value(self._loss.sums(logits, target)))

    def predict(self, model: Forward, batch: Batch) -> dict[str, Any]:
        """Return target and logits of each sample."""
        return labelled(batch["target"].cpu().numpy(), model(batch["image"]).float().cpu().numpy())


def network(encoder: Backbone, classes: int, settings: Finetune) -> nn.Module:
    """Return a fresh head on an encoder."""
    pooling = settings.pooling or encoder.poolings[0]
    return classifier(encoder, classes, pooling=pooling, head=settings.head)
