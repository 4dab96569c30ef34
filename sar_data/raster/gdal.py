"""The one import of rasterio: files in memory, decoded by the one GDAL driver their bytes call for; polygons burnt."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence

import numpy as np

from sar_data.errors import BadRecord
from sar_data.record import Image, Mask

Ring = tuple[float, ...]

NAMES = {"GTiff": "TIFF", "JPEG": "JPEG", "PNG": "PNG"}


def decoded(data: bytes, name: str, driver: str, *, expected: tuple[tuple[int, int, int], str] | None = None) -> Image:
    """Return [band, y, x] as `driver` decodes it: no other driver is asked, and no file beside it is looked for.

    `expected` is the shape and dtype that the header promised. Raise BadRecord, naming `name`.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    try:
        with warnings.catch_warnings(), rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"):
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.MemoryFile(data) as memory, memory.open(driver=driver) as source:
                shape, types = (source.count, source.height, source.width), set(source.dtypes)
                fits = expected is None or (shape, types) == (expected[0], {expected[1]})
                pixels: Image | None = source.read() if fits else None
    except (RasterioError, ValueError, TypeError, ArithmeticError, LookupError) as error:
        # rasterio lets Python's own errors through where tags hold nonsense, such as text that is no UTF-8.
        raise BadRecord(name, f"expected a readable {NAMES[driver]}, GDAL says: {error.__cause__ or error}") from error
    if pixels is None:
        raise BadRecord(name, f"expected {expected}, as its header says, GDAL finds {shape} of {sorted(types)}")
    return pixels


def burnt(shapes: Iterable[tuple[Sequence[Sequence[Ring]], int]], shape: tuple[int, int]) -> Mask:
    """Return the mask uint8 [y, x] of (polygons, value); a polygon is an outer ring and its holes, in pixels.

    A pixel belongs to a polygon that holds its centre; later ones cover earlier ones, and where none is, the mask is 0.
    """
    import rasterio.features

    geometries = [
        ({"type": "MultiPolygon", "coordinates": [[_closed(ring) for ring in rings] for rings in polygons]}, value)
        for polygons, value in shapes
    ]
    if not geometries:
        return np.zeros(shape, np.uint8)
    mask: Mask = rasterio.features.rasterize(geometries, shape, dtype="uint8")
    return mask


def _closed(ring: Ring) -> list[tuple[float, float]]:
    points = list(zip(ring[::2], ring[1::2], strict=True))
    return [*points, points[0]]


def encoded(image: Image, driver: str) -> bytes:
    """Return the file in which GDAL's JPEG or PNG driver stores an 8-bit image [band, y, x]."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    bands, height, width = image.shape
    profile = {"driver": driver, "count": bands, "height": height, "width": width, "dtype": image.dtype.name}
    with warnings.catch_warnings(), rasterio.MemoryFile() as memory:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with memory.open(**profile) as file:
            file.write(image)
        data: bytes = memory.read()
        return data
