"""Place and CRS of a GeoTIFF are those that rasterio finds, or absent."""

from __future__ import annotations

import pytest
import rasterio

from sar_data import synth
from sar_data.raster import tiff
from tests.raster.test_tiff import UTM, image, small


@pytest.mark.parametrize("head", [b"", b"II", b"<html>", b"II*\0\x08\0\0\0\x0f\0", b"MM\0*" + bytes(40)])
def test_an_unreadable_georeference_counts_as_absent(head: bytes) -> None:
    assert tiff.georeference_of(head) == (None, None)


def test_georeference_is_rasterios_also_from_the_head_alone() -> None:
    assert tiff.georeference_of(small(image())[:512]) == ("EPSG:32633", UTM)
    assert tiff.georeference_of(small(image(), epsg=None)) == (None, None)
    degrees = (1e-4, 0.0, 11.0, 0.0, -1e-4, 48.0)
    data = synth.geotiff(image(), epsg=4326, transform=degrees, rows_per_strip=20)
    assert tiff.georeference_of(data) == ("EPSG:4326", degrees)


@pytest.mark.parametrize("point", [False, True])
def test_rotated_and_point_rasters_have_rasterios_transform(point: bool) -> None:
    options = {"transform": rasterio.Affine(9.0, 2.0, 4e5, 1.0, -8.0, 5e6)} if not point else {}
    with rasterio.MemoryFile() as memory:
        place = {"crs": "EPSG:32633", "transform": rasterio.Affine(*UTM), **options}
        with memory.open(driver="GTiff", count=1, height=4, width=5, dtype="float32", **place) as target:
            target.write(image(1, 4, 5))
            if point:
                target.update_tags(AREA_OR_POINT="Point")
        data = memory.read()
    with rasterio.MemoryFile(data) as memory, memory.open() as source:
        assert tiff.georeference_of(data) == ("EPSG:32633", tuple(source.transform)[:6])
