"""Average precision of rotated boxes, as a plain count over exactly clipped overlaps has it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sar_data.train.detect.truth import BOXES, COLUMNS
from sar_data.train.metrics.boxes import figures
from sar_data.train.metrics.calibration import figures as calibration
from sar_data.train.metrics.jackknife import intervals
from tests.train import clipping

CLASSES = ["ship", "buoy", "wharf"]
Image = dict[str, list[Any]]


def hull(box: list[float]) -> list[float]:
    import torch

    from sar_data.train.rotated.boxes import hulls

    found: list[float] = hulls(torch.tensor([box], dtype=torch.float64))[0].tolist()
    return found


def table(images: list[Image]) -> pa.Table:
    """Return predictions of images given as {"there": [(box, label)], "found": [(box, label, score)]}."""
    columns: dict[str, Any] = {"key": [f"image-{i}" for i in range(len(images))]}
    for prefix, name in (("true_", "there"), ("", "found")):
        rows = [image[name] for image in images]
        columns[f"{prefix}boxes"] = pa.array([[hull(one[0]) for one in row] for row in rows], BOXES)
        columns[f"{prefix}rotated"] = pa.array([[one[0] for one in row] for row in rows], BOXES)
        columns[f"{prefix}labels"] = pa.array([[one[1] for one in row] for row in rows], pa.list_(pa.int64()))
    columns["box_scores"] = pa.array([[one[2] for one in image["found"]] for image in images], pa.list_(pa.float64()))
    columns["true_areas"] = [[box[2] * box[3] for box, *_ in image["there"]] for image in images]
    columns["true_crowds"] = [[len(one) > 2 for one in image["there"]] for image in images]
    columns |= {name: pa.array(columns[name], kind) for name, kind in COLUMNS.items()}
    return pa.table(columns | {"group": [f"scene-{i % 5}" for i in range(len(images))]})


def scattered(seed: int, count: int = 10) -> list[Image]:
    """Return images of slender objects at any angle, some found well, some badly, some twice, some nowhere near."""
    random, images = np.random.default_rng(seed), []
    for _ in range(count):
        there = []
        for place in range(int(random.integers(0, 6))):
            size = random.uniform(8, 60)
            box = [
                60.0 * (place % 3),
                60.0 * (place // 3),
                size,
                size * random.uniform(0.2, 1),
                random.uniform(-90, 90),
            ]
            there.append((box, int(random.integers(3))))
        found = []
        for box, label in there:
            for _ in range(int(random.integers(0, 3))):
                moved = np.array(box) + random.normal(size=5) * (2, 2, box[2] / 10, box[3] / 10, 10)
                moved[2:4] = np.maximum(moved[2:4], 1)
                found.append((moved.tolist(), label, float(random.random())))
        if random.random() < 0.3:
            found.append(([200.0, 200, 20, 10, 0], int(random.integers(3)), float(random.random())))
        images.append({"there": there, "found": found})
    return images


def right(images: list[Image], label: int, least: float, *, second: bool) -> tuple[list[bool], int]:
    """Return which boxes are right, best first over all images, greedily; with `second` a box takes the next best."""
    ranked, positives = [], 0
    for image in images:
        there = [box for box, own in image["there"] if own == label]
        positives, taken = positives + len(there), set[int]()
        for box, _, score in sorted((one for one in image["found"] if one[1] == label), key=lambda one: -one[2]):
            overlaps = [clipping.overlap(box, other) for other in there]
            left = [j for j in range(len(there)) if not (second and j in taken)]
            best = max(left, key=lambda j: overlaps[j], default=None)
            hit = best is not None and overlaps[best] >= least and best not in taken
            taken |= {best} if hit and best is not None else set()
            ranked.append((score, hit))
    return [hit for _, hit in sorted(ranked, key=lambda one: -one[0])], positives


def precision(hits: list[bool], positives: int, recalls: list[float]) -> list[float]:
    """Return the best precision at each recall or beyond it."""
    curve = [(sum(hits[: i + 1]) / positives, sum(hits[: i + 1]) / (i + 1)) for i in range(len(hits))]
    return [max((value for reached, value in curve if reached >= recall - 1e-12), default=0.0) for recall in recalls]


def expected(images: list[Image]) -> dict[str, float]:
    found: dict[str, list[float]] = {"ap": [], "ap50": [], "ap75": [], "ap50_11_point": [], "ap50_area": []}
    for label in range(len(CLASSES)):
        by_overlap = {}
        for least in np.arange(50, 100, 5) / 100:
            hits, positives = right(images, label, least, second=True)
            if positives:
                by_overlap[round(float(least), 2)] = float(
                    np.mean(precision(hits, positives, [i / 100 for i in range(101)]))
                )
        if not by_overlap:
            continue
        found["ap"].append(float(np.mean(list(by_overlap.values()))))
        found["ap50"].append(by_overlap[0.5])
        found["ap75"].append(by_overlap[0.75])
        hits, positives = right(images, label, 0.5, second=False)
        found["ap50_11_point"].append(float(np.mean(precision(hits, positives, [i / 10 for i in range(11)]))))
        steps = precision(hits, positives, [(i + 1) / positives for i in range(positives)])
        found["ap50_area"].append(float(np.mean(steps)))
    return {name: float(np.mean(values)) for name, values in found.items()}


@pytest.mark.parametrize("seed", range(3))
def test_every_average_precision_is_that_of_a_plain_count_over_exact_overlaps(seed: int) -> None:
    images = scattered(seed)
    measured, counted = figures(table(images), CLASSES), expected(images)
    assert {name: measured[name] for name in counted} == pytest.approx(counted, abs=1e-6)
    assert 0.05 < counted["ap"] < counted["ap50"] < 0.95
    assert len({round(value, 6) for value in counted.values()}) == len(counted)


def test_a_box_across_another_is_wrong_though_their_hulls_agree() -> None:
    ship, across = [50.0, 50, 60, 10, 45], [50.0, 50, 60, 10, -45]
    found = figures(table([{"there": [(ship, 0)], "found": [(across, 0, 0.9)]}]), CLASSES)
    assert (found["ap50"], found["ap50_11_point"], found["ap50_area"]) == (0, 0, 0)
    flat = table([{"there": [(ship, 0)], "found": [(across, 0, 0.9)]}]).drop_columns(["rotated", "true_rotated"])
    assert figures(flat, CLASSES)["ap50"] == pytest.approx(1)


def test_voc_takes_no_second_best_and_counts_no_crowd() -> None:
    ship, beside = [50.0, 50, 40, 20, 0], [58.0, 50, 40, 20, 0]  # two thirds of each are the other's
    images = [{"there": [(ship, 0), (beside, 0)], "found": [(ship, 0, 0.9), ([53.0, 50, 40, 20, 0], 0, 0.8)]}]
    found = figures(table(images), CLASSES)
    assert found["ap50"] == pytest.approx(1)  # COCO gives the second box the second ship
    assert found["ap50_area"] == pytest.approx(0.5)
    assert found["ap50_11_point"] == pytest.approx(6 / 11)
    images[0]["there"].append(([200.0, 50, 80, 80, 30], 0, "crowd"))
    images[0]["found"].append(([200.0, 50, 60, 40, 30], 0, 0.95))
    names = ("ap", "ap50", "ap50_11_point", "ap50_area")
    assert [figures(table(images), CLASSES)[name] for name in names] == [found[name] for name in names]
    inside = [200.0, 50, 20, 10, 75]  # whose overlap is small, and the crowd holds all of it
    images[0]["found"].append((inside, 0, 0.97))
    assert [figures(table(images), CLASSES)[name] for name in names] == [found[name] for name in names]


def test_intervals_and_calibration_are_of_rotated_overlaps() -> None:
    images = scattered(4, 15)
    whole = table(images)
    low, high = intervals(whole, CLASSES)["ap50"]
    assert low < figures(whole, CLASSES)["ap50"] < high
    turned = [{**one, "found": [([*box[:4], box[4] + 90], *rest) for box, *rest in one["found"]]} for one in images]
    assert calibration(table(turned), CLASSES)["ece"] != calibration(whole, CLASSES)["ece"]
