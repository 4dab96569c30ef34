"""The corners of a box, horizontal or rotated, for those who draw it or write it down: without torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sar_data.labels.boxes import corners


def ring(box: Sequence[float]) -> npt.NDArray[np.float64]:
    """Return the corners [4, (x, y)] of a box (x0, y0, x1, y1) or (x, y, width, height, degrees).

    They go round it clockwise as an image is seen, from the upper left corner of a box that is not turned.
    """
    if len(box) == 5:
        x, y, width, height, degrees = box
        return np.array(corners((x, y, width, height, degrees))).reshape(4, 2)
    left, top, right, bottom = box
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float64)
