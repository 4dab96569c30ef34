"""A raster of any size, read in windows: on disk, or behind a URL by byte ranges."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from sar_data.errors import SourceError, UsageError, unknown
from sar_data.naming import few
from sar_data.raster import image
from sar_data.raster.arrays import Arrays, is_phoenix
from sar_data.raster.gdal import MAX_PIXELS

Floats = npt.NDArray[np.float32]
Control = tuple[float, float, float, float, float]
ENDINGS = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".npy")
DRIVERS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}  # by suffix; all others are GeoTIFFs, .npy or Phoenix files
REMOTE = ("http://", "https://", "s3://")
# No file beside it; MiB of blocks; seconds until a server answers, and bytes a second that it sends for a minute.
OPTIONS = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_CACHEMAX": 128,
    "GDAL_HTTP_CONNECTTIMEOUT": 30,
    "GDAL_HTTP_LOW_SPEED_TIME": 60,
    "GDAL_HTTP_LOW_SPEED_LIMIT": 1000,
}
MAX_BLOCK = 1 << 30  # bytes of a block, which is decoded as a whole
PACKED, FREE = 1 << 12, 1 << 32  # bytes of pixels that a byte of a file may stand for, and those of any file


@dataclass(frozen=True, slots=True)
class Place:
    """The position of an image's pixels on the ground.

    `crs` is a coordinate reference system as GDAL reads it, `transform` six terms as rasterio's Affine has them, from
    pixels to `crs`. `controls` are ground control points (row, column, x, y, z), which a scene in slant or ground range
    has in place of a transform. All three may be unknown.
    """

    crs: str | None = None
    transform: tuple[float, ...] | None = None
    controls: tuple[Control, ...] = ()


class Scene:
    """The bands of one image, in one file or in one file each; `bands` are their names in the order of the files.

    By default a band has the name that its file gives it, else its number, from 1 on.

    Raises SourceError for a file that cannot be read, UsageError for bands that do not fit the files.
    """

    def __init__(self, files: Sequence[str], bands: Sequence[str] | None = None) -> None:
        self._stack = ExitStack()
        self.files = tuple(files)
        try:
            datasets = [(file, self._stack.enter_context(_open_dataset(file))) for file in files]
            self._planes = _planes_by_name(datasets, bands)
            first = datasets[0][1]
            for file, other in datasets[1:]:
                if (other.shape, other.transform) != (first.shape, first.transform):
                    raise SourceError(f"{file}: expected the pixel grid of {files[0]}, found another one")
            self.height, self.width = (int(side) for side in first.shape)
            self.place = _place(first)
        except BaseException:
            self._stack.close()
            raise

    @property
    def bands(self) -> tuple[str, ...]:
        return tuple(self._planes)

    def read(self, bands: Sequence[str], top: int, left: int, height: int, width: int) -> Floats:
        """Return float32 [band, height, width] of a window; NaN where the file declares no data."""
        from rasterio.windows import Window

        return self._read(bands, (height, width), window=Window(left, top, width, height))

    def downsample(self, bands: Sequence[str], most: int) -> Floats:
        """Return float32 [band, y, x] of the whole image with no side longer than `most`, by its nearest pixels."""
        step = max(1.0, max(self.height, self.width) / most)
        return self._read(bands, (max(1, round(self.height / step)), max(1, round(self.width / step))))

    def _read(self, bands: Sequence[str], shape: tuple[int, int], **options: Any) -> Floats:
        import rasterio

        pixels = np.empty((len(bands), *shape), np.float32)
        for target, name in zip(pixels, bands, strict=True):
            if name not in self._planes:
                raise unknown("band", name, self.bands)
            source, number = self._planes[name]
            try:
                with rasterio.Env(**_gdal_options()):
                    plane = source.read(number, out_shape=shape, masked=True, **options)
            except Exception as error:  # rasterio lets Python's own errors through, too
                raise SourceError(f"{source.name}: cannot read the pixels: {_reason(error)}") from error
            target[:] = plane.astype(np.float32).filled(np.nan)
        return pixels

    def close(self) -> None:
        """Close the files."""
        self._stack.close()


def is_image(path: Path) -> bool:
    """Say whether a file is one that Scene reads: by its suffix, a Phoenix file by its first bytes."""
    return path.suffix.lower() in ENDINGS or is_phoenix(path)


def _open_dataset(file: str) -> AbstractContextManager[Any]:
    """Return an open dataset of rasterio, or what stands for one."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    remote = file.startswith(REMOTE)
    suffix = PurePath(file.partition("?")[0] if remote else file).suffix.lower()
    if remote and suffix == ".npy":
        raise SourceError(
            f"{file}: expected a GeoTIFF, PNG or JPEG at an address, found a .npy file: download it first"
        )
    if not remote and (suffix == ".npy" or is_phoenix(Path(file))):
        arrays = Arrays(Path(file))
        _check_real(file, arrays.dtypes)
        return nullcontext(arrays)
    driver = DRIVERS.get(suffix, "GTiff")
    if driver != "GTiff" and not remote:
        image.read(Path(file).read_bytes(), file)  # whether all of it is there, which GDAL does not say of a window
    try:
        with warnings.catch_warnings(), rasterio.Env(**_gdal_options()):
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            # A relative path could begin as an address does.
            source = rasterio.open(_gdal_path(file) if remote else Path(file).absolute(), driver=driver, sharing=False)
    except Exception as error:
        kinds = (
            "a GeoTIFF, PNG or JPEG (download a Phoenix file first)"
            if remote
            else "a GeoTIFF, PNG, JPEG, .npy or Phoenix file"
        )
        raise SourceError(f"{file}: expected {kinds}, GDAL says: {_reason(error)}") from error
    try:
        _check_pixels(file, source, None if remote else Path(file).stat().st_size)
    except BaseException:
        source.close()
        raise
    opened: AbstractContextManager[Any] = source
    return opened


def _check_real(file: str, dtypes: Sequence[str]) -> None:
    if kinds := [name for name in dtypes if name.startswith("complex")]:
        raise SourceError(f"{file}: expected real pixels, found {kinds[0]}: take its amplitude or its power")


def _check_pixels(file: str, source: Any, size: int | None) -> None:
    """Raise SourceError for pixels that are complex, no values, or far more than a file of so many bytes can have."""
    from rasterio.enums import ColorInterp

    _check_real(file, source.dtypes)
    if source.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") or ColorInterp.palette in source.colorinterp:
        raise SourceError(f"{file}: expected values, found numbers of colours: convert it to grey, 0 for black")
    if source.subdatasets:
        raise SourceError(f"{file}: expected one image in the file, found more: write bands as one image")
    wide = max(np.dtype(name).itemsize for name in source.dtypes)
    together = len(source.dtypes) if source.profile.get("interleave") == "pixel" else 1
    block = max(map(math.prod, source.block_shapes)) * wide * together
    if block > MAX_BLOCK:
        raise SourceError(f"{file}: expected blocks of at most {MAX_BLOCK:,} bytes, found some of {block:,}")
    whole, most = source.height * source.width * wide, FREE + PACKED * (MAX_PIXELS if size is None else size)
    if whole > most:
        raise SourceError(f"{file}: expected at most {most:,} bytes of pixels a band, found {whole:,}")


def _gdal_path(file: str) -> str:
    """Return an address as GDAL has it: of s3:// rasterio would ask boto3 for credentials, which GDAL finds itself."""
    return f"/vsis3/{file.removeprefix('s3://')}" if file.startswith("s3://") else file


def _gdal_options() -> dict[str, Any]:
    """Return GDAL's options; s3:// goes to the endpoint that is set for all other programs, too."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if not endpoint or "AWS_S3_ENDPOINT" in os.environ:
        return OPTIONS
    parts = urlsplit(endpoint)
    secure = "YES" if parts.scheme == "https" else "NO"
    place = f"{parts.netloc}{parts.path.rstrip('/')}"
    return OPTIONS | {"AWS_S3_ENDPOINT": place, "AWS_HTTPS": secure, "AWS_VIRTUAL_HOSTING": "FALSE"}


def _planes_by_name(datasets: Sequence[tuple[str, Any]], bands: Sequence[str] | None) -> dict[str, tuple[Any, int]]:
    """Return the name of each band → dataset and number; names are given, or from the files."""
    planes = [(source, number) for _, source in datasets for number in source.indexes]
    described = [text for _, source in datasets for text in source.descriptions]
    names = bands or [text or str(number) for number, text in enumerate(described, 1)]
    if len(names) != len(planes) or len(set(names)) != len(names):
        raise UsageError(f"{datasets[0][0]}: expected {len(planes)} different names of bands, found {few(list(names))}")
    return dict(zip(names, planes, strict=True))


def _place(source: Any) -> Place:
    if isinstance(source, Arrays):
        return Place()
    controls, crs = source.gcps
    if source.crs is None and controls:
        points = tuple((point.row, point.col, point.x, point.y, point.z or 0.0) for point in controls)
        return Place(crs.to_string() if crs else None, None, points)
    placed = not source.transform.is_identity
    return Place(source.crs.to_string() if source.crs else None, tuple(source.transform)[:6] if placed else None)


def _reason(error: BaseException) -> str:
    return str(error.__cause__ or error)[:200]
