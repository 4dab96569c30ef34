"""All classifiers that a probe tries on the features, each scored on the split that chooses the best."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sar_data.errors import UsageError, unknown
from sar_data.stream.bits import Purpose
from sar_data.stream.order import permutation
from sar_data.torch.pinned import sent
from sar_data.train.metrics import confusion, multiclass, multilabel_figures
from sar_data.train.models import HEADS
from sar_data.train.probe import logistic, neighbours
from sar_data.train.probe.features import Features
from sar_data.train.probe.heads import Heads, Linear, initial
from sar_data.train.run import schedule
from sar_data.train.settings import Probe

KNN, LOGISTIC = "knn", "logistic"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A classifier: a kind of head on a pooling, and its parameters."""

    head: str
    pooling: str
    lr: float | None = None
    weight_decay: float | None = None
    k: int | None = None
    c: float | None = None

    def __str__(self) -> str:
        numbers = (("lr", self.lr), ("weight decay", self.weight_decay), ("k", self.k), ("C", self.c))
        return ", ".join([f"{self.head} on {self.pooling}", *(f"{n} {v:g}" for n, v in numbers if v is not None)])


@dataclass(slots=True)
class Trial:
    """A candidate, its figures on the split that chooses (none where it diverged), and the log of its training."""

    candidate: Candidate
    figures: dict[str, float]
    linear: Linear | None = None
    log: list[dict[str, Any]] = field(default_factory=list)


def groups(settings: Probe, poolings: Sequence[str]) -> list[tuple[str, str]]:
    """Return the groups of candidates to try, as (head, pooling).

    Raises UsageError for an unknown head, and where there is no candidate.
    """
    for head in settings.heads:
        if head not in HEADS:
            raise unknown("head", head, HEADS)
    grid = bool(settings.lrs and settings.weight_decays)
    others = (head for head, values in ((KNN, settings.knn), (LOGISTIC, settings.logistic)) if values)
    heads = [*(settings.heads if grid else ()), *others]
    pairs = [(head, pooling) for pooling in poolings for head in heads]
    if not pairs:
        raise UsageError("probe: nothing to try: give heads with lrs and weight_decays, knn or logistic, and a pooling")
    return pairs


def try_group(
    head: str,
    pooling: str,
    train: Features,
    judged: Features,
    settings: Probe,
    classes: Sequence[str],
    look: Callable[[], None],
) -> list[Trial]:
    """Train a group on `train` and score it on `judged`; `look` is called after each epoch, and may raise."""
    if head == KNN:
        return _neighbours(pooling, train, judged, settings, classes)
    if head == LOGISTIC:
        fitted = logistic.fit(train.whole(pooling), train.target, settings.logistic, classes=len(classes))
        pairs = zip(settings.logistic, fitted, strict=True)
        trials = [Trial(Candidate(head, pooling, c=c), {}, line) for c, line in pairs]
    else:
        trials = _heads(head, pooling, train, judged, settings, classes, look)
    for trial in trials:
        trial.linear = trial.linear and trial.linear.to(torch.device("cpu"))  # it may be sent to other ranks
        trial.figures = score(answers(trial, train, judged, settings, len(classes)), judged.target, classes)
    return trials


def answers(trial: Trial, train: Features, asked: Features, settings: Probe, classes: int) -> Tensor:
    """Return a candidate's logits [sample, class] of a split."""
    pooling = trial.candidate.pooling
    if trial.linear is not None:
        line = trial.linear.to(asked.target.device)
        return torch.cat([line.logits(vectors) for _, vectors in asked.chunks(pooling)])
    share = neighbours.shares(
        train.whole(pooling),
        train.target,
        asked.whole(pooling),
        [trial.candidate.k or 0],
        classes=classes,
        temperature=settings.temperature,
    )[0]
    return neighbours.logits(share, several=train.target.ndim == 2)


def score(logits: Tensor, target: Tensor, classes: Sequence[str]) -> dict[str, float]:
    """Return the figures of a split by name; none where logits are not finite."""
    values, truth = logits.cpu().numpy(), target.cpu().numpy()
    if not np.isfinite(values).all():
        return {}
    if truth.ndim == 2:
        figures = multilabel_figures(truth.astype(np.int64), values, classes)
    else:
        figures = multiclass(confusion(truth, values.argmax(axis=1), len(classes)), classes)
    return {name: value for name, value in figures.items() if isinstance(value, float)}


def _heads(
    head: str,
    pooling: str,
    train: Features,
    judged: Features,
    settings: Probe,
    classes: Sequence[str],
    look: Callable[[], None],
) -> list[Trial]:
    grid = [(lr, decay) for lr in settings.lrs for decay in settings.weight_decays]
    heads = Heads(
        initial(train.width(pooling), len(classes), settings.seed, train.target.device),
        grid,
        norm=head == "bn-linear",
        several=train.target.ndim == 2,
        optimiser=settings.optimiser,
        half=settings.amp == "bf16",
    )
    trials = [Trial(Candidate(head, pooling, lr, decay), {}) for lr, decay in grid]
    step = 0
    for epoch in range(settings.epochs):
        look()
        losses: list[Tensor] = []
        for number, total, which in _batches(len(train), epoch, settings):
            vectors = train.take(pooling, which, epoch % train.views)
            scale = schedule.share(settings, epoch + number / total)
            losses.append(heads.step(vectors, train.target[sent(which, train.target.device)], scale))
            step += 1
        due = (epoch + 1) % settings.eval_every == 0 or epoch + 1 == settings.epochs
        seen = _loss(heads, judged, pooling).tolist() if due else []
        for i, loss in enumerate(torch.stack(losses).mean(dim=0).tolist()):
            row = {"head": str(trials[i].candidate), "epoch": epoch + 1, "step": step}
            row |= {"lr": grid[i][0] * scale, "loss": loss}
            trials[i].log.append(row | ({f"{judged.name}_loss": seen[i]} if seen else {}))
    for i, trial in enumerate(trials):
        trial.linear = heads.linear(i)
    return trials


def _batches(count: int, epoch: int, settings: Probe) -> Iterator[tuple[int, int, Tensor]]:
    """Yield each step's number, the number of steps, and its samples; samples after the last whole step are omitted."""
    size = min(settings.batch_size, count)
    order = torch.from_numpy(permutation(count, Purpose.FEATURES, settings.seed, epoch))
    for number in range(count // size):
        yield number, count // size, order[number * size : (number + 1) * size]


def _loss(heads: Heads, judged: Features, pooling: str) -> Tensor:
    """Return the mean loss [heads] over a split."""
    parts = [heads.losses(vectors, judged.target[part]) * len(vectors) for part, vectors in judged.chunks(pooling)]
    return torch.stack(parts).sum(dim=0) / len(judged)


def _neighbours(
    pooling: str, train: Features, judged: Features, settings: Probe, classes: Sequence[str]
) -> list[Trial]:
    shares = neighbours.shares(
        train.whole(pooling),
        train.target,
        judged.whole(pooling),
        settings.knn,
        classes=len(classes),
        temperature=settings.temperature,
    )
    several = train.target.ndim == 2
    return [
        Trial(Candidate(KNN, pooling, k=k), score(neighbours.logits(share, several=several), judged.target, classes))
        for k, share in zip(settings.knn, shares, strict=True)
    ]
