"""One image of whichever format its ending names: GeoTIFF, PNG, JPEG or npy."""

from __future__ import annotations

from sar_data.raster import image, npy, tiff
from sar_data.record import Sample

ENDINGS = (".npy", ".tif", ".tiff", ".png", ".jpg", ".jpeg")


def header(data: bytes, name: str) -> tuple[tuple[int, int, int], str]:
    """Return ((band, y, x), dtype) from the head of a file; a picture is one band of bytes: its channels are equal."""
    if name.lower().endswith(".npy"):
        return npy.header(data, name)
    if name.lower().endswith((".tif", ".tiff")):
        return tiff.header(data, name)
    return (1, *image.dimensions(data, name)), "uint8"


def read(data: bytes, name: str) -> Sample:
    """Return the bands as they are stored, [band, y, x]; raise BadRecord."""
    if name.lower().endswith(".npy"):
        return Sample(image=npy.read(data, name))
    if name.lower().endswith((".tif", ".tiff")):
        (bands, height, width), dtype = tiff.header(data, name)
        raster = tiff.read(data, name, shape=(height, width), dtypes=(dtype,), bands=bands)
        return Sample(image=raster.pixels, fallbacks=int(raster.fallback))
    return Sample(image=image.grey(data, name))
