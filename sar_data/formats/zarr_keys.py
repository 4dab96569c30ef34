"""The keys of a Zarr split as bytes, for libraries that read no text, such as tensorstore.

`key` has them as text, which xarray shows as it is; that type is an extension of the specification. This array
has the same keys as numbers, which every library reads. Builds of version 1 do not have it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

KEYS = "key_utf8"
AXES = ("sample", "byte")
LONGEST = 1024  # bytes of a key: all rows are as long as the longest
ATTRIBUTES: dict[str, Any] = {
    "long_name": "key of each sample in UTF-8, filled up with zeros; only zeros where there is no sample"
}


def utf8(keys: Sequence[str]) -> npt.NDArray[np.uint8]:
    """Return keys as uint8 [sample, byte], as wide as the longest of them."""
    encoded = [key.encode() for key in keys]
    width = max(1, max(map(len, encoded), default=1))
    return np.array(encoded, f"S{width}").view(np.uint8).reshape(len(keys), width)
