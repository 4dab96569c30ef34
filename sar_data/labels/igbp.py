"""The IGBP land cover of MODIS (17 classes) and its simplification to the ten of the data fusion contest 2020.

Codes after Friedl & Sulla-Menashe 2019 (MCD12Q1, LC_Type1); the simplification after Schmitt et al. 2020 (contest).
"""

from __future__ import annotations

import numpy as np

from sar_data.errors import BadRecord
from sar_data.record import Image, Mask

IGBP = (
    "Evergreen needleleaf forest",
    "Evergreen broadleaf forest",
    "Deciduous needleleaf forest",
    "Deciduous broadleaf forest",
    "Mixed forest",
    "Closed shrublands",
    "Open shrublands",
    "Woody savannas",
    "Savannas",
    "Grasslands",
    "Permanent wetlands",
    "Croplands",
    "Urban and built-up",
    "Cropland and natural vegetation mosaics",
    "Permanent snow and ice",
    "Barren",
    "Water bodies",
)
"""Codes 1 to 17 in their order."""
DFC = (
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
"""Codes 1 to 10 in their order."""
TO_DFC = (0, 1, 1, 1, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 6, 8, 9, 10)
"""The contest's code of each of the codes 0 (none) to 17."""
INTEGERS = ("uint8", "uint16", "int16", "int32")
"""The types in which files hold codes; documents disagree."""
_FILL = 255


def codes(pixels: Image, path: str) -> Mask:
    """Return IGBP codes uint8 [y, x], 0 for none and for MODIS' fill; raise BadRecord for what is no such code."""
    if len(strange := np.setdiff1d(pixels, (*range(len(TO_DFC)), _FILL))):
        raise BadRecord(path, f"expected IGBP codes 0 to 17, or {_FILL} for none, found {strange[:4].tolist()}")
    unknown_codes: Mask = np.where(pixels == _FILL, 0, pixels).astype(np.uint8)
    return unknown_codes


def simplify(pixels: Image, path: str) -> Mask:
    """Return the contest's codes, 0 for none, of IGBP codes."""
    unknown_codes: Mask = np.array(TO_DFC, np.uint8)[codes(pixels, path)]
    return unknown_codes
