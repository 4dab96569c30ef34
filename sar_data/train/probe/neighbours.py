"""k nearest neighbours by cosine, with weighted votes: a classifier without training.

A neighbour of similarity s votes with exp(s / temperature) (Wu et al. 2018, arXiv 1805.01978, and DINO use
this). For classes that do not exclude each other, a class's score is the share of the votes that have it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sar_data.errors import UsageError

MOST_CELLS = 1 << 25  # similarities in memory at a time: 128 MiB
LEAST_SHARE = 1e-6  # of the votes, so that no logit is infinite


def check(counts: Sequence[int], known: int) -> None:
    """Raise UsageError where some k of `counts` is larger than the number of samples, `known`."""
    if max(counts, default=0) > known:
        raise UsageError(f"knn {max(counts)}: expected at most the {known} train samples: choose a smaller `knn=…`")


def shares(
    known: Tensor, targets: Tensor, asked: Tensor, counts: Sequence[int], *, classes: int, temperature: float
) -> list[Tensor]:
    """Return for each k of `counts` the share of the votes [m, classes] that every class has.

    known, asked  float32 features [n, D] and [m, D] on the same device; the lengths of the vectors do not count
    targets       of `known`: int64 [n], or zeros and ones [n, classes]
    Raises UsageError where there are fewer than k neighbours.
    """
    check(counts, len(known))
    most = max(counts)
    has = F.one_hot(targets, classes).float() if targets.ndim == 1 else targets.float()
    table = F.normalize(known, dim=1).t()
    rows = max(1, MOST_CELLS // len(known))
    parts: list[list[Tensor]] = [[] for _ in counts]
    for part in torch.split(asked, rows):
        near, which = (F.normalize(part, dim=1) @ table).topk(most, dim=1)
        votes = ((near - near[:, :1]) / temperature).exp()
        for part_shares, k in zip(parts, counts, strict=True):
            weighed = torch.einsum("qk,qkc->qc", votes[:, :k], has[which[:, :k]])
            part_shares.append(weighed / votes[:, :k].sum(dim=1, keepdim=True))
    return [torch.cat(part_shares) for part_shares in parts]


def logits(share: Tensor, *, several: bool) -> Tensor:
    """Return logits whose softmax, or with `several` whose sigmoid, is the share of the votes."""
    share = share.clamp(LEAST_SHARE, 1 - LEAST_SHARE)
    return share.logit() if several else share.log()
