"""How many looks some images of a build have, before and after a filter of speckle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from sar_data.builder.bake import Bake
from sar_data.builder.speckle import BINS, enl, looks_of
from sar_data.formats.storage import physical
from sar_data.radiometry import converted
from sar_data.sealed.opened import Build
from sar_data.sealed.places import places_of

MOST_IMAGES = 256


def looks(parent: Build, bake: Bake, rows: pa.Table) -> dict[str, Any]:
    """Return what is recorded of a filter: the images looked at, and band → looks before and after, None if unknown.

    `rows` are planned; the first ones, which lie in a random order, are looked at.
    """
    if bake.speckle is None:
        return {}
    bands = [band.name for band in parent.manifest.bands]
    counts = np.zeros((len(bands), 2, len(BINS)), np.int64)
    some = rows.slice(0, MOST_IMAGES)
    with parent.reader() as reader:
        for place in filter(None, places_of(some["parent"].combine_chunks())):
            values = physical(reader.read(place), bake.scale).astype(np.float32)
            for number, plane in enumerate(values.reshape(-1, *values.shape[-2:])):
                band = number % len(bands)
                power = converted(plane, bake.units[band][0], "power")
                counts[band, 0] += looks_of(power)
                counts[band, 1] += looks_of(bake.speckle.apply(power))
    found = {name: [enl(count) for count in both] for name, both in zip(bands, counts, strict=True)}
    return {"images": len(some), "enl": found}
