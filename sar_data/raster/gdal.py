"""Files in memory, decoded by the one GDAL driver their bytes call for; polygons burnt."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence

import numpy as np

from sar_data.errors import BadRecord
from sar_data.record import Image, Mask

Ring = tuple[float, ...]

NAMES = {"GTiff": "TIFF", "JPEG": "JPEG", "PNG": "PNG"}
MAX_PIXELS = 1 << 30  # more than any scene of the field; a header that claims more is not believed
DAMAGED = ("Corrupt JPEG data", "Premature end")  # libjpeg's warnings of pixels that it had to invent
_MEMORY_FILE = re.compile(r"(/vsimem/)?[0-9a-f-]{36}(/[0-9a-f-]{36})?(\.\w+)?(, |: )?")


def decode(data: bytes, name: str, driver: str, *, expected: tuple[tuple[int, int, int], str] | None = None) -> Image:
    """Return [band, y, x] as `driver` decodes it: no other driver is asked, and no file beside it is looked for.

    `expected` is the shape and dtype that the header promised. Raise BadRecord, naming `name`.
    """
    try:
        try:
            pixels, kind = _read_pixels(data, driver, expected, strict=True)
        except Exception as error:
            # libjpeg fills up what is missing and warns; its other warnings are of odd headers, not of pixels.
            if driver != "JPEG" or any(damage in str(error.__cause__) for damage in DAMAGED):
                raise
            pixels, kind = _read_pixels(data, driver, expected, strict=False)
    except Exception as error:
        # rasterio lets Python's own errors through where tags hold nonsense, such as text that is no UTF-8.
        raise BadRecord(name, f"expected a readable {NAMES[driver]}, GDAL says: {_gdal_reason(error)}") from error
    if pixels is None:
        raise BadRecord(name, f"expected {expected}, as its header says, GDAL finds {kind}")
    return pixels


def _read_pixels(
    data: bytes, driver: str, expected: tuple[tuple[int, int, int], str] | None, *, strict: bool
) -> tuple[Image | None, str]:
    """Return the pixels, None where they are not of the expected kind, and what kind they are."""
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

    A pixel belongs to a polygon that holds its centre; later ones cover earlier ones, and where none is, the mask is 0.
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
