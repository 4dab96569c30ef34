"""Class maps as cloud-optimized GeoTIFFs, images as GeoTIFFs, and pixel positions in map coordinates."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sar_data.errors import SourceError, TargetError
from sar_data.raster.scene import OPTIONS, Place
from sar_data.record import IGNORE, Image, Mask
from sar_data.system import durable

BLOCK = 512  # pixels of a side of the file's blocks, and rows that are in memory at once
WGS84 = "EPSG:4326"
Rows = Callable[[int, int], Mask]
# Any other text GDAL takes for a file that it reads, or an address that it asks.
_WKT = r"(GEOGCS|PROJCS|GEOCCS|COMPD_CS|LOCAL_CS|VERT_CS|[A-Z]+CRS)\s*\[.*"
_SYSTEM = re.compile(rf"(EPSG|ESRI|OGC|IGNF):\w{{1,32}}|{_WKT}", re.DOTALL)


def write(
    path: Path, rows: Rows, shape: tuple[int, int], place: Place, colours: npt.NDArray[np.uint8], classes: Sequence[str]
) -> None:
    """Write a map of classes, uint8 [y, x], as a cloud-optimized GeoTIFF with overviews; 255 is no data.

    `rows(top, bottom)` gives [bottom - top, x]: BLOCK rows at a time are in memory. `colours` is [256, 3]; the classes'
    names are tags of the band. The file appears whole or not at all. Raises TargetError where it cannot be written.
    """
    import rasterio
    import rasterio.shutil
    from rasterio.errors import NotGeoreferencedWarning, RasterioError
    from rasterio.windows import Window

    height, width = shape
    plain, partial = (path.with_name(f".{path.name}{end}") for end in (".plain", durable.PARTIAL))
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint8", "nodata": IGNORE, "height": height, "width": width}
    layout = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "BIGTIFF": "IF_SAFER"}
    try:
        with warnings.catch_warnings(), rasterio.Env(**OPTIONS):
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(plain, "w", **profile, **layout, **_place_options(place)) as file:
                for top in range(0, height, BLOCK):
                    bottom = min(top + BLOCK, height)
                    file.write(rows(top, bottom), 1, window=Window(0, top, width, bottom - top))
                file.write_colormap(
                    1, {i: (*map(int, colour), 255 * (i != IGNORE)) for i, colour in enumerate(colours)}
                )
                file.update_tags(1, **{f"class_{number}": name for number, name in enumerate(classes)})
            options = {"compress": "deflate", "blocksize": BLOCK, "overview_resampling": "mode", "bigtiff": "if_safer"}
            rasterio.shutil.copy(plain, partial, driver="COG", **options)
        durable.sync_path(partial)
        partial.rename(path)
    except (OSError, RasterioError) as error:
        raise TargetError(f"{path}: cannot write the map: {error}") from error
    finally:
        for temporary in (plain, partial):
            temporary.unlink(missing_ok=True)


def encode_geotiff(
    image: Image, crs: str | None, transform: Sequence[float] | None, names: Sequence[str] = ()
) -> bytes:
    """Return an image [band, y, x] as the bytes of a GeoTIFF, bit for bit, uncompressed.

    `transform` has the six affine terms; `names` describe the bands. Floats declare NaN as no data. Raises SourceError
    for a `crs` that is none.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    count, height, width = image.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": image.dtype.name}
    profile |= {"nodata": float("nan")} if image.dtype.kind == "f" else {}
    place = Place(crs=crs, transform=None if transform is None else tuple(transform))
    with warnings.catch_warnings(), rasterio.MemoryFile() as memory:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with memory.open(**profile, interleave="band", **_place_options(place)) as file:
            file.write(image)
            for number, name in enumerate(names, 1):
                file.set_band_description(number, name)
        data: bytes = memory.read()
        return data


def _place_options(place: Place) -> dict[str, Any]:
    """Return the options of rasterio for a place."""
    from rasterio import Affine
    from rasterio.control import GroundControlPoint

    options: dict[str, Any] = {}
    if place.controls:
        options["gcps"] = [GroundControlPoint(row, col, x, y, z) for row, col, x, y, z in place.controls]
    if place.transform:
        options["transform"] = Affine(*place.transform)
    return options | ({"crs": reference_system(place.crs)} if place.crs else {})


def reference_system(crs: str) -> Any:
    """Return rasterio's coordinate reference system of a code or WKT; raise SourceError for what is neither."""
    from rasterio.crs import CRS

    try:
        if _SYSTEM.fullmatch(crs):
            return CRS.from_string(crs)
    except Exception as error:  # of PROJ and of GDAL, each with a tree of its own
        raise SourceError(f"{crs[:80]}: expected a coordinate reference system, found: {error}"[:300]) from error
    raise SourceError(f"{crs[:80]!r}: expected a coordinate reference system such as EPSG:32633, or WKT, found neither")


def map_points(points: npt.NDArray[np.float64], place: Place) -> npt.NDArray[np.float64] | None:
    """Return points [..., (x, y)] in `place.crs` of points in pixels; None where the place has no transform."""
    if place.transform is None:
        return None
    a, b, c, d, e, f = place.transform
    x, y = points[..., 0], points[..., 1]
    return np.stack([a * x + b * y + c, d * x + e * y + f], axis=-1)


def degrees(points: npt.NDArray[np.float64], crs: str) -> npt.NDArray[np.float64]:
    """Return points [..., 2] of a reference system as longitude and latitude (WGS 84).

    Raises SourceError for a system of which that is not known.
    """
    import rasterio.warp

    flat, there = points.reshape(-1, 2), reference_system(crs)
    try:
        transformed = np.array(rasterio.warp.transform(there, WGS84, flat[:, 0], flat[:, 1])).T
    except Exception as error:  # of PROJ and of GDAL, each with a tree of its own
        raise SourceError(f"{crs[:80]}: expected a place on the Earth, found: {error}"[:300]) from error
    return transformed.reshape(points.shape)
