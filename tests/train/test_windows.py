"""Sliding windows: every pixel is seen, seams are smooth, and a model that needs no context answers as on the whole."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sar_data.train.segment.windows import blend_windows, starts, weights


@given(length=st.integers(1, 3000), tile=st.integers(1, 800), overlap=st.floats(0, 0.99))
def test_windows_cover_everything_and_overlap_enough(length: int, tile: int, overlap: float) -> None:
    found = starts(length, tile, overlap)
    assert found[0] == 0
    if length <= tile:
        assert found == [0]
        return
    assert found[-1] == length - tile
    steps = [after - before for before, after in itertools.pairwise(found)]
    assert all(0 < step <= max(1, tile * (1 - overlap)) + 1 for step in steps)
    assert max(steps) - min(steps) <= 1


def test_the_number_of_windows_is_the_smallest_that_overlaps_enough() -> None:
    assert starts(512, 256, 0.5) == [0, 128, 256]
    assert starts(513, 256, 0.0) == [0, 128, 257]
    assert starts(512, 256, 0.0) == [0, 256]


def test_weights_of_neighbours_that_overlap_by_half_add_up_to_the_same_everywhere() -> None:
    tile = 32
    total = torch.zeros(tile * 3, tile * 3)
    for top in starts(3 * tile, tile, 0.5):
        for left in starts(3 * tile, tile, 0.5):
            total[top : top + tile, left : left + tile] += weights(tile)
    inner = total[tile // 2 : -tile // 2, tile // 2 : -tile // 2]
    torch.testing.assert_close(inner, torch.ones_like(inner), rtol=0, atol=1e-6)
    assert weights(tile).min() > 0


def pointwise(images: Tensor) -> Tensor:
    return torch.cat([images, -2 * images.square()], dim=1)


@settings(deadline=None)
@given(
    height=st.integers(3, 70), width=st.integers(3, 70), tile=st.sampled_from([8, 17, 32]), overlap=st.floats(0, 0.8)
)
def test_a_model_that_sees_single_pixels_answers_as_on_the_whole_image(
    height: int, width: int, tile: int, overlap: float
) -> None:
    images = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(height))
    shapes = []

    def model(part: Tensor) -> Tensor:
        shapes.append(tuple(part.shape))
        return pointwise(part)

    found = blend_windows(model, images, tile, overlap)
    torch.testing.assert_close(found, pointwise(images), rtol=1e-5, atol=1e-5)
    assert set(shapes) == {(2, 3, tile, tile)}


def test_where_windows_disagree_the_answer_passes_smoothly_from_one_to_the_other() -> None:
    tile, calls = 64, iter(range(2))

    def model(part: Tensor) -> Tensor:
        return torch.full_like(part, float(next(calls)))

    found = blend_windows(model, torch.zeros(1, 1, tile, 96), tile, 0.5)[0, 0, 10]
    assert found[:32].eq(0).all()
    assert found[64:].eq(1).all()
    steps = found[31:65].diff()
    assert steps.min() >= 0
    assert steps.max() < 0.06  # a hard seam would be one step of 1


def test_one_window_is_the_model_itself() -> None:
    images = torch.randn(2, 3, 20, 12)
    assert torch.equal(blend_windows(pointwise, images, 32, 0.5), pointwise(images))


@pytest.mark.parametrize("tile", [16, 24])
def test_images_are_not_changed(tile: int) -> None:
    images = torch.randn(1, 2, 40, 40)
    before = images.clone()
    blend_windows(pointwise, images, tile, 0.5)
    assert torch.equal(images, before)
