"""Images as GeoTIFFs with their place, images/KEY.tif, masks in masks/KEY.tif, tables and a declaration.

Pixels are those of the build bit for bit, and so those of the sources where nothing was baked.
"""

from __future__ import annotations

from pathlib import Path

from sar_data.exporters import files, tables
from sar_data.exporters.source import Source
from sar_data.raster.maps import encode_geotiff


def write(source: Source, folder: Path) -> None:
    """Write images, masks and tables."""
    tables.check_names(source)
    images, masks = folder / "images", folder / "masks"
    images.mkdir()
    for split in source.splits:
        for row, image, mask in source.samples(split):
            name = f"{row['key']}.tif"
            (images / name).write_bytes(files.geotiff(source, row, image))
            if mask is not None:
                masks.mkdir(exist_ok=True)
                (masks / name).write_bytes(encode_geotiff(mask[None], row["crs"], row["transform"]))
    tables.write(source, folder, ".tif")
