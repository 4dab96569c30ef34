"""Tiles: every object once, wherever it lies, and the same answers whatever else is in the batch."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sar_data.train.detect.tiles import Detections, clip, detect_in_tiles

TILE, OVERLAP, NMS = 32, 0.5, 0.5
Box = tuple[int, int, int, int]


def drawn(boxes: Sequence[Box], height: int = 100, width: int = 90) -> Tensor:
    """Return an image [1, 1, H, W] in which each box has a value of its own, from 1 on."""
    image = torch.zeros(1, 1, height, width)
    for value, (left, top, right, bottom) in enumerate(boxes, 1):
        image[..., top:bottom, left:right] = value
    return image


def oracle(images: Tensor) -> list[Detections]:
    """Find what is drawn in each tile, as far as it reaches; a piece is as sure of itself as a whole."""
    found = []
    for image in images[:, 0]:
        boxes, labels, scores = [], [], []
        for value in image.unique().tolist():
            if value:
                y, x = torch.nonzero(image == value, as_tuple=True)
                boxes.append([int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1])
                labels.append(int(value) % 2)
                scores.append(0.5 + 0.4 / len(y))  # pieces even more
        found.append(
            {
                "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
                "scores": torch.tensor(scores),
                "labels": torch.tensor(labels, dtype=torch.int64),
            }
        )
    return found


def looked(images: Tensor, sizes: Sequence[tuple[int, int]] | None = None, most: int = 100) -> list[Detections]:
    sizes = sizes or [(images.shape[2], images.shape[3])] * len(images)
    return detect_in_tiles(oracle, images, sizes, tile=TILE, overlap=OVERLAP, nms=NMS, most=most)


@st.composite
def apart(draw: st.DrawFn) -> list[Box]:
    """Return boxes of up to 12 pixels a side, one in each of some cells of 15."""
    cells = draw(st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=8))
    found = []
    for row, column in sorted(cells):
        height, width = draw(st.integers(3, 12)), draw(st.integers(3, 12))
        top = row * 15 + draw(st.integers(0, 14 - height))
        left = column * 15 + draw(st.integers(0, 14 - width))
        found.append((left, top, left + width, top + height))
    return found


@given(apart())
@settings(max_examples=40, deadline=None)
def test_every_object_smaller_than_the_overlap_is_found_once_and_whole(boxes: list[Box]) -> None:
    (found,) = looked(drawn(boxes))
    assert sorted(map(tuple, found["boxes"].int().tolist())) == sorted(boxes)
    assert set(found) == {"boxes", "scores", "labels"}


def test_a_piece_of_another_class_stays() -> None:
    image = drawn([(24, 8, 40, 16)])

    def confused(images: Tensor) -> list[Detections]:
        return [
            {**one, "labels": torch.where(one["boxes"][:, 2] - one["boxes"][:, 0] < 16, 7, one["labels"])}
            for one in oracle(images)
        ]

    (found,) = detect_in_tiles(confused, image, [(100, 90)], tile=TILE, overlap=OVERLAP, nms=NMS, most=9)
    assert sorted(set(found["labels"].tolist())) == [1, 7]


def test_what_lies_in_the_padding_is_not_in_the_image_and_what_reaches_into_it_is_cut() -> None:
    image = drawn([(5, 5, 12, 12), (40, 60, 52, 70), (70, 80, 80, 90)])
    (found,) = looked(image, [(64, 60)])
    assert sorted(map(tuple, found["boxes"].int().tolist())) == [(5, 5, 12, 12), (40, 60, 52, 64)]


def test_no_padding_is_looked_at_and_all_batches_have_one_shape() -> None:
    images = torch.full((3, 1, 100, 100), 7.0)  # padding, in which anything might be seen
    sizes = [(33, 47), (90, 64), (32, 32)]
    for image, (height, width) in zip(images, sizes, strict=True):
        image[:, :height, :width] = 0
    shapes = []

    def seen(part: Tensor) -> list[Detections]:
        shapes.append(tuple(part.shape))
        assert not part.any()
        return oracle(part)

    detect_in_tiles(seen, images, sizes, tile=TILE, overlap=OVERLAP, nms=NMS, most=9)
    assert set(shapes) == {(3, 1, TILE, TILE)}
    assert len(shapes) == 5 * 3  # as many as the second image has


def test_an_image_s_boxes_do_not_depend_on_the_others_in_the_batch() -> None:
    one, other = drawn([(20, 20, 30, 30)]), drawn([(60, 70, 72, 82), (3, 3, 9, 9)])
    alone = looked(one, [(50, 50)])[0]
    together = looked(torch.cat([one, other]), [(50, 50), (100, 90)])[0]
    assert all(torch.equal(alone[name], together[name]) for name in alone)


def test_the_sums_of_an_image_are_those_of_its_tiles_with_the_boxes_of_each() -> None:
    """One image has a tile, the other two by two; what fills the batch is not added again."""
    images = torch.cat([drawn([]), drawn([])])
    boxes = torch.tensor([[20.0, 20, 30, 30], [28.0, 4, 50, 12]])
    targets = [{"boxes": boxes, "labels": torch.tensor([1, 0])} for _ in images]
    there = []

    def counting(part: Tensor, own: list[Detections]) -> list[Detections]:
        there.extend(own)
        return [
            {**one, "sums": torch.tensor([1.0, len(two["boxes"])])} for one, two in zip(oracle(part), own, strict=True)
        ]

    found = detect_in_tiles(
        counting, images, [(TILE, TILE), (TILE + 8, TILE + 8)], targets, tile=TILE, overlap=OVERLAP, nms=NMS, most=9
    )
    assert found[0]["sums"].tolist() == [1, 1]
    assert found[1]["sums"].tolist() == [4, 6]
    assert there[0]["boxes"].tolist() == [[20, 20, 30, 30]]
    assert there[0]["labels"].tolist() == [1]
    assert there[3]["boxes"].tolist() == [[12, 20, 22, 30], [20, 4, 32, 12]]


def test_an_image_smaller_than_a_tile_is_extended() -> None:
    (found,) = looked(drawn([(2, 3, 9, 10)], height=20, width=25))
    assert found["boxes"].tolist() == [[2, 3, 9, 10]]


def test_no_more_than_the_best_are_kept() -> None:
    boxes = [(15 * i, 15 * j, 15 * i + 4 + i, 15 * j + 5) for i in range(3) for j in range(2)]
    (found,) = looked(drawn(boxes), most=2)
    (everything,) = looked(drawn(boxes))
    assert torch.equal(found["scores"], everything["scores"][:2])
    assert everything["scores"].tolist() == sorted(everything["scores"].tolist(), reverse=True)


@pytest.mark.parametrize("count", [0, 3])
def test_boxes_are_cut_to_the_image_and_those_beyond_it_are_dropped(count: int) -> None:
    boxes = torch.tensor([[-5.0, 2, 10, 12], [8, 8, 30, 30], [20, 20, 30, 30]])[:count]
    found = clip({"boxes": boxes, "scores": torch.tensor([0.9, 0.8, 0.7])[:count]}, (15, 20), 10)
    assert found["boxes"].tolist() == [[0, 2, 10, 12], [8, 8, 20, 15]][: max(count - 1, 0)]
    assert len(found["scores"]) == len(found["boxes"])
