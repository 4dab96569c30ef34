"""Read one image of any format, by its suffix: GeoTIFF, PNG, JPEG, npy or npz."""

from __future__ import annotations

from sar_data.errors import BadRecord
from sar_data.raster import image, npy, npz, tiff
from sar_data.record import IGNORE, Image, Sample
from sar_data.spec import Tree

DEPTHS = ("uint8", "uint16")  # of pictures
ENDINGS = (".npy", ".npz", ".tif", ".tiff", ".png", ".jpg", ".jpeg")


def is_tiff(path: str) -> bool:
    """Say by its suffix whether a file is a GeoTIFF."""
    return path.lower().endswith((".tif", ".tiff"))


def header(tree: Tree, path: str) -> tuple[tuple[int, int, int], str]:
    """Return ((band, y, x), dtype) of a file, without its pixels; raise BadRecord.

    A picture is one band: its channels are equal.
    """
    if path.lower().endswith(".npy"):
        return npy.header(tree, path)
    if path.lower().endswith(".npz"):
        return npz.header(tree, path)
    if is_tiff(path):
        return tiff.header(tree, path)
    return (1, *image.dimensions(tree, path)), image.depth(tree, path)


def read(data: bytes, name: str) -> Sample:
    """Return the bands as they are stored, [band, y, x], NaN where the file declares no data; raise BadRecord."""
    if name.lower().endswith(".npy"):
        return Sample(image=npy.read(data, name))
    if name.lower().endswith(".npz"):
        return Sample(image=npz.read(data, name))
    if is_tiff(name):
        raster = tiff.read(data, name, shape=None, dtypes=None, bands=None)
        if raster.flaw:
            raise BadRecord(name, raster.flaw)
        pixels, filled = raster.image()
        return Sample(image=pixels, nodata=filled, fallbacks=int(raster.fallback))
    return Sample(image=image.grey(data, name, dtypes=DEPTHS))


def codes(data: bytes, name: str) -> Image:
    """Return a class map as it is stored, [band, y, x], 255 where the file declares no data; raise BadRecord.

    Of a picture with a palette these are the numbers of its colours.
    """
    if is_tiff(name):
        return tiff.read(data, name, shape=None, dtypes=None, bands=None).codes(IGNORE)
    if name.lower().endswith((".npy", ".npz")):
        return read(data, name).image
    return image.grey(data, name, dtypes=DEPTHS, stored=True)
