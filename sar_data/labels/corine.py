"""CORINE Land Cover, level 3: the 43 classes of land and sea in their order, and their grouping into 19.

The grouping is that of Sumbul et al. 2020 (arXiv:2001.06372), made for what a patch of 1.2 km can tell: it joins 32
of the classes and drops 11. The orders are canonical, not alphabetical; other orders circulate with the same names.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from sar_data.record import IGNORE, Mask

CLASSES_19 = (
    "Urban fabric",
    "Industrial or commercial units",
    "Arable land",
    "Permanent crops",
    "Pastures",
    "Complex cultivation patterns",
    "Land principally occupied by agriculture, with significant areas of natural vegetation",
    "Agro-forestry areas",
    "Broad-leaved forest",
    "Coniferous forest",
    "Mixed forest",
    "Natural grassland and sparsely vegetated areas",
    "Moors, heathland and sclerophyllous vegetation",
    "Transitional woodland, shrub",
    "Beaches, dunes, sands",
    "Inland wetlands",
    "Coastal wetlands",
    "Inland waters",
    "Marine waters",
)
# Each of the 43 names with its index among the 19; None is dropped.
_GROUPING: tuple[tuple[str, int | None], ...] = (
    ("Continuous urban fabric", 0),
    ("Discontinuous urban fabric", 0),
    ("Industrial or commercial units", 1),
    ("Road and rail networks and associated land", None),
    ("Port areas", None),
    ("Airports", None),
    ("Mineral extraction sites", None),
    ("Dump sites", None),
    ("Construction sites", None),
    ("Green urban areas", None),
    ("Sport and leisure facilities", None),
    ("Non-irrigated arable land", 2),
    ("Permanently irrigated land", 2),
    ("Rice fields", 2),
    ("Vineyards", 3),
    ("Fruit trees and berry plantations", 3),
    ("Olive groves", 3),
    ("Pastures", 4),
    ("Annual crops associated with permanent crops", 3),
    ("Complex cultivation patterns", 5),
    ("Land principally occupied by agriculture, with significant areas of natural vegetation", 6),
    ("Agro-forestry areas", 7),
    ("Broad-leaved forest", 8),
    ("Coniferous forest", 9),
    ("Mixed forest", 10),
    ("Natural grassland", 11),
    ("Moors and heathland", 12),
    ("Sclerophyllous vegetation", 12),
    ("Transitional woodland/shrub", 13),
    ("Beaches, dunes, sands", 14),
    ("Bare rock", None),
    ("Sparsely vegetated areas", 11),
    ("Burnt areas", None),
    ("Inland marshes", 15),
    ("Peatbogs", 15),
    ("Salt marshes", 16),
    ("Salines", 16),
    ("Intertidal flats", None),
    ("Water courses", 17),
    ("Water bodies", 17),
    ("Coastal lagoons", 18),
    ("Estuaries", 18),
    ("Sea and ocean", 18),
)
CLASSES_43 = tuple(name for name, _ in _GROUPING)
TO_19 = tuple(index for _, index in _GROUPING)
# One class is spelt with a slash in the one nomenclature and with a comma in the other; files mix them.
_INDEX = {name: i for i, name in enumerate(CLASSES_43)} | {"Transitional woodland, shrub": 28}


def indices(names: Iterable[str]) -> tuple[int, ...]:
    """Return the indices among the 43, ascending; raise ValueError for an unknown name, or where there is none."""
    numbers = set()
    for name in names:
        index = _INDEX.get(name) if isinstance(name, str) else None
        if index is None:
            near = difflib.get_close_matches(str(name), CLASSES_43, 1)
            hint = f"; perhaps {near[0]!r}" if near else ""
            raise ValueError(f"expected labels among the 43 CORINE level-3 classes, found {str(name)[:80]!r}{hint}")
        numbers.add(index)
    if not numbers:
        raise ValueError("expected at least one label, found none")
    return tuple(sorted(numbers))


def group_classes(classes: Iterable[int]) -> tuple[int, ...]:
    """Return the indices among the 19, ascending; empty where all of the 43 classes given are dropped ones."""
    return tuple(sorted({index for i in classes if (index := TO_19[i]) is not None}))


# Level-3 codes of the 43 classes, in their order; 335 (glaciers) and 999 (unlabelled) occur in maps beside them.
CODES = (
    111,
    112,
    121,
    122,
    123,
    124,
    131,
    132,
    133,
    141,
    142,
    211,
    212,
    213,
    221,
    222,
    223,
    231,
    241,
    242,
    243,
    244,
    311,
    312,
    313,
    321,
    322,
    323,
    324,
    331,
    332,
    333,
    334,
    411,
    412,
    421,
    422,
    423,
    511,
    512,
    521,
    522,
    523,
)
UNLABELLED = (335, 999)


def mask_19(codes: npt.NDArray[np.integer]) -> Mask:
    """Return a map of level-3 codes as indices among the 19, 255 where a class is dropped or there is none.

    Raise ValueError for a number that is no code.
    """
    table = np.full(1000, 254, np.uint8)
    table[list(UNLABELLED)] = IGNORE
    for code, index in zip(CODES, TO_19, strict=True):
        table[code] = IGNORE if index is None else index
    mask: Mask = table[np.clip(codes, 0, 999)]
    if (unknown := codes[(mask == 254) | (codes > 999)]).size:
        raise ValueError(f"expected CORINE level-3 codes or 999, found {int(unknown.flat[0])}")
    return mask
