"""Images as files: PNG where that holds them bit for bit, else GeoTIFF."""

from __future__ import annotations

from pathlib import Path

from sar_data.exporters.source import Row, Source
from sar_data.raster.gdal import encode
from sar_data.raster.maps import encode_geotiff
from sar_data.record import Image

PNG_BANDS = (1, 3)  # what every reader of PNG takes as it is: grey, or red, green and blue


def suffix(source: Source) -> str:
    """Return .png or .tif, for all images of a build."""
    layout = source.layout
    plain = layout.dtype == "uint8" and layout.frames == 1 and len(layout.bands) in PNG_BANDS
    return ".png" if plain else ".tif"


def write_images(source: Source, split: str, folder: Path, suffix: str) -> None:
    """Write the images of a split as FOLDER/KEY.png or .tif, bit for bit."""
    folder.mkdir(parents=True)
    for row, image, _ in source.samples(split):
        data = encode(image, "PNG") if suffix == ".png" else geotiff(source, row, image)
        (folder / f"{row['key']}{suffix}").write_bytes(data)


def geotiff(source: Source, row: Row, image: Image) -> bytes:
    """Return an image [(frame,) band, y, x] as a GeoTIFF with its place; bands of several frames lie one after another.

    float16, which not every GDAL has, becomes float32.
    """
    bands = [f"{band.name} ({band.unit})" for band in source.manifest.bands]
    frames = source.manifest.frames
    names = bands if frames == 1 else [f"{frame} {band}" for frame in range(frames) for band in bands]
    planes = image.reshape(-1, *image.shape[-2:])
    planes = planes.astype("float32") if planes.dtype == "float16" else planes
    return encode_geotiff(planes, row["crs"], row["transform"], names)
