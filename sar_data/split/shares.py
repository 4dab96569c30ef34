"""Class shares: how often each class occurs in each split."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from sar_data.errors import SplitError
from sar_data.record import Record
from sar_data.split.policy import SPLITS


def class_shares(
    records: Sequence[Record], split: Sequence[str], task_classes: Sequence[str], *, task: str | None = None
) -> dict[str, list[float]]:
    """Return for train, val and test the share of samples that carry each class of `task_classes`.

    The labels are those of `task`, by default of each record's first task. An empty split has shares of 0.
    Raises SplitError where a label lies outside the classes.
    """
    shares = {}
    for name in SPLITS:
        labels = [_labels(record, task) for record, where in zip(records, split, strict=True) if where == name]
        flat = np.fromiter(chain.from_iterable(labels), dtype=np.int64)
        outside = flat[(flat < 0) | (flat >= len(task_classes))]
        if len(outside):
            raise SplitError(
                f"split {name}: expected labels below {len(task_classes)}, the number of classes, "
                f"found {int(outside[0])}: pass the classes of the task whose labels the records carry"
            )
        counts = np.bincount(flat, minlength=len(task_classes))
        shares[name] = (counts / max(len(labels), 1)).tolist()
    return shares


def _labels(record: Record, task: str | None) -> tuple[int, ...]:
    if task is not None:
        return record.labels.get(task, ())
    return next(iter(record.labels.values()), ())
