"""Average precision of boxes, horizontal or rotated, over all predictions of a split at once.

pycocotools matches boxes, without files or output. An image without objects counts: all its detections are wrong.
Sizes are COCO's: small below 32 × 32 pixels as stored, large from 96 × 96 on. Where a table has rotated boxes
(`rotated`, `true_rotated`), their overlaps are used, and the rest is the same.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sar_data.errors import missing_extra
from sar_data.train.metrics import voc

SIZES = ("small", "medium", "large")  # after "all", in the order of pycocotools
FEWEST, SOME = 1, 10  # detections per image at which recall is given, beside all of them
MOST_VALUES = 8  # of an attribute that has figures for each value
Floats = npt.NDArray[np.float64]


def figures(table: pa.Table, classes: Sequence[str], *, most: int = 100, by: str | None = None) -> dict[str, Any]:
    """Return COCO's figures of a split; `table` has a row an image, with the columns of sar_data.train.detect.

    `ap` is the mean over the overlaps 0.50, 0.55, …, 0.95 and the classes that have objects, `ap50` and `ap75` at a
    single overlap; `ap50_11_point` and `ap50_area` are PASCAL VOC's of 2007 and of 2010 at the overlap 0.5; `ap_small`,
    `ap_medium` and `ap_large` by size of the object; `ar1`, `ar10` and `arN` the recall at that many detections per
    image, where N is `most`. None where there is no such object. `by` names a column, such as the images' scene: if it
    has at most eight values, `by_…` has all figures for each value. Raises MissingExtra without pycocotools.
    """
    results = _whole(table, classes, most)
    values = [] if by is None else sorted(value for value in pc.unique(table[by]).to_pylist() if value is not None)
    if by is not None and 0 < len(values) <= MOST_VALUES:
        parts = {value: table.filter(pc.equal(table[by], value)) for value in values}
        results[f"by_{by}"] = {value: _whole(part, classes, most) for value, part in parts.items()}
    return results


def _whole(table: pa.Table, classes: Sequence[str], most: int) -> dict[str, Any]:
    matching, limits = match_boxes(table, len(classes), most)
    with contextlib.redirect_stdout(io.StringIO()):
        matching.accumulate()
    # [overlap, recall, class, size, limit] and [overlap, class, size, limit]; -1 without an object.
    precision, recall = matching.eval["precision"], matching.eval["recall"]
    labels, crowds = (_flat(table[name], np.int64) for name in ("true_labels", "true_crowds"))
    support = np.bincount(labels[crowds == 0], minlength=len(classes))
    return {
        "count": len(table),
        "objects": int(support.sum()),
        "empty_images": int(pc.sum(pc.equal(pc.list_value_length(table["true_labels"]), 0)).as_py() or 0),
        "ap": _mean(precision[:, :, :, 0, -1]),
        "ap50": _mean(precision[0, :, :, 0, -1]),
        "ap75": _mean(precision[5, :, :, 0, -1]),
        **voc.figures(matching, len(classes), len(table)),
        **{f"ap_{size}": _mean(precision[:, :, :, i, -1]) for i, size in enumerate(SIZES, 1)},
        **{f"ar{limit}": _mean(recall[:, :, 0, i]) for i, limit in enumerate(limits)},
        **{f"ar_{size}": _mean(recall[:, :, i, -1]) for i, size in enumerate(SIZES, 1)},
        "without_support": [name for name, count in zip(classes, support, strict=True) if not count],
        "per_class": {
            name: {
                "ap": _mean(precision[:, :, i, 0, -1]),
                "ap50": _mean(precision[0, :, i, 0, -1]),
                "recall": _mean(recall[:, i, 0, -1]),
                "support": int(support[i]),
            }
            for i, name in enumerate(classes)
        },
    }


def match_boxes(table: pa.Table, classes: int, most: int | None = None) -> tuple[Any, list[int]]:
    """Return pycocotools' evaluation after matching, and the numbers of detections at which recall is given.

    Only the `most` best boxes of a class in each image count, by default all.
    """
    most = most or max(1, pc.max(pc.list_value_length(table["boxes"])).as_py() or 0)
    limits = sorted({FEWEST, min(SOME, most), most})
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError:
        raise missing_extra("pycocotools", "train") from None
    with contextlib.redirect_stdout(io.StringIO()):
        sides = []
        for document in (truth_document(table, classes), _detections_document(table, classes)):
            side = COCO()
            side.dataset = document
            side.createIndex()
            sides.append(side)
        matching = COCOeval(*sides, "bbox")
        matching.params.maxDets = limits
        if "true_rotated" in table.column_names:
            matching.computeIoU = partial(_overlaps, matching)
        matching.evaluate()
    return matching, limits


def _overlaps(matching: Any, image: int, label: int) -> Any:
    """Return the overlaps [detection, object] of rotated boxes for pycocotools; see `rotated_overlaps` for crowds."""
    objects, detections = matching._gts[image, label], matching._dts[image, label]
    detections = sorted(detections, key=lambda item: -item["score"])[: matching.params.maxDets[-1]]
    if not (objects and detections):
        return []
    boxes, others = ([item["rotated"] for item in side] for side in (detections, objects))
    return rotated_overlaps(boxes, others, [bool(item["iscrowd"]) for item in objects])


def rotated_overlaps(
    boxes: Sequence[Sequence[float]], others: Sequence[Sequence[float]], crowds: Sequence[bool] | None = None
) -> Floats:
    """Return intersection over union [box, other] of rotated boxes; with a crowd, the share of a box inside it."""
    import torch  # imported here, since horizontal boxes need no torch

    from sar_data.train.rotated.boxes import covered_shares, overlaps

    first, second = (torch.tensor(side, dtype=torch.float64).reshape(-1, 5) for side in (boxes, others))
    result = overlaps(first, second)
    if crowds is not None:
        result = torch.where(torch.tensor(crowds), covered_shares(first, second), result)
    values: Floats = result.double().numpy()
    return values


def verdicts(matching: Any, label: int, images: int, size: int = 0) -> list[tuple[int, Any]]:
    """Return (image, pycocotools' result for a class) of the images that have boxes or objects of the class.

    `size` 0 is all sizes, the others are SIZES.
    """
    start = (label * len(matching.params.areaRng) + size) * images  # by class, size and image
    answers = matching.evalImgs[start : start + images]
    return [(image, verdict) for image, verdict in enumerate(answers) if verdict is not None]


def truth_document(table: pa.Table, classes: int) -> dict[str, Any]:
    """Return the true boxes as a COCO document; ids begin at 1, since 0 means no match in pycocotools."""
    annotations: list[dict[str, Any]] = []
    for image, row in enumerate(
        _rows(table, "true_boxes", "true_labels", "true_areas", "true_crowds", "true_rotated"), 1
    ):
        for box, label, area, crowd, *rotated in zip(*row, strict=True):
            annotation = _annotation(len(annotations) + 1, image, box, label, *rotated)
            annotations.append(annotation | {"area": area, "iscrowd": int(crowd)})
    return _document(table, classes, annotations)


def _detections_document(table: pa.Table, classes: int) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = []
    for image, row in enumerate(_rows(table, "boxes", "labels", "box_scores", "rotated"), 1):
        for box, label, score, *rotated in zip(*row, strict=True):
            annotations.append(_annotation(len(annotations) + 1, image, box, label, *rotated) | {"score": score})
    return _document(table, classes, annotations)


def _rows(table: pa.Table, *names: str) -> Any:
    """Return the values of columns image by image; only rotated boxes have the last column."""
    there = names if names[-1] in table.column_names else names[:-1]
    return zip(*(table[name].to_pylist() for name in there), strict=True)


def _document(table: pa.Table, classes: int, annotations: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "info": {},
        "images": [{"id": i} for i in range(1, len(table) + 1)],
        "categories": [{"id": i} for i in range(1, classes + 1)],
        "annotations": annotations,
    }


def _annotation(
    number: int, image: int, box: Sequence[float], label: int, rotated: Sequence[float] | None = None
) -> dict[str, Any]:
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    facts: dict[str, Any] = {"id": number, "image_id": image, "category_id": label + 1, "iscrowd": 0}
    facts |= {"bbox": [left, top, width, height], "area": width * height}
    return facts if rotated is None else facts | {"rotated": rotated, "area": rotated[2] * rotated[3]}


def _flat(column: pa.ChunkedArray, dtype: Any) -> npt.NDArray[Any]:
    return np.array([value for row in column.to_pylist() for value in row], dtype)


def _mean(values: Floats) -> float | None:
    """Return the mean of the values that are defined."""
    there = values[values > -1]
    return float(there.mean()) if there.size else None
