"""The landscape of a tile, cut into patches: the class of every pixel, and the backscatter of the classes."""

from __future__ import annotations

import functools

import numpy as np

from pipelines.synth._bigearthnet_tiles import SIDE, TILES, square
from sar_data import synth
from sar_data.labels import corine

LOOKS = 4.4  # equivalent looks of a Sentinel-1 IW GRDH product
# VV and VH in dB of the 43 classes, in canonical order.
SIGMA0_DB = (
    (-5, -12),
    (-7, -13.5),
    (-4.5, -12.5),
    (-9, -16),
    (-5, -14),
    (-15, -22),
    (-11, -19),
    (-10.5, -18),
    (-10, -17.5),
    (-9.5, -15.5),
    (-11.5, -18.5),
    (-11.5, -18.5),
    (-10, -16.5),
    (-14, -22),
    (-11, -20),
    (-10, -16),
    (-9.5, -16.8),
    (-12.5, -20),
    (-10.8, -17.8),
    (-10.5, -17),
    (-10, -16.2),
    (-11, -17.5),
    (-8.8, -13.8),
    (-10, -15),
    (-9.4, -14.4),
    (-13.5, -21.5),
    (-12.8, -18.8),
    (-10.8, -16.6),
    (-10.2, -15.8),
    (-16.5, -25),
    (-10, -19.5),
    (-12.5, -21),
    (-11, -20.5),
    (-11, -18),
    (-12, -19.3),
    (-14, -20.8),
    (-19, -26),
    (-17.5, -25.5),
    (-20, -28),
    (-21.5, -29),
    (-18.5, -27.5),
    (-18, -27),
    (-16.5, -26.5),
)
DROPPED = tuple(i for i, index in enumerate(corine.TO_19) if index is None)


def pixels(seed: int, index: int) -> tuple[synth.Floats, list[int], synth.Classes]:
    """Return a patch in dB [VV and VH, y, x], its labels among the 43, and the class of each of its pixels [y, x]."""
    at = index % len(TILES)
    column, row = square(index // len(TILES) % (SIDE * SIDE))
    random = synth.generator(seed, 1, index)
    classes = np.array(TILES[at][4])
    if index % 97 == 41:  # rare as in the archive: a patch without any of the 19 classes
        classes, nodes = np.array(DROPPED), np.zeros((len(DROPPED), 3, 3), np.float32)
        nodes[random.integers(len(DROPPED))] = 1
    else:
        nodes = _landscape(seed, at)[:, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
    winners, present = synth.mosaic(nodes, 120)
    # Incidence grows from near to far range, and no two overflights are equal.
    drift_db = 0.5 - column / SIDE + random.normal(0, 0.3)
    power = synth.from_db(np.array(SIGMA0_DB)[classes].T + drift_db)
    image = synth.speckle(np.take(power, winners, axis=1), LOOKS, random)
    return image, sorted(classes[present].tolist()), classes[winners]


@functools.lru_cache(len(TILES))
def _landscape(seed: int, at: int) -> synth.Floats:
    """Return scores [class, y, x] on a grid of 600 m: regions of some patches' size with detail within."""
    random = synth.generator(seed, 0, at)
    nodes = 2 * SIDE + 1
    classes = TILES[at][4]
    regions = random.standard_normal((len(classes), nodes // 6 + 2, nodes // 6 + 2), np.float32)
    place = np.arange(nodes)
    weights = np.maximum(0, 1 - np.abs(place[:, None] / 6 - np.arange(nodes // 6 + 2))).astype(np.float32)
    scores: synth.Floats = 2 * (weights @ regions @ weights.T)
    scores += 0.7 * random.standard_normal(scores.shape, np.float32)
    scores[np.isin(classes, DROPPED)] -= 1.5  # rare in the archive, so that few patches lose all their labels
    return scores
