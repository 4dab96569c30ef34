"""All classifiers that a probe tries on one set of features, each scored on the split that the best is chosen on."""

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
from sar_data.train.metrics import confusion, multiclass, several
from sar_data.train.models import HEADS
from sar_data.train.probe import logistic, neighbours
from sar_data.train.probe.features import Features
from sar_data.train.probe.heads import Heads, Linear, initial
from sar_data.train.run import schedule
from sar_data.train.settings import Probe

KNN, LOGISTIC = "knn", "logistic"


@dataclass(frozen=True, slots=True)
class Candidate:
    """What one classifier is: a kind of head on a pooling, and what else decides it."""

    head: str
    pooling: str
    lr: float | None = None
    weight_decay: float | None = None
    k: int | None = None
    c: float | None = None

    def __str__(self) -> str:
        told = (("lr", self.lr), ("weight decay", self.weight_decay), ("k", self.k), ("C", self.c))
        return ", ".join([f"{self.head} on {self.pooling}", *(f"{n} {v:g}" for n, v in told if v is not None)])


@dataclass(slots=True)
class Tried:
    """A candidate, its figures on the split chosen on (none where it diverged), and the log of its training."""

    candidate: Candidate
    figures: dict[str, float]
    linear: Linear | None = None
    log: list[dict[str, Any]] = field(default_factory=list)


def groups(settings: Probe, poolings: Sequence[str]) -> list[tuple[str, str]]:
    """Return what is tried, as (head, pooling), the kinds that work on one input together.

    Raises UsageError for an unknown head, and where nothing is to be tried.
    """
    for head in settings.heads:
        if head not in HEADS:
            raise unknown("head", head, HEADS)
    grid = bool(settings.lrs and settings.weight_decays)
    others = (head for head, wanted in ((KNN, settings.knn), (LOGISTIC, settings.logistic)) if wanted)
    heads = [*(settings.heads if grid else ()), *others]
    found = [(head, pooling) for pooling in poolings for head in heads]
    if not found:
        raise UsageError("probe: nothing to try: give heads with lrs and weight_decays, knn or logistic, and a pooling")
    return found


def tried(
    head: str,
    pooling: str,
    train: Features,
    judged: Features,
    settings: Probe,
    classes: Sequence[str],
    look: Callable[[], None],
) -> list[Tried]:
    """Train one group on `train` and score it on `judged`; `look` is called now and then, and may raise."""
    if head == KNN:
        return _neighbours(pooling, train, judged, settings, classes)
    if head == LOGISTIC:
        fitted = logistic.fit(train.whole(pooling), train.target, settings.logistic, classes=len(classes))
        pairs = zip(settings.logistic, fitted, strict=True)
        found = [Tried(Candidate(head, pooling, c=c), {}, line) for c, line in pairs]
    else:
        found = _heads(head, pooling, train, judged, settings, classes, look)
    for one in found:
        one.linear = one.linear and one.linear.to(torch.device("cpu"))  # it may cross to other ranks
        one.figures = scored(answers(one, train, judged, settings, len(classes)), judged.target, classes)
    return found


def answers(one: Tried, train: Features, asked: Features, settings: Probe, classes: int) -> Tensor:
    """Return a candidate's logits [sample, class] of a split."""
    pooling = one.candidate.pooling
    if one.linear is not None:
        line = one.linear.to(asked.target.device)
        return torch.cat([line.logits(vectors) for _, vectors in asked.chunks(pooling)])
    share = neighbours.shares(
        train.whole(pooling),
        train.target,
        asked.whole(pooling),
        [one.candidate.k or 0],
        classes=classes,
        temperature=settings.temperature,
    )[0]
    return neighbours.logits(share, several=train.target.ndim == 2)


def scored(logits: Tensor, target: Tensor, classes: Sequence[str]) -> dict[str, float]:
    """Return the figures of a split by name; none where the logits are no numbers."""
    values, wanted = logits.cpu().numpy(), target.cpu().numpy()
    if not np.isfinite(values).all():
        return {}
    if wanted.ndim == 2:
        figures = several(wanted.astype(np.int64), values, classes)
    else:
        figures = multiclass(confusion(wanted, values.argmax(axis=1), len(classes)), classes)
    return {name: value for name, value in figures.items() if isinstance(value, float)}


def _heads(
    head: str,
    pooling: str,
    train: Features,
    judged: Features,
    settings: Probe,
    classes: Sequence[str],
    look: Callable[[], None],
) -> list[Tried]:
    grid = [(lr, decay) for lr in settings.lrs for decay in settings.weight_decays]
    heads = Heads(
        initial(train.width(pooling), len(classes), settings.seed, train.target.device),
        grid,
        norm=head == "bn-linear",
        several=train.target.ndim == 2,
        optimiser=settings.optimiser,
        half=settings.amp == "bf16",
    )
    found = [Tried(Candidate(head, pooling, lr, decay), {}) for lr, decay in grid]
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
            row = {"head": str(found[i].candidate), "epoch": epoch + 1, "step": step}
            row |= {"lr": grid[i][0] * scale, "loss": loss}
            found[i].log.append(row | ({f"{judged.name}_loss": seen[i]} if seen else {}))
    for i, one in enumerate(found):
        one.linear = heads.linear(i)
    return found


def _batches(count: int, epoch: int, settings: Probe) -> Iterator[tuple[int, int, Tensor]]:
    """Yield the number of each step, how many there are, and its samples; what does not fill a step is left out."""
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
) -> list[Tried]:
    found = neighbours.shares(
        train.whole(pooling),
        train.target,
        judged.whole(pooling),
        settings.knn,
        classes=len(classes),
        temperature=settings.temperature,
    )
    several = train.target.ndim == 2
    return [
        Tried(Candidate(KNN, pooling, k=k), scored(neighbours.logits(share, several=several), judged.target, classes))
        for k, share in zip(settings.knn, found, strict=True)
    ]
