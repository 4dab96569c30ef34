"""Decode files in memory by the one GDAL driver that fits their bytes; rasterize polygons."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence

import numpy as np

from sar_data.errors import BadRecord
from sar_data.record import Image, Mask

Ring = tuple[float, ...]

NAMES = {"GTiff": "TIFF", "JPEG": "JPEG", "PNG": "PNG"}
MAX_PIXELS = 1 << 30  # more than any scene of the field: a larger header is refused
DAMAGED = ("Corrupt JPEG data", "Premature end")  # libjpeg's warnings about missing pixels
_MEMORY_FILE = re.compile(r"(/vsimem/)?[0-9a-f-]{36}(/[0-9a-f-]{36})?(\.\w+)?(, |: )?")


def decode(data: bytes, name: str, driver: str, *, expected: tuple[tuple[int, int, int], str] | None = None) -> Image:
    """Return [band, y, x] as `driver` decodes it; no other driver is tried, and no file beside it is opened.

    `expected` is the shape and dtype of the header. Raises BadRecord with `name`.
    """
    try:
        try:
            pixels, kind = _read_pixels(data, driver, expected, strict=True)
        except Exception as error:
            # libjpeg fills missing pixels in and warns; its other warnings are about headers, not pixels.
            if driver != "JPEG" or any(damage in str(error.__cause__) for damage in DAMAGED):
                raise
            pixels, kind = _read_pixels(data, driver, expected, strict=False)
    except Exception as error:
        # rasterio raises Python's own errors for some invalid tags, such as text that is not UTF-8.
        raise BadRecord(name, f"expected a readable {NAMES[driver]}, GDAL says: {_gdal_reason(error)}") from error
    if pixels is None:
        raise BadRecord(name, f"expected {expected}, as its header says, GDAL finds {kind}")
    return pixels


def _read_pixels(
    data: bytes, driver: str, expected: tuple[tuple[int, int, int], str] | None, *, strict: bool
) -> tuple[Image | None, str]:
    """Return the pixels, None where they are not of the expected kind, and their kind in words."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    options = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_ERROR_ON_LIBJPEG_WARNING": "YES" if strict else "NO"}
    with warnings.catch_warnings(), rasterio.Env(**options):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.MemoryFile(data) as memory, memory.open(driver=driver) as source:
            shape, types = (source.count, source.height, source.width), set(source.dtypes)
            fits = expected is None or (shape, types) == (expected[0], {expected[1]})
            return source.read() if fits else None, f"{shape} of {sorted(types)}"


def _gdal_reason(error: BaseException) -> str:
    """Return GDAL's reason without the name of the file in memory."""
    return _MEMORY_FILE.sub("", str(error.__cause__ or error))


def rasterize(shapes: Iterable[tuple[Sequence[Sequence[Ring]], int]], shape: tuple[int, int]) -> Mask:
    """Return the mask uint8 [y, x] of (polygons, value); a polygon is an outer ring and its holes, in pixels.

    A pixel belongs to a polygon that contains its centre; later polygons cover earlier ones; other pixels are 0.
    """
    import rasterio.features

    geometries = [
        ({"type": "MultiPolygon", "coordinates": [[_close_ring(ring) for ring in rings] for rings in polygons]}, value)
        for polygons, value in shapes
    ]
    if not geometries:
        return np.zeros(shape, np.uint8)
    mask: Mask = rasterio.features.rasterize(geometries, shape, dtype="uint8")
    return mask


def _close_ring(ring: Ring) -> list[tuple[float, float]]:
    points = list(zip(ring[::2], ring[1::2], strict=True))
    return [*points, points[0]]


def encode(image: Image, driver: str) -> bytes:
    """Return an 8-bit image [band, y, x] as a file of GDAL's JPEG or PNG driver."""
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
