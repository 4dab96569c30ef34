"""Boxes, rotated boxes and outlines of one image, moved as its pixels are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sar_data.torch.pinned import sent
from sar_data.train.rotated.boxes import corners as corners_of
from sar_data.train.rotated.boxes import enclosing

Objects = dict[str, Any]


def orient(objects: Objects, how: Sequence[bool], size: tuple[int, int]) -> Objects:
    """Return objects of an image that was turned by (transpose, flip y, flip x); `size` is its (height, width) then."""
    boxes, rotated = objects["boxes"].clone(), objects["rotated"].clone()
    outlines = [[ring.clone() for ring in rings] for rings in objects.get("polygons", [])]
    corners = boxes.view(-1, 2, 2)
    moved = [corners, *[ring for rings in outlines for ring in rings]]
    transpose, *flips = how
    if transpose:
        for points in moved:
            points.copy_(points.flip(-1))
        rotated[:, :2] = rotated[:, :2].flip(-1)
        rotated[:, 4] = 90 - rotated[:, 4]
    for flip, axis, length in zip(flips, (1, 0), size, strict=True):
        if flip:
            for points in moved:
                points[..., axis] = length - points[..., axis]
            rotated[:, axis] = length - rotated[:, axis]
            rotated[:, 4] = -rotated[:, 4]
    boxes = torch.cat([corners.amin(1), corners.amax(1)], dim=1)
    return objects | {"boxes": boxes, "rotated": rotated} | ({"polygons": outlines} if outlines else {})


def cut_window(objects: Objects, start: Tensor, step: Tensor, size: tuple[int, int]) -> Objects:
    """Return the objects of a window whose output has `size` (height, width): those whose centres lie in it.

    `start` and `step` [2] (y, x) are where it begins and how many source pixels an output pixel has. Boxes are clipped
    to the window, outlines and rotated boxes moved whole. Where the scales of the axes differ, a rotated box becomes a
    parallelogram, and the smallest box around that is taken.
    """
    device = objects["boxes"].device
    origin, scale = (sent(part.flip(0).float(), device) for part in (start, step))
    far = sent(torch.tensor(size[::-1], dtype=torch.float32), device)
    corners = (objects["boxes"].view(-1, 2, 2) - origin) / scale
    centres = corners.mean(1)
    kept = ((centres >= 0) & (centres <= far)).all(1)
    rotated = objects["rotated"].clone()
    if step[0] == step[1]:
        rotated[:, :2] = (rotated[:, :2] - origin) / scale
        rotated[:, 2:4] /= scale
    else:
        parallelograms = (corners_of(rotated) - origin) / scale
        rotated = enclosing(parallelograms, parallelograms[:, 1:3] - parallelograms[:, :2])
    window = objects | {
        "boxes": corners[kept].clamp_min(0).minimum(far).view(-1, 4),
        "labels": objects["labels"][kept],
        "rotated": rotated[kept],
    }
    if "polygons" in objects:
        outlines = zip(objects["polygons"], kept.tolist(), strict=True)
        window["polygons"] = [[(ring - origin) / scale for ring in rings] for rings, here in outlines if here]
    return window
