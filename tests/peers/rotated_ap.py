"""Average precision of rotated boxes in oriented-det, whose overlaps are those of polygons in shapely."""

import math
import statistics

from oriented_det.data.evaluation import APCalculator, Detection, GroundTruth
from oriented_det.geometry import RBox

from sar_data.train.metrics.boxes import figures
from tests.train.test_rotated_ap import CLASSES, scattered, table


def rotated(box: list[float]) -> RBox:
    return RBox(*box[:4], angle=math.radians(box[4]))


for seed in range(10):
    images = scattered(seed, count=30)
    there = [
        GroundTruth(rotated(box), label, CLASSES[label], image_id=str(i))
        for i, image in enumerate(images)
        for box, label in image["there"]
    ]
    found = [
        Detection(rotated(box), score, label, CLASSES[label], image_id=str(i))
        for i, image in enumerate(images)
        for box, label, score in image["found"]
    ]
    judge, measured = APCalculator(0.5), figures(table(images), CLASSES)
    points = statistics.mean(judge.compute_ap(found, there, class_name=name)[0] for name in CLASSES)
    area = statistics.mean(
        judge.compute_ap_over_thresholds(found, there, [0.5], class_name=name)[0] for name in CLASSES
    )
    assert 0.2 < area < 0.9
    assert math.isclose(measured["ap50_11_point"], points, abs_tol=1e-6), (seed, measured["ap50_11_point"], points)
    assert math.isclose(measured["ap50_area"], area, abs_tol=1e-6), (seed, measured["ap50_area"], area)
