"""PASCAL VOC's average precision at the overlap 0.5, which papers on ships and rotated boxes often report.

A box is right where the object of its class that it overlaps most has an overlap of 0.5 or more and no better box
matched it: unlike in COCO, a box does not take the second best (Everingham et al. 2010). A box whose best object is a
crowd does not count.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

ENOUGH = 0.5
Flags = npt.NDArray[np.bool_]


def figures(matching: Any, classes: int, images: int) -> dict[str, float | None]:
    """Return the means of both figures over the classes that have objects, None where no class has.

    `matching` is pycocotools' evaluation, which has the overlaps. `ap50_11_point` is the mean precision at the
    recalls 0, 0.1, …, 1 (2007, and DOTA's), `ap50_area` the area under the curve of precision (2010); in
    both, the precision at a recall is the largest at this recall or a higher one.
    """
    each = [_rank(matching, label, images) for label in range(1, classes + 1)]
    points = [_eleven_points(right, positives) for right, positives in each if positives]
    areas = [_area(right, positives) for right, positives in each if positives]
    return {
        "ap50_11_point": float(np.mean(points)) if points else None,
        "ap50_area": float(np.mean(areas)) if areas else None,
    }


def _rank(matching: Any, label: int, images: int) -> tuple[Flags, int]:
    """Return which boxes of a class are right, best first, and the number of objects."""
    scores, right, positives = list[float](), list[bool](), 0
    for image in range(1, images + 1):
        crowd = [bool(item["iscrowd"]) for item in matching._gts[image, label]]
        ordered = sorted(-item["score"] for item in matching._dts[image, label])[: matching.params.maxDets[-1]]
        positives += crowd.count(False)
        overlaps, taken = matching.ious[image, label], set[int]()
        for number, score in enumerate(ordered):
            best = int(np.argmax(overlaps[number])) if crowd else -1
            hit = best >= 0 and overlaps[number][best] >= ENOUGH
            if hit and crowd[best]:
                continue
            scores.append(score)
            right.append(hit and best not in taken)
            taken |= {best} if hit else set()
    return np.array(right, bool)[np.argsort(np.array(scores), kind="stable")], positives


def _curve(right: Flags) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the running number of right boxes, and the largest precision from each box on."""
    hits = np.cumsum(right, dtype=np.int64)
    precision: npt.NDArray[np.float64] = hits / np.arange(1, len(right) + 1)
    return hits, np.maximum.accumulate(precision[::-1])[::-1]


def _eleven_points(right: Flags, positives: int) -> float:
    hits, precision = _curve(right)
    places = np.searchsorted(hits * 10, np.arange(11) * positives)  # whole numbers, so that 3 of 10 are 0.3
    return float(np.append(precision, 0.0)[places].mean())


def _area(right: Flags, positives: int) -> float:
    return float(_curve(right)[1][right].sum() / positives)
