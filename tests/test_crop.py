"""One size for all: windows are centred, padding is below and right, and what lies in an image moves with it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sar_data.crop import corner, cut, cut_objects, refit_record
from sar_data.record import Object, Record

SIDES = st.integers(1, 40)


@given(height=SIDES, width=SIDES, size=SIDES, leading=st.sampled_from([(), (2,), (3, 2)]))
def test_a_window_holds_the_centre_and_padding_is_below_and_right(
    height: int, width: int, size: int, leading: tuple[int, ...]
) -> None:
    image = np.random.default_rng(0).random((*leading, height, width), np.float32)
    found = cut(image, size, np.nan)
    y, x = corner((height, width), size)
    assert found.shape == (*leading, size, size)
    inside = image[..., y : y + size, x : x + size]
    assert np.array_equal(found[..., : inside.shape[-2], : inside.shape[-1]], inside)
    assert np.isnan(found).sum() == found.size - inside.size
    assert abs((height - size) / 2 - y) < 1 or height <= size


@given(height=SIDES, width=SIDES, size=SIDES, box=st.tuples(*[st.floats(0, 1)] * 4))
def test_boxes_and_polygons_stay_on_the_pixels_they_were_on(
    height: int, width: int, size: int, box: tuple[float, float, float, float]
) -> None:
    left, right = sorted((box[0] * width, box[2] * width))
    top, bottom = sorted((box[1] * height, box[3] * height))
    ring = (left, top, right, top, right, bottom, left, bottom)
    y, x = corner((height, width), size)
    found = cut_objects([Object(label=0, box=(left, top, right, bottom), polygons=(ring,))], (height, width), size)
    centre = ((left + right) / 2 - x, (top + bottom) / 2 - y)
    inside = all(0 <= v <= min(limit, size) for v, limit in zip(centre, (width, height), strict=True))
    assert len(found) == inside
    for thing in found:
        assert thing.box == pytest.approx(
            (max(left - x, 0), max(top - y, 0), min(right - x, size, width), min(bottom - y, size, height)), abs=1e-9
        )
        for polygon in thing.polygons:  # a box clipped as a polygon is the clipped box
            assert min(polygon[::2]) == pytest.approx(thing.box[0], abs=1e-9)
            assert max(polygon[1::2]) == pytest.approx(thing.box[3], abs=1e-9)


def test_a_triangle_that_leaves_the_window_is_cut_at_its_edge() -> None:
    triangle = (5.0, 5.0, 15.0, 5.0, 5.0, 15.0)
    (found,) = cut_objects([Object(label=0, box=(5, 5, 15, 15), polygons=(triangle,))], (10, 10), 10)
    xs, ys = found.polygons[0][::2], found.polygons[0][1::2]
    area = abs(sum(a * d - c * b for a, b, c, d in zip(xs, ys, xs[1:] + xs[:1], ys[1:] + ys[:1], strict=True))) / 2
    assert area == pytest.approx(25)  # the square of 5 that is left of 50
    assert found.box == (5, 5, 10, 10)


def test_a_cut_and_a_resize_move_place_boxes_and_rotated_boxes() -> None:
    record = Record(
        key="a",
        files=(),
        shape=(30, 50),
        crs="EPSG:32633",
        transform=(10.0, 0.0, 1000.0, 0.0, -10.0, 2000.0),
        footprint=(1000.0, 1700.0, 1500.0, 2000.0),
        objects=(Object(label=1, box=(20, 10, 30, 20), rotated=(25, 15, 8, 4, 30)),),
    )
    found = refit_record(record, 20, 40)
    assert found.shape == (40, 40)
    assert found.footprint == (1150.0, 1750.0, 1350.0, 1950.0)
    assert found.transform == (5.0, 0.0, 1150.0, 0.0, -5.0, 1950.0)
    assert found.objects[0].box == (10, 10, 30, 30)
    assert found.objects[0].rotated == (20, 20, 16, 8, 30)
