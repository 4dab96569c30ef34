"""The land cover classes of MODIS (IGBP) and the ten that the Data Fusion Contest 2020 makes of them.

Grouping after the contest's baseline: https://github.com/lukasliebel/dfc2020_baseline (Schmitt et al. 2020).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sar_data.record import IGNORE, Mask

IGBP = (
    "Evergreen Needleleaf Forests",
    "Evergreen Broadleaf Forests",
    "Deciduous Needleleaf Forests",
    "Deciduous Broadleaf Forests",
    "Mixed Forests",
    "Closed Shrublands",
    "Open Shrublands",
    "Woody Savannas",
    "Savannas",
    "Grasslands",
    "Permanent Wetlands",
    "Croplands",
    "Urban and Built-up Lands",
    "Cropland/Natural Vegetation Mosaics",
    "Permanent Snow and Ice",
    "Barren",
    "Water Bodies",
)
SIMPLE = (
    "Forest",
    "Shrubland",
    "Savanna",
    "Grassland",
    "Wetlands",
    "Croplands",
    "Urban/Built-up",
    "Snow/Ice",
    "Barren",
    "Water",
)
TO_SIMPLE = (0, 1, 1, 1, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 6, 8, 9, 10)  # by IGBP code; codes begin at 1, 0 is nothing


def mask(codes: npt.NDArray[np.integer], classes: tuple[int | None, ...]) -> Mask:
    """Return codes as classes[code], 255 where that is None; raise ValueError for a code beyond them."""
    if (outside := codes[(codes < 0) | (codes >= len(classes))]).size:
        raise ValueError(f"expected land cover codes of 0 to {len(classes) - 1}, found {int(outside.flat[0])}")
    table = np.array([IGNORE if index is None else index for index in classes], np.uint8)
    found: Mask = table[codes]
    return found
