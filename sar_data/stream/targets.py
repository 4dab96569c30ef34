"""What is to be learnt, as arrays: a class number, or a row of zeros and ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sar_data.errors import BuildError, unknown
from sar_data.manifest import Manifest, TaskDocument
from sar_data.stream.rows import Integers, Rows

Array = npt.NDArray[Any]


def task_of(manifest: Manifest, name: str | None) -> TaskDocument | None:
    """Return a build's task by name, the first by default, None where there is none."""
    tasks = {task.name: task for task in manifest.tasks}
    if name is None:
        return next(iter(tasks.values()), None)
    if name not in tasks:
        raise unknown("task", name, tasks)
    return tasks[name]


def columns(manifest: Manifest, task: TaskDocument | None) -> list[str]:
    """Return the columns of the index that a task's targets are made of."""
    if task is None:
        return []
    return ["label_indices"] if task == manifest.tasks[0] else ["targets"]


def classes(task: TaskDocument, rows: Rows) -> Array:
    """Return int64 [sample] class numbers, or uint8 [sample, class] with 1 where a sample has the class."""
    if "label_indices" in rows.table.column_names:
        lists = rows.table["label_indices"].combine_chunks()
    else:
        lists = pc.map_lookup(rows.table["targets"], pa.scalar(task.name), "first").combine_chunks()
    counts = pc.fill_null(pc.list_value_length(lists), 0).to_numpy().astype(np.int64)
    values: Array = lists.flatten().to_numpy().astype(np.int64)
    if task.kind == "multilabel":
        several = np.zeros((len(rows), len(task.classes)), np.uint8)
        several[np.repeat(np.arange(len(rows)), counts), values] = 1
        return several
    wrong = np.flatnonzero(counts != 1)
    if len(wrong):
        key = rows.keys(wrong[:1])[0]
        raise BuildError(
            f"{key}: expected one class of {task.name}, found {counts[wrong[0]]}; {len(wrong)} are like it"
        )
    return values


def balance(found: Array) -> npt.NDArray[np.float64]:
    """Return weights under which every class is drawn as often as any other; a sample of several gets their mean.

    A sample without any class is as likely as one of the most frequent class.
    """
    if found.ndim == 1:
        counts = np.bincount(found)
        weights: npt.NDArray[np.float64] = 1.0 / counts[found]
        return weights
    counts = np.maximum(found.sum(axis=0, dtype=np.int64), 1)
    several = found.sum(axis=1)
    shares = (found / counts).sum(axis=1) / np.maximum(several, 1)
    balanced: npt.NDArray[np.float64] = np.where(several > 0, shares, 1.0 / counts.max())
    return balanced


def taken(found: Array, rows: Integers) -> Array:
    """Return the targets of some rows: int64 [sample], or float32 [sample, class]."""
    return found[rows] if found.ndim == 1 else found[rows].astype(np.float32)
