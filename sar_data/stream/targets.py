"""What is to be learnt, as arrays: a class number, a row of zeros and ones, or boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sar_data.crop import clip_polygon
from sar_data.errors import BuildError, unknown
from sar_data.sealed.documents import TaskDocument
from sar_data.sealed.index import value_of
from sar_data.sealed.manifest import Manifest
from sar_data.spec import MASKED
from sar_data.stream.member import Member
from sar_data.stream.rows import Integers, Rows, flatten, numbers

Array = npt.NDArray[Any]
Objects = dict[str, Any]
Window = tuple[int, int, int, int]  # row, column, height, width: what of an image is in the batch
LABELS = ("multiclass", "multilabel")
NO_TASK = ""  # in place of a task's name: images alone are read


def task_of(manifest: Manifest, name: str | None) -> TaskDocument | None:
    """Return a build's task by name, the first by default, None where there is none and for NO_TASK."""
    if name == NO_TASK:
        return None
    tasks = {task.name: task for task in manifest.tasks}
    if name is None:
        return next(iter(tasks.values()), None)
    if name not in tasks:
        raise unknown("task", name, tasks)
    return tasks[name]


def columns(manifest: Manifest, task: TaskDocument | None) -> list[str]:
    """Return the columns of the index that a task's targets are made of."""
    if task is None or task.kind in MASKED:
        return []
    if task.kind == "detection":
        return ["objects"]
    return ["label_indices"] if task == manifest.tasks[0] else ["targets"]


def of(task: TaskDocument | None, rows: Rows, member: Member | None = None) -> Classes | Boxes | None:
    """Return the targets of a split that the index holds, those of a `member` by the joint numbers.

    Masks are in the shards.
    """
    if task is None or task.kind in MASKED:
        return None
    return Boxes(rows.column("objects"), member) if task.kind == "detection" else Classes(task, rows, member)


class Classes:
    """The classes of every sample, ragged as they are stored: a table of half a million samples takes time to fill."""

    def __init__(self, task: TaskDocument, rows: Rows, member: Member | None = None) -> None:
        if "label_indices" in rows.table.column_names:
            lists = rows.column("label_indices")
        else:
            lists = value_of(rows.column("targets"), task.name)
        self._edges, flat = flatten(lists)
        self._values = numbers(flat) if member is None else member.table[numbers(flat)]
        self._order: Integers | None = None
        joint = member.joint if member and member.joint else task
        self._width = len(joint.classes) if task.kind == "multilabel" else None
        if self._width is None:
            counts = np.diff(self._edges)
            wrong = np.flatnonzero(counts != 1)
            if len(wrong):
                key, count = rows.keys(wrong[:1])[0], counts[wrong[0]]
                raise BuildError(f"{key}: expected one class of {task.name}, found {count}; {len(wrong)} are like it")

    def permute(self, order: Integers) -> None:
        """Give each sample the classes of sample order[i], which is no other's, too: nothing is left to be learnt."""
        self._order = order

    def take(self, rows: Integers) -> Array:
        """Return the targets of some rows: int64 [sample], or float32 [sample, class]."""
        return self._gather(rows, np.float32)

    def whole(self) -> Array:
        """Return the targets of all rows: int64 [sample], or uint8 [sample, class]."""
        return self._gather(np.arange(len(self._edges) - 1), np.uint8)

    def _gather(self, rows: Integers, kind: npt.DTypeLike) -> Array:
        """Return int64 [sample] class numbers, or [sample, class] with 1 where a sample has the class."""
        rows = rows if self._order is None else self._order[rows]
        starts = self._edges[rows]
        if self._width is None:
            return self._values[starts].astype(np.int64)
        counts = self._edges[rows + 1] - starts
        before = np.cumsum(counts) - counts  # of the labels of all rows, how many come before this row's
        labels = self._values[np.repeat(starts - before, counts) + np.arange(counts.sum())]
        targets = np.zeros((len(rows), self._width), kind)
        targets[np.repeat(np.arange(len(rows)), counts), labels] = 1
        return targets

    @staticmethod
    def balance(targets: Array) -> npt.NDArray[np.float64]:
        """Return weights under which every class is drawn as often as any other; a sample of several gets their mean.

        A sample without any class is as likely as one of the most frequent class.
        """
        if targets.ndim == 1:
            counts = np.bincount(targets)
            weights: npt.NDArray[np.float64] = 1.0 / counts[targets]
            return weights
        counts = np.maximum(targets.sum(axis=0, dtype=np.int64), 1)
        several = targets.sum(axis=1)
        shares = (targets / counts).sum(axis=1) / np.maximum(several, 1)
        balanced: npt.NDArray[np.float64] = np.where(several > 0, shares, 1.0 / counts.max())
        return balanced


class Boxes:
    """The objects of every sample, ragged: labels int64 [object], boxes and rotated boxes float32 [object, 4 and 5].

    Of polygons the column's own buffers are kept: edges of every object's rings, edges of every ring's numbers.
    """

    def __init__(self, column: pa.ListArray, member: Member | None = None) -> None:
        self._edges, objects = flatten(column)
        self._labels = numbers(objects.field("label")).astype(np.int64)
        if member is not None:
            self._labels = member.table[self._labels]
        self._boxes = _table(objects.field("box"), 4)
        self._rotated = _table(objects.field("rotated"), 5)
        self._rings, rings = flatten(objects.field("polygons"))
        self._ends, values = flatten(rings)
        self._points = numbers(values)

    def take(self, row: int, window: Window | None = None) -> Objects:
        """Return one sample's {"boxes": x0, y0, x1, y1, "labels", "rotated": x, y, w, h, degrees or NaN, "polygons"}.

        Polygons are a list of outlines for each object, float32 [point, (x, y)]. Of a window only the objects whose
        centres lie in it, relative to it, boxes and polygons clipped to it, rotated boxes whole.
        """
        part = slice(self._edges[row], self._edges[row + 1])
        boxes, labels, rotated = self._boxes[part].copy(), self._labels[part], self._rotated[part].copy()
        objects = np.arange(part.start, part.stop)
        if window is not None:
            top, left, height, width = window
            boxes -= np.array([left, top, left, top], np.float32)
            rotated[:, :2] -= np.array([left, top], np.float32)
            x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
            kept = (x >= 0) & (x <= width) & (y >= 0) & (y <= height)
            boxes, labels, rotated, objects = boxes[kept], labels[kept], rotated[kept], objects[kept]
            np.clip(boxes, 0, np.array([width, height, width, height], np.float32), out=boxes)
        polygons = [self._polygons(number, window) for number in objects.tolist()]
        return {"boxes": boxes, "labels": labels.copy(), "rotated": rotated, "polygons": polygons}

    def _polygons(self, number: int, window: Window | None) -> list[npt.NDArray[np.float32]]:
        sizes = []
        for ring in range(self._rings[number], self._rings[number + 1]):
            points = self._points[self._ends[ring] : self._ends[ring + 1]].reshape(-1, 2)
            if window is not None:
                points = _within(points, window)
            if len(points):
                sizes.append(points.astype(np.float32))
        return sizes


def _within(points: Array, window: Window) -> Array:
    """Return an outline as a window shows it, cut as in a build that is cropped; empty where nothing is left."""
    top, left, height, width = window
    moved: Array = points - np.array([left, top])
    if (moved >= 0).all() and (moved <= (width, height)).all():
        return moved
    inside: Array = np.array(clip_polygon(tuple(moved.ravel().tolist()), width, height)).reshape(-1, 2)
    np.clip(inside, 0, (width, height), out=inside)  # a corner made by the cut may be off by a rounding error
    return inside


def _table(lists: pa.ListArray, width: int) -> npt.NDArray[np.float32]:
    """Return float32 [row, width] of lists of that length, NaN where a list is null."""
    edges, flat = flatten(lists)
    table = np.full((len(lists), width), np.nan, np.float32)
    table[np.diff(edges) == width] = numbers(flat).reshape(-1, width)
    return table
