"""Boxes in a tree of their corners, each box a point of four numbers: for sizes that differ too much for a grid.

A k-d tree (Bentley 1975, doi:10.1145/361002.361007) that halves the boxes by one of the numbers after the other. Of n
boxes a query looks at about n^(3/4) in the worst case, for boxes of any sizes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

LEAF = 8  # boxes that are not halved any more
BLOCK = 1 << 16  # pairs of a query and a node that are looked at together, which bounds the memory

Points = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]


class CornerTree:
    """The tree of boxes [box, (min x, min y, max x, max y)]."""

    def __init__(self, boxes: Points) -> None:
        depth = max(0, (len(boxes) // LEAF).bit_length() - 1)
        order = np.arange(len(boxes))
        borders = [(np.arange((1 << level) + 1) * len(boxes)) >> level for level in range(depth + 1)]
        for level in range(depth):
            part = np.repeat(np.arange(1 << level), np.diff(borders[level]))
            order = order[np.lexsort((boxes[order, level % 4], part))]
        self._boxes, self._order, self._borders = boxes, order, borders
        self._least, self._most = (
            [reduce.reduceat(boxes[order], border[:-1], axis=0) for border in borders]
            for reduce in (np.minimum, np.maximum)
        )

    def find(self, low: Points, high: Points, test: Callable[[Rows, Rows], Mask]) -> Mask:
        """Say for each query whether `test` is true for it and any box from `low` to `high` [query, 4], both included.

        `test` gets the rows of queries and of boxes, pair by pair.
        """
        matches = np.zeros(len(low), np.bool_)
        root = np.arange(len(low))
        pending = [(0, root[start : start + BLOCK], np.zeros(BLOCK, np.intp)) for start in range(0, len(low), BLOCK)]
        while pending:
            level, queries, nodes = pending.pop()
            nodes = nodes[: len(queries)]
            least, most = self._least[level][nodes], self._most[level][nodes]
            may = ~matches[queries] & ((most >= low[queries]) & (least <= high[queries])).all(axis=1)
            queries, nodes = queries[may], nodes[may]
            if level + 1 < len(self._borders):
                for side in (0, 1):
                    pending.append((level + 1, queries, 2 * nodes + side))
                continue
            border = self._borders[level]
            for place in range(int(np.diff(border)[nodes].max(initial=0))):
                there = border[nodes] + place < border[nodes + 1]
                rows, boxes = queries[there], self._order[border[nodes[there]] + place]
                within = ((self._boxes[boxes] >= low[rows]) & (self._boxes[boxes] <= high[rows])).all(axis=1)
                rows, boxes = rows[within], boxes[within]
                matches[rows[test(rows, boxes)]] = True
        return matches
