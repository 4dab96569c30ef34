"""Corners, hulls and overlaps of rotated boxes [n, 5], the best of those that overlap, and boxes around outlines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

SIGNS = ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0))  # of the corners, clockwise as an image is seen
SHORTEST = 1.0  # pixel: an outline that is a line covers a row of pixels


def axes(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Return the unit vectors [n, (x, y)] along the width and along the height of boxes."""
    angle = torch.deg2rad(boxes[:, 4])
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([cos, sin], dim=1), torch.stack([-sin, cos], dim=1)


def corners(boxes: Tensor) -> Tensor:
    """Return the corners [n, 4, (x, y)] of boxes, clockwise from the upper left one of a box that is not turned."""
    along, across = axes(boxes)
    signs = boxes.new_tensor(SIGNS)
    reach = along * boxes[:, 2:3] / 2, across * boxes[:, 3:4] / 2
    return boxes[:, None, :2] + signs[:, :1] * reach[0][:, None] + signs[:, 1:] * reach[1][:, None]


def hulls(boxes: Tensor) -> Tensor:
    """Return the horizontal boxes [n, (x0, y0, x1, y1)] around rotated ones."""
    points = corners(boxes)
    return torch.cat([points.amin(dim=1), points.amax(dim=1)], dim=1)


def upright(boxes: Tensor) -> Tensor:
    """Return horizontal boxes [n, 4] as rotated ones."""
    centres, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    return canonical(torch.cat([centres, sizes, torch.zeros_like(sizes[:, :1])], dim=1))


def canonical(boxes: Tensor) -> Tensor:
    """Return the same boxes with the longer side as their width and degrees in [-90, 90)."""
    x, y, width, height, degrees = boxes.unbind(dim=1)
    degrees = torch.remainder(degrees + 90 * (width < height) + 90, 180) - 90
    return torch.stack([x, y, torch.maximum(width, height), torch.minimum(width, height), degrees], dim=1)


def enclosing(points: Tensor, directions: Tensor) -> Tensor:
    """Return the smallest boxes [n, 5] around points [n, p, 2] that have a side along one of directions [n, k, 2].

    A direction without length is that of the x axis.
    """
    length = directions.norm(dim=2, keepdim=True)
    along = torch.where(length > 0, directions / length, directions.new_tensor([1.0, 0.0]))
    both = torch.stack([along, torch.stack([-along[..., 1], along[..., 0]], dim=2)], dim=2)  # [n, k, side, 2]
    places = (both[:, :, :, None] * points[:, None, None]).sum(dim=4)  # [n, k, side, p]
    lower, upper = places.amin(dim=3), places.amax(dim=3)
    best = (upper - lower).prod(dim=2).argmin(dim=1)
    row = torch.arange(len(points), device=points.device)
    middle, sizes, sides = ((lower + upper) / 2)[row, best], (upper - lower)[row, best], both[row, best]
    centre = (middle[:, :, None] * sides).sum(dim=1)
    degrees = torch.rad2deg(torch.atan2(sides[:, 0, 1], sides[:, 0, 0]))
    return canonical(torch.cat([centre, sizes, degrees[:, None]], dim=1))


def around(points: npt.NDArray[Any]) -> Tensor:
    """Return the smallest rotated box [5] around points [p, (x, y)], none of whose sides is shorter than SHORTEST.

    A side of it lies on their convex hull.
    """
    ring = torch.from_numpy(_convex(np.asarray(points, np.float64)))
    box = enclosing(ring[None], (ring.roll(-1, dims=0) - ring)[None])[0]
    box[2:4].clamp_(min=SHORTEST)
    return box


def _convex(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the corners of the convex hull of points (Andrew 1979)."""
    ordered = sorted(set(map(tuple, points.tolist())))
    halves = []
    for row in (ordered, ordered[::-1]):
        half: list[tuple[float, ...]] = []
        for x, y in row:
            while len(half) > 1 and (half[-1][0] - half[-2][0]) * (y - half[-2][1]) <= (half[-1][1] - half[-2][1]) * (
                x - half[-2][0]
            ):
                half.pop()
            half.append((x, y))
        halves += half[:-1] or half
    return np.array(halves)


def of_targets(targets: Sequence[dict[str, Any]]) -> list[Tensor]:
    """Return the rotated boxes [n, 5] of each image's objects, `targets` as a loader has them.

    An object is its most exact outline: its rotated box, else the smallest box around its outlines, else its
    horizontal box.
    """
    lacking = [target["rotated"].isnan().any(dim=1, keepdim=True) for target in targets]
    rotated = [
        torch.where(rows, upright(target["boxes"]), canonical(target["rotated"]))
        for target, rows in zip(targets, lacking, strict=True)
    ]
    for boxes, rows, target in zip(rotated, lacking, targets, strict=True):
        if any(target.get("polygons", ())):
            for i in rows.flatten().nonzero().flatten().tolist():
                if rings := target["polygons"][i]:
                    boxes[i] = around(torch.cat(list(rings)).cpu().numpy()).to(boxes)
    return rotated


def overlaps(boxes: Tensor, others: Tensor) -> Tensor:
    """Return intersection over union [n, m], float32, of boxes [n, 5] and others [m, 5]."""
    from torchvision.ops import box_iou  # which takes seconds to import, and only detection needs it

    # torchvision's angles grow counter-clockwise as an image is seen.
    turned = [torch.cat([each[:, :4], -each[:, 4:]], dim=1).float() for each in (boxes, others)]
    shares: Tensor = box_iou(*turned, fmt="cxcywhr")
    return shares


def covered_shares(boxes: Tensor, others: Tensor) -> Tensor:
    """Return the share [n, m] of the area of boxes [n, 5] that each of the others [m, 5] covers."""
    shared, (areas, more) = overlaps(boxes, others), (each[:, 2:4].float().prod(dim=1) for each in (boxes, others))
    return shared * (areas[:, None] + more[None, :]) / (1 + shared) / areas[:, None]


def best(boxes: Tensor, scores: Tensor, labels: Tensor, threshold: float, most: int | None = None) -> Tensor:
    """Return the numbers of the boxes, best first, that no better box of their label overlaps by more than a threshold.

    At most the `most` best ones. It runs on the processor: only boxes whose hulls meet are compared.
    """
    device, boxes, labels = boxes.device, boxes.detach().cpu(), labels.cpu()
    order = scores.detach().argsort(descending=True, stable=True).cpu()
    boxes, labels = boxes[order], labels[order]
    edges = hulls(boxes)
    lower, upper = edges[:, :2], edges[:, 2:]
    left, kept = torch.ones(len(boxes), dtype=torch.bool), list[int]()
    for i in range(len(boxes)):
        if len(kept) == most:
            break
        if not left[i]:
            continue
        kept.append(i)
        meet = (lower[i + 1 :] < upper[i]).all(dim=1) & (upper[i + 1 :] > lower[i]).all(dim=1)
        near = (meet & (labels[i + 1 :] == labels[i]) & left[i + 1 :]).nonzero().flatten() + i + 1
        if len(near):
            left[near[overlaps(boxes[i : i + 1], boxes[near])[0] > threshold]] = False
    return order[torch.tensor(kept, dtype=torch.int64)].to(device)
