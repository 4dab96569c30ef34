"""One image from several single-band files of the same place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sar_data.errors import BadRecord
from sar_data.raster import tiff
from sar_data.record import Sample


def stack(files: Sequence[tuple[str, bytes]], *, shape: tuple[int, int], dtype: str) -> Sample:
    """Return the sample whose bands are the given (name, bytes) GeoTIFFs, [band, y, x] in their order.

    Where a file holds float64, so does the sample. Raise BadRecord for a file that `tiff.read` refuses, and for one
    whose georeference is not that of the first.
    """
    image = np.empty((len(files), *shape), dtype)
    filled: list[int] = []
    fallbacks = 0
    first = None
    for i, (name, data) in enumerate(files):
        raster = tiff.read(data, name, shape=shape, dtypes=(dtype, "float64"), bands=1, out=image[i : i + 1])
        if raster.pixels.base is not image:
            image = image.astype(np.promote_types(image.dtype, raster.pixels.dtype))
            image[i] = raster.pixels[0]
        fallbacks += raster.fallback
        filled += raster.filled
        first = first or raster.geo
        # Different bytes may still mean the same georeference, as in a rewritten file.
        if raster.geo != first and (georeference := tiff.georeference_of(data)) != (
            expected := tiff.georeference_of(files[0][1])
        ):
            raise BadRecord(name, f"expected the georeference of {files[0][0]}, {expected}, found {georeference}")
    return Sample(image=image, nodata=tuple(filled), fallbacks=fallbacks)
