"""Rotated boxes as numbers relative to a reference box: to an upright anchor, and to a rotated proposal."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sar_data.train.rotated.boxes import axes, canonical, corners

MOST_LOG = abs(math.log(16 / 1000))  # a side grows and shrinks by a factor of 62.5 at most
HALF = (1.0, 1.0, 1.0, 1.0, 0.5, 0.5)
TENTH = (0.1, 0.1, 0.2, 0.2, 0.1)


class MidpointOffsets:
    """A rotated box relative to an upright anchor, as six numbers (Oriented R-CNN, Xie et al. 2021).

    Four are the box around it, as in Faster R-CNN; two are the places of its top vertex on the upper side and of its
    right vertex on the right side, from the middle of these sides, in their length. The published coder takes the top
    vertex and the right one each within a tolerance, so that of slender boxes that are almost upright the two may not
    be neighbours. Here the right vertex is the next one after the top vertex.
    """

    def encode(self, boxes: Tensor, anchors: Tensor) -> Tensor:
        """Return [n, 6] of boxes [n, 5] and anchors [n, 4]."""
        ring = corners(boxes)
        lower, upper = ring.amin(dim=1), ring.amax(dim=1)
        centre, size = (lower + upper) / 2, upper - lower
        row = torch.arange(len(ring), device=ring.device)
        highest = ring[..., 1] == lower[:, None, 1]
        top = torch.where(highest, ring[..., 0], -torch.inf).argmax(dim=1)  # of two such vertices the right one
        above, right = ring[row, top, 0], ring[row, (top + 1) % 4, 1]
        middle, sides = (anchors[:, :2] + anchors[:, 2:]) / 2, anchors[:, 2:] - anchors[:, :2]
        offsets = (torch.stack([above, right], dim=1) - centre) / size
        return torch.cat([(centre - middle) / sides, (size / sides).log(), offsets], dim=1) / boxes.new_tensor(HALF)

    def decode(self, deltas: Tensor, anchors: Tensor) -> Tensor:
        """Return boxes [n, 5] of [n, 6] and anchors [n, 4]; the shorter diagonal is stretched to the longer one."""
        deltas = deltas * deltas.new_tensor(HALF)
        middle, sides = (anchors[:, :2] + anchors[:, 2:]) / 2, anchors[:, 2:] - anchors[:, :2]
        centre = middle + deltas[:, :2] * sides
        size = sides * deltas[:, 2:4].clamp(-MOST_LOG, MOST_LOG).exp()
        offsets = deltas[:, 4:].clamp(-0.5, 0.5) * size
        above = torch.stack([offsets[:, 0], -size[:, 1] / 2], dim=1)
        right = torch.stack([size[:, 0] / 2, offsets[:, 1]], dim=1)
        reach = above.norm(dim=1), right.norm(dim=1)
        longer = torch.maximum(*reach)
        above, right = (half * (longer / own)[:, None] for half, own in zip((above, right), reach, strict=True))
        side, other = right - above, -above - right  # from the top vertex clockwise
        degrees = torch.rad2deg(torch.atan2(side[:, 1], side[:, 0]))
        return canonical(torch.stack([*centre.T, side.norm(dim=1), other.norm(dim=1), degrees], dim=1))


class RotatedDeltas:
    """A rotated box relative to a rotated proposal, as five numbers in the proposal's frame, in its sides and radians.

    Width and height are exchanged where that makes the angle smaller.
    """

    def encode(self, boxes: Tensor, proposals: Tensor) -> Tensor:
        """Return [n, 5] of boxes [n, 5] and proposals [n, 5]."""
        apart = boxes[:, :2] - proposals[:, :2]
        shift = torch.stack([(apart * axis).sum(dim=1) for axis in axes(proposals)], dim=1) / proposals[:, 2:4]
        turn = boxes[:, 4] - proposals[:, 4]
        plain, swapped = (torch.remainder(angle + 90, 180) - 90 for angle in (turn, turn + 90))
        swap = swapped.abs() < plain.abs()
        size = torch.where(swap[:, None], boxes[:, 2:4].flip(1), boxes[:, 2:4])
        angle = torch.deg2rad(torch.where(swap, swapped, plain))
        deltas = torch.cat([shift, (size / proposals[:, 2:4]).log(), angle[:, None]], dim=1)
        return deltas / boxes.new_tensor(TENTH)

    def decode(self, deltas: Tensor, proposals: Tensor) -> Tensor:
        """Return boxes [n, 5] of [n, 5] and proposals [n, 5]."""
        deltas = deltas * deltas.new_tensor(TENTH)
        shift, (along, across) = deltas[:, :2] * proposals[:, 2:4], axes(proposals)
        centre = proposals[:, :2] + shift[:, :1] * along + shift[:, 1:] * across
        size = proposals[:, 2:4] * deltas[:, 2:4].clamp(-MOST_LOG, MOST_LOG).exp()
        degrees = proposals[:, 4:] + torch.rad2deg(deltas[:, 4:])
        return canonical(torch.cat([centre, size, degrees], dim=1))
