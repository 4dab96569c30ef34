"""What differs between kinds of training, as one protocol; loop, evaluation and run folder know only this."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa
from torch import Tensor, nn

from sar_data.errors import UsageError, unknown
from sar_data.train.models.encoder import Backbone
from sar_data.train.pictures.drawing import Drawing
from sar_data.train.settings import JOBS

Batch = dict[str, Any]
WATCH = "watch_"  # before the name of a figure of a watched encoder
Forward = Callable[..., Any]
"""The job's model as the loop wraps it: compiled, or shared among ranks."""


@runtime_checkable
class Judge(Protocol):
    """What is told and drawn of predictions."""

    def score(self, predictions: pa.Table) -> dict[str, Any]:
        """Return the metrics of a whole split from its predictions, sorted by key, every key once."""
        ...

    def draw(self, drawing: Drawing, predictions: pa.Table, metrics: dict[str, Any]) -> None:
        """Write pictures of a split."""
        ...


class Learner(Protocol):
    """One kind of training of one model.

    `model` lies on the device and holds `encoder`. The loss is sums that add up over samples, batches and ranks, and a
    value of their totals; `linear` says that it is linear in those sums that depend on the model, and that all others
    are `known` from the targets. `resolved` are options that were left to the job, as it took them.
    """

    model: nn.Module
    encoder: Backbone
    linear: bool
    resolved: dict[str, Any]

    def sums(self, model: Forward, batch: Batch) -> Tensor:
        """Return the differentiable sums [K] of one batch, from one forward pass."""
        ...

    def known(self, batch: Batch) -> Tensor:
        """Return the sums [K] that targets alone decide, 0 elsewhere."""
        ...

    def value(self, sums: Tensor) -> Tensor:
        """Return the loss of totals [K] over all batches and ranks of a step."""
        ...


@runtime_checkable
class Job(Learner, Judge, Protocol):
    """A training that labels judge: `chosen_by` names the score, higher is better, that the best epoch is chosen by."""

    chosen_by: str

    def loss(self, predictions: pa.Table) -> float | None:
        """Return the loss of a whole split from its predictions; None where they do not have what it is made of."""
        ...

    def predict(self, model: Forward, batch: Batch) -> dict[str, Any]:
        """Return columns of the predictions, an entry a sample of the batch, padding included."""
        ...


@runtime_checkable
class Unlabelled(Learner, Protocol):
    """A training on images alone, which shows what it predicts and looks now and then at what it is good for."""

    def watch(self, epoch: int) -> dict[str, float]:
        """Return figures of the encoder after so many epochs by name; none where it is not looked at then."""
        ...

    def show(self, drawing: Drawing, keys: Sequence[str]) -> None:
        """Write a picture of what is predicted of some samples."""
        ...


def job_of(name: str) -> Callable[[Any, Any, Any], Job | Unlabelled]:
    """Return what makes a job; only the one that is asked for is imported. Raises UsageError for a job that is none."""
    if name not in JOBS:
        raise unknown("job", name, JOBS)
    module, _, class_ = JOBS[name].maker.partition(":")
    if not class_:
        raise UsageError(f"job {name}: expected one that trains a network, found heads on features")
    made: Callable[[Any, Any, Any], Job | Unlabelled] = getattr(import_module(module), class_)
    return made
