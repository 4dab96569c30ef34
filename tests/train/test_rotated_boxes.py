"""Rotated boxes: overlaps as exact clipping has them, coders that give back what they were given, losses by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.ops import nms, roi_align

from sar_data.labels import boxes as labels
from sar_data.train.rotated import align, boxes, coders, gaussian
from tests.train import clipping


def drawn(count: int, seed: int = 0, *, slender: bool = False) -> Tensor:
    """Return boxes float64 [count, 5] of 4 to 60 pixels; slender ones are almost upright ships."""
    random = torch.Generator().manual_seed(seed)
    uniform = torch.rand((count, 5), generator=random, dtype=torch.float64)
    degrees = uniform[:, 4] * 360 - 180
    if slender:
        turn = torch.randn(count, generator=random, dtype=torch.float64) * 0.01  # radians
        degrees = torch.rad2deg(turn) + 90 * (uniform[:, 4] < 0.5)
    size = 4 + uniform[:, 2:4] * (torch.tensor([90.0, 6]) if slender else 56)
    return torch.cat([uniform[:, :2] * 100, size, degrees[:, None]], dim=1)


def corner_error(found: Tensor, expected: Tensor) -> float:
    """Return how far corners are apart at most, whichever of them a box begins with."""
    one, other = boxes.corners(found), boxes.corners(expected)
    apart = torch.stack([(one - other.roll(shift, dims=1)).norm(dim=2).amax(dim=1) for shift in range(4)])
    return float(apart.amin(dim=0).max())


def test_corners_are_those_of_the_index_and_canonical_boxes_have_the_same() -> None:
    some = drawn(50)
    expected = torch.tensor([labels.corners(tuple(row)) for row in some.tolist()], dtype=torch.float64)  # type: ignore[arg-type]
    torch.testing.assert_close(boxes.corners(some), expected.view(-1, 4, 2))
    found = boxes.canonical(some)
    assert (found[:, 2] >= found[:, 3]).all()
    assert ((found[:, 4] >= -90) & (found[:, 4] < 90)).all()
    assert corner_error(found, some) < 1e-9
    torch.testing.assert_close(boxes.hulls(found)[:, :2], expected.view(-1, 4, 2).amin(dim=1))
    flat = torch.tensor([[10.0, 20, 14, 40]])
    assert boxes.upright(flat).tolist() == [[12, 30, 20, 4, -90]]
    torch.testing.assert_close(boxes.hulls(boxes.upright(flat)), flat)


def test_overlaps_are_those_of_exact_clipping() -> None:
    one, other = drawn(40, 1), drawn(40, 2)
    one[:5] = other[:5]  # the same boxes, too
    expected = clipping.overlaps(one.numpy(), other.numpy())
    assert np.abs(boxes.overlaps(one, other).numpy() - expected).max() < 2e-6
    assert (expected > 0.3).sum() > 20
    assert expected[range(5), range(5)] == pytest.approx(np.ones(5))
    assert boxes.overlaps(one[:0], other).shape == (0, 40)


def test_the_best_of_boxes_that_overlap_are_kept_by_label() -> None:
    some = boxes.canonical(drawn(200, 3))
    random = torch.Generator().manual_seed(3)
    scores, label = torch.rand(200, generator=random), torch.randint(0, 2, (200,), generator=random)
    found = boxes.best(some, scores, label, 0.2).tolist()
    kept = list[int]()
    every = boxes.overlaps(some, some)
    for i in scores.argsort(descending=True).tolist():
        if all(label[i] != label[j] or every[i, j] <= 0.2 for j in kept):
            kept.append(i)
    assert found == kept
    assert len(kept) < 150
    assert boxes.best(some, scores, label, 0.2, most=7).tolist() == kept[:7]
    straight = some.clone()
    straight[:, 4] = 0
    assert (
        boxes.best(straight, scores, torch.zeros(200), 0.2).tolist()
        == nms(boxes.hulls(straight).float(), scores, 0.2).tolist()
    )
    assert boxes.best(some[:0], scores[:0], label[:0], 0.2).tolist() == []


def test_the_smallest_box_around_an_outline_has_a_side_on_its_hull() -> None:
    some = boxes.canonical(drawn(30, 4))
    for box in some:
        ring = boxes.corners(box[None])[0]
        inside = ring.mean(dim=0) + (ring - ring.mean(dim=0)) * 0.7
        middles = (ring + ring.roll(1, dims=0)) / 2
        found = boxes.around(torch.cat([ring, inside, middles]).numpy())
        assert corner_error(found[None], box[None]) < 1e-6
    random = np.random.default_rng(5)
    for _ in range(5):  # no turn of the axes by whole degrees gives a smaller one
        points = random.normal(size=(20, 2)) * (30, 8)
        turns = np.radians(np.arange(180))
        turned = points @ np.array([[np.cos(turns), -np.sin(turns)], [np.sin(turns), np.cos(turns)]]).transpose(2, 0, 1)
        smallest = float(np.ptp(turned, axis=1).prod(axis=1).min())
        area = float(boxes.around(points)[2:4].prod())
        assert smallest * 0.97 < area <= smallest
    assert boxes.around(np.array([[3.0, 3], [9, 3]])).tolist() == [6, 3, 6, 1, 0]  # a line covers a row of pixels
    assert boxes.around(np.array([[3.0, 3]])).tolist()[:4] == [3, 3, 1, 1]


def test_a_target_is_the_rotated_box_else_that_around_outlines_else_the_upright_one() -> None:
    nothing = [math.nan] * 5
    target = {
        "boxes": torch.tensor([[0.0, 0, 10, 10], [0, 0, 8, 4], [5, 5, 25, 15]]),
        "rotated": torch.tensor([[5.0, 5, 4, 12, 30], nothing, nothing]),
        "polygons": [[], [torch.tensor([[0.0, 2], [4, 0], [8, 2], [4, 4]])], []],
    }
    found, empty = boxes.of_targets(
        [target, {"boxes": torch.zeros(0, 4), "rotated": torch.zeros(0, 5), "polygons": []}]
    )
    assert found[0].tolist() == pytest.approx([5, 5, 12, 4, -60])
    ring = torch.tensor([[[0.0, 2], [4, 0], [8, 2], [4, 4]]])
    assert float(found[1, 2:4].prod()) == pytest.approx(
        float(boxes.enclosing(ring, ring.roll(-1, dims=1) - ring)[0, 2:4].prod()), rel=1e-5
    )
    assert found[2].tolist() == [15, 10, 20, 10, 0]
    assert empty.shape == (0, 5)


@pytest.mark.parametrize("slender", [True, False])
def test_midpoint_offsets_give_back_20_000_boxes(slender: bool) -> None:
    some = drawn(20_000, 6, slender=slender)
    some[:100, 4] = torch.arange(100) % 4 * 90.0  # quite upright ones, too
    anchors = boxes.hulls(drawn(20_000, 7))
    coder = coders.MidpointOffsets()
    deltas = coder.encode(some, anchors)
    assert float(deltas[:, 4:].abs().max()) <= 1 + 1e-9
    far = (deltas[:, 2:4].abs() > coders.MOST_LOG).any(dim=1)
    assert not far.any()
    assert corner_error(coder.decode(deltas, anchors), some) < 1e-6


def test_boxes_in_the_frame_of_proposals_come_back_and_swap_their_sides() -> None:
    some, proposals = boxes.canonical(drawn(2000, 8)), boxes.canonical(drawn(2000, 9))
    coder = coders.RotatedDeltas()
    deltas = coder.encode(some, proposals)
    assert float(deltas[:, 4].abs().max()) * 0.1 <= math.pi / 4 + 1e-9
    assert corner_error(coder.decode(deltas, proposals), some) < 1e-6
    same = torch.tensor([[10.0, 10, 20, 10, 30]]).double()
    turned = torch.tensor([[10.0, 10, 10, 20, 120]]).double()
    torch.testing.assert_close(coder.encode(turned, same), torch.zeros(1, 5).double())


def root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ torch.diag_embed(values.clamp(min=0).sqrt()) @ vectors.transpose(1, 2)


def test_the_wasserstein_distance_is_that_by_matrix_roots_and_its_loss_the_published_one() -> None:
    one, other = drawn(500, 10), drawn(500, 11)
    first, second = gaussian.covariances(one), gaussian.covariances(other)
    mixed = root(root(first) @ second @ root(first))
    spread = (first + second - 2 * mixed).diagonal(dim1=1, dim2=2).sum(dim=1)
    expected = (one[:, :2] - other[:, :2]).square().sum(dim=1) + spread
    torch.testing.assert_close(gaussian.wasserstein(one, other), expected, rtol=1e-9, atol=1e-9)
    distance = expected.sqrt() / (one[:, 2:4].prod(dim=1) * other[:, 2:4].prod(dim=1)) ** 0.25
    torch.testing.assert_close(gaussian.gwd_loss(one, other), 1 - 1 / (1 + (1 + distance).log()))


def test_kalman_overlaps_are_a_third_at_most_and_as_the_filter_has_them() -> None:
    one, other = drawn(200, 12), drawn(200, 13)
    first, second = gaussian.covariances(one), gaussian.covariances(other)
    gain = first @ torch.linalg.inv(first + second)
    volumes = [4 * torch.linalg.det(matrix).sqrt() for matrix in (first, second, first - gain @ first)]
    expected = volumes[2] / (volumes[0] + volumes[1] - volumes[2])
    torch.testing.assert_close(gaussian.kalman_overlaps(one, other), expected)
    torch.testing.assert_close(gaussian.kalman_overlaps(one, one), torch.full((200,), 1 / 3).double())
    assert float(expected.max()) < 1 / 3
    torch.testing.assert_close(gaussian.kfiou_loss(one, one), torch.zeros(200).double())


@pytest.mark.parametrize("name", gaussian.LOSSES)
def test_losses_have_slopes_everywhere_and_lead_to_the_box(name: str) -> None:
    true = boxes.canonical(drawn(30, 14)).float()
    for start in (true.clone(), true * torch.tensor([1.0, 1, 0, 0, 1]), true + torch.tensor([500.0, 0, 0, 0, 0])):
        asked = start.requires_grad_()
        gaussian.LOSSES[name](asked, true).sum().backward()
        assert asked.grad is not None
        assert torch.isfinite(asked.grad).all()
    said = (true + torch.tensor([2.0, -1.5, 3, 2, 12])).requires_grad_()
    optimiser = torch.optim.Adam([said], lr=0.2)
    before = float(boxes.overlaps(said.detach(), true).diagonal().mean())
    for _ in range(150):
        optimiser.zero_grad()
        gaussian.LOSSES[name](said, true).sum().backward()
        optimiser.step()
    assert float(boxes.overlaps(said.detach(), true).diagonal().mean()) > max(0.9, before)


def test_what_lies_under_boxes_is_roi_align_s_where_they_are_not_turned() -> None:
    random = torch.Generator().manual_seed(15)
    features = torch.randn((3, 40, 56), generator=random)
    flat = torch.tensor([[20.0, 30, 80, 70], [4, 4, 120, 60], [60, 10, 200, 150]])
    centres, sizes = (flat[:, :2] + flat[:, 2:]) / 2, flat[:, 2:] - flat[:, :2]
    for degrees in (0.0, 90.0, 180.0):
        turned = torch.cat([centres, sizes, torch.full((3, 1), degrees)], dim=1)
        if degrees == 90:
            turned[:, 2:4] = sizes.flip(1)
        found = align.align(features, turned, 4.0)
        expected = roi_align(features[None], [flat], 7, 0.25, sampling_ratio=2, aligned=True)
        # What lies along the width comes first: at 90° that is the image's y axis.
        expected = {0.0: expected, 90.0: expected.transpose(2, 3).flip(2), 180.0: expected.flip(2, 3)}[degrees]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=2e-5)


def test_each_box_is_looked_at_in_its_image_and_in_the_map_of_its_size() -> None:
    maps = [torch.stack([torch.full((1, 64 >> i, 64 >> i), 10.0 * i + b) for b in (1, 2)]) for i in range(3)]
    some = [torch.tensor([[60.0, 60, side, side, 20] for side in sides]) for sides in ((20, 400), (130, 60, 111))]
    found = align.pool(maps, (4, 8, 16), some)
    assert found.shape == (5, 1, 7, 7)
    assert [float(one.mean()) for one in found] == pytest.approx([1, 21, 12, 2, 2])
    assert all(float(one.std()) < 1e-5 for one in found)
