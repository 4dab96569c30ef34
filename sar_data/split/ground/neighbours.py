"""Neighbours among footprints: which boxes are near others, by a grid and without all pairs in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from sar_data.errors import SplitError
from sar_data.record import FARTHEST, Record
from sar_data.split.ground.corner_tree import CornerTree

# Share of the extent by which two footprints may miss each other and still touch: corners that were computed
# from an affine transform, or written in degrees, differ in their last digits.
TOLERANCE = 1e-6
CROWDED = 64  # candidates of a box, on average, from which a tree takes the place of the grid

Boxes = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]


def boxes_of(records: Sequence[Record]) -> Boxes:
    """Return the footprints as [record, (min x, min y, max x, max y)]; every record must have one.

    Raises SplitError where a footprint is empty, reversed, not finite or too far away.
    """
    flat = chain.from_iterable(record.footprint or () for record in records)
    boxes = np.fromiter(flat, dtype=np.float64, count=4 * len(records)).reshape(-1, 4)
    check_boxes(boxes, lambda row: records[row].key)
    return boxes


def check_boxes(boxes: Boxes, key: Callable[[int], str]) -> None:
    """Raise SplitError where a footprint [row, 4] is empty, reversed, not finite or too far away.

    `key` names the record of a row.
    """
    sound = (np.abs(boxes) <= FARTHEST).all(axis=1) & (boxes[:, 0] < boxes[:, 2]) & (boxes[:, 1] < boxes[:, 3])
    if not sound.all():
        row = int(np.flatnonzero(~sound)[0])
        raise SplitError(
            f"record {key(row)!r}: expected a footprint (min x, min y, max x, max y) with min < max, "
            f"found {tuple(boxes[row].tolist())}: correct the pipeline's scan"
        )


def extent_of(boxes: Boxes) -> npt.NDArray[np.float64]:
    """Return the median (width, height) of a patch, which neither order nor outliers change."""
    return np.array(np.median(boxes[:, 2:] - boxes[:, :2], axis=0), dtype=np.float64)


def find_near(queries: Boxes, targets: Boxes, gap: npt.ArrayLike = (0.0, 0.0)) -> Mask:
    """Say for each query whether any target lies at most `gap` (x, y) away from it.

    A gap of 0 means touching: boxes that intersect or share an edge or a corner, within 1e-6 of the pair's mean
    extent. The answer for a pair depends on that pair alone.
    """
    gaps = np.asarray(gap, dtype=np.float64)
    return search(queries, targets, gaps, lambda q, t: _within(queries[q], targets[t], gaps))


def search(
    queries: Boxes,
    targets: Boxes,
    gaps: npt.NDArray[np.float64],
    test: Callable[[Rows, Rows], Mask],
    *,
    same: bool = False,
) -> Mask:
    """Say for each query whether `test` is true for it and any target whose box lies at most `gaps` (x, y) away.

    `test` gets the rows of queries and of targets, pair by pair; with `same` it is true for equal boxes alone. The
    cells of the grid are as large as the largest box plus the gap, which is fast for boxes of similar size. Where cells
    have many boxes, since one is huge or all lie together, a tree takes the place of the grid.
    """
    matches = np.zeros(len(queries), dtype=np.bool_)
    if not len(queries) or not len(targets):
        return matches
    everything = np.concatenate([queries, targets])
    low, high = everything[:, :2].min(axis=0), everything[:, 2:].max(axis=0)
    largest = (everything[:, 2:] - everything[:, :2]).max(axis=0)
    # Centres of near boxes then differ by less than a cell, so by one row or column of the grid at most. The
    # second bound keeps cell numbers within 64 bits when the boxes are tiny in a large area.
    cell = np.maximum(largest * (1 + 4 * TOLERANCE) + gaps, (high - low) / 2**30)
    columns, stride = _cells(queries, low, cell), int((high[1] - low[1]) / cell[1]) + 4
    query_code = columns[:, 0] * stride + columns[:, 1]
    cells = _cells(targets, low, cell)
    target_code = cells[:, 0] * stride + cells[:, 1]
    order = np.argsort(target_code, kind="stable")
    target_code = target_code[order]
    # Three cells one above the other have consecutive numbers: one run of the sorted targets.
    runs = [
        (
            np.searchsorted(target_code, query_code + column - 1, side="left"),
            np.searchsorted(target_code, query_code + column + 1, side="right"),
        )
        for column in (-stride, 0, stride)
    ]
    if sum(int((stop - start).sum()) for start, stop in runs) > CROWDED * len(everything):
        return _search_tree(queries, targets, gaps, test, same=same)
    for start, stop in runs:
        open_queries = np.flatnonzero(~matches & (start < stop))
        while len(open_queries):
            hit = test(open_queries, order[start[open_queries]])
            matches[open_queries[hit]] = True
            start[open_queries] += 1
            open_queries = open_queries[~hit & (start[open_queries] < stop[open_queries])]
    return matches


def _search_tree(
    queries: Boxes, targets: Boxes, gaps: npt.NDArray[np.float64], test: Callable[[Rows, Rows], Mask], *, same: bool
) -> Mask:
    """Answer as `search` does, by the corners of the targets; the bounds are a little wide, and `test` decides."""
    query_slack, target_slack = (
        2 * TOLERANCE * (boxes[:, 2:] - boxes[:, :2]).sum(axis=1, keepdims=True) for boxes in (queries, targets)
    )
    if same:
        return CornerTree(targets).find(queries - query_slack, queries + query_slack, test)
    everywhere = np.full((len(queries), 2), np.inf)
    low = np.concatenate([-everywhere, queries[:, :2] - query_slack - gaps], axis=1)
    high = np.concatenate([queries[:, 2:] + query_slack + gaps, everywhere], axis=1)
    wider = np.concatenate([targets[:, :2] - target_slack, targets[:, 2:] + target_slack], axis=1)
    return CornerTree(wider).find(low, high, test)


def _cells(boxes: Boxes, low: Boxes, cell: Boxes) -> npt.NDArray[np.int64]:
    # From 1, so that the cell below the first does not run into the column to the left.
    return np.floor(((boxes[:, :2] + boxes[:, 2:]) / 2 - low) / cell).astype(np.int64) + 1


def _within(first: Boxes, second: Boxes, gaps: npt.NDArray[np.float64]) -> Mask:
    extents = (first[:, 2:] - first[:, :2] + second[:, 2:] - second[:, :2]) / 2
    apart = np.maximum(first[:, :2] - second[:, 2:], second[:, :2] - first[:, 2:])
    return np.asarray((apart <= gaps + TOLERANCE * extents).all(axis=1), dtype=np.bool_)
