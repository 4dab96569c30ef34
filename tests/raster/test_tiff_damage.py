"""Whatever is done to a TIFF, the reader returns pixels of the asked form or a bad record."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sar_data.errors import BadRecord
from sar_data.raster import tiff
from tests.raster.test_tiff import by_gdal, image, small

SEEDS = [
    small(image(1)),
    small(image(2), planar=True),
    by_gdal(image(1), tiled=True, blockxsize=16, blockysize=16),
    by_gdal(image(1), BIGTIFF="YES"),
    by_gdal(image(1), ENDIANNESS="BIG"),
    by_gdal(image(1), compress="deflate"),
]


@settings(max_examples=400, deadline=None)
@given(
    which=st.sampled_from(SEEDS),
    changes=st.lists(st.tuples(st.integers(0, 600), st.binary(min_size=1, max_size=6)), max_size=6),
    cut=st.one_of(st.none(), st.integers(0, 5000)),
    bands=st.sampled_from([1, 2]),
)
@example(which=SEEDS[3], changes=[(8, b"\xff" * 8)], cut=None, bands=1)
def test_damage_gives_pixels_or_a_bad_record_and_nothing_else(
    which: bytes, changes: list[tuple[int, bytes]], cut: int | None, bands: int
) -> None:
    data = bytearray(which[:cut])
    for at, raw in changes:
        data[at : at + len(raw)] = raw
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tiff.georeference_of(bytes(data))
        try:
            found = tiff.read(bytes(data), "a.tif", shape=(20, 30), dtypes=("float32",), bands=bands)
        except BadRecord:
            return
    assert found.pixels.shape == (bands, 20, 30)
    assert found.pixels.dtype == np.float32


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"II+\0\x08\0\0\0"]))
def test_noise_is_a_bad_record(data: bytes, start: bytes) -> None:
    with pytest.raises(BadRecord):
        tiff.read(start + data, "a.tif", shape=(20, 30), dtypes=("float32",), bands=1)
