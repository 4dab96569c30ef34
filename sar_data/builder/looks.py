"""How many looks some images of a build have, before and after a filter of speckle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from sar_data.builder.bake import Bake
from sar_data.formats.storage import physical
from sar_data.radiometry import convert_unit
from sar_data.sealed.opened import Build
from sar_data.sealed.places import places_of
from sar_data.statistics.looks import looks, measure_windows, windows

MOST_IMAGES = 256


def looks_of(parent: Build, bake: Bake, rows: pa.Table) -> dict[str, Any]:
    """Return what is recorded of a filter: the images looked at, and band → ENL before and after, None if unknown.

    `rows` are planned; the first ones, which lie in a random order, are looked at. ENL is that of statistics/looks.py.
    """
    if bake.speckle is None:
        return {}
    bands = [band.name for band in parent.manifest.bands]
    windows_of: dict[str, tuple[list[Any], list[Any]]] = {name: ([], []) for name in bands}
    some = rows.slice(0, MOST_IMAGES)
    with parent.reader() as reader:
        for place in filter(None, places_of(some["parent"].combine_chunks())):
            values = physical(reader.read(place), bake.scale).astype(np.float32)
            for number, plane in enumerate(values.reshape(-1, *values.shape[-2:])):
                band = number % len(bands)
                power = convert_unit(plane, bake.units[band][0], "power")
                for kept, image in zip(windows_of[bands[band]], (power, bake.speckle.apply(power)), strict=True):
                    kept.append(measure_windows(windows(image.astype(np.float64))))
    enl = {
        name: [looks(np.concatenate(kept))[0] if kept else None for kept in both] for name, both in windows_of.items()
    }
    return {"images": len(some), "enl": enl}
