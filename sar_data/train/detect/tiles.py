"""Detection in tiles: images larger than a detector was trained on, looked at part by part and put together.

Of rotated boxes, [n, 5] as "rotated", "boxes" are the hulls. Hulls are cut to the image; the boxes themselves are not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import batched_nms, box_area, clip_boxes_to_image

from sar_data.train.rotated.boxes import best, held
from sar_data.train.segment.windows import starts

Found = dict[str, Tensor]
SUMS = "sums"  # of a detector's loss, beside its boxes
TOUCH = 2.0  # pixels from a border within which a box counts as cut by it
HELD = 0.5  # share of a cut box that a whole one holds, from which on both are of one object


def tiled(
    detect: Callable[..., Sequence[Found]],
    images: Tensor,
    sizes: Sequence[tuple[int, int]],
    targets: Sequence[Found] | None = None,
    *,
    tile: int,
    overlap: float,
    nms: float,
    most: int,
) -> list[Found]:
    """Return what `detect` finds in images [B, C, H, W], of which only the first (height, width) pixels are image.

    The detector sees [B, C, tile, tile] each time, of each image the next of its own tiles, which end where it ends: no
    padding is looked at but that of images smaller than a tile, and an image's answers do not depend on the others. A
    box that an inner border cuts yields to a whole one that holds at least half of it, and of boxes of one class that
    overlap by more than `nms` the best stays. Objects should be smaller than the overlap, a share of the tile: one that
    no tile sees whole is found in pieces. Where there are `targets`, the detector is given those of each tile, too, and
    the sums of its loss are added over an image's tiles.
    """
    room = [max(tile - length, 0) for length in images.shape[-2:]]
    images = F.pad(images, (0, room[1], 0, room[0]))
    places = [
        [(top, left) for top in starts(height, tile, overlap) for left in starts(width, tile, overlap)]
        for height, width in sizes
    ]
    parts: list[list[Found]] = [[] for _ in sizes]
    for number in range(max(map(len, places), default=0)):
        # An image that has no tile left shows its last again, so that all batches have one shape.
        corners = [own[min(number, len(own) - 1)] for own in places]
        seen = [image[:, y : y + tile, x : x + tile] for image, (y, x) in zip(images, corners, strict=True)]
        there = () if targets is None else ([inside(*pair, tile) for pair in zip(targets, corners, strict=True)],)
        for i, found in enumerate(detect(torch.stack(seen), *there)):
            if number < len(places[i]):
                parts[i].append(_placed(found, corners[i], sizes[i], tile))
    return [_merged(one, nms, most) for one in parts]


def seen(
    detect: Callable[[Tensor], Sequence[Found]],
    windows: Iterable[tuple[tuple[int, int], Tensor]],
    size: tuple[int, int],
    *,
    tile: int,
    nms: float,
) -> Found:
    """Return what `detect` finds in windows of one image of (height, width) `size`, every object once.

    A window is the (top, left) where it lies in the image, and its pixels [C, tile, tile]. Boxes are in pixels of the
    image; cut ones yield to whole ones as in `tiled`.
    """
    parts = [_placed(detect(pixels[None])[0], corner, size, tile) for corner, pixels in windows]
    return _merged(parts, nms, sum(len(part["boxes"]) for part in parts))


def within(found: Found, size: tuple[int, int], most: int) -> Found:
    """Return the boxes of an image cut to its (height, width), without those that lie beyond it."""
    boxes = clip_boxes_to_image(found["boxes"], size)
    kept = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(dim=1)
    return {name: values if name == SUMS else values[kept][:most] for name, values in {**found, "boxes": boxes}.items()}


def inside(target: Found, corner: tuple[int, int], tile: int) -> Found:
    """Return the boxes, and their labels, whose centres lie in a tile, clipped to it: what a crop in training has."""
    top, left = corner
    boxes = target["boxes"] - target["boxes"].new_tensor([left, top, left, top])
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    kept = ((centres >= 0) & (centres <= tile)).all(dim=1)
    found = {**_moved(target, -corner[1], -corner[0]), "boxes": boxes.clamp(0, tile)}
    return {name: values[kept] for name, values in found.items()}


def zoomed(found: Found, factor: float) -> Found:
    """Return the boxes of an image that is so many times as large."""
    sizes = {"boxes": found["boxes"] * factor}
    if "rotated" in found:
        sizes["rotated"] = torch.cat([found["rotated"][:, :4] * factor, found["rotated"][:, 4:]], dim=1)
    return {**found, **sizes}


def _moved(found: Found, left: float, top: float) -> Found:
    """Return boxes of which the origin lies at (left, top)."""
    moved = {"boxes": found["boxes"] + found["boxes"].new_tensor([left, top, left, top])}
    if "rotated" in found:
        moved["rotated"] = found["rotated"] + found["rotated"].new_tensor([left, top, 0, 0, 0])
    return {**found, **moved}


def _placed(found: Found, corner: tuple[int, int], size: tuple[int, int], tile: int) -> Found:
    """Return a tile's boxes where they lie in the image, and which of them an inner border cuts."""
    top, left = corner
    lower = found["boxes"].new_tensor([left, top])
    upper = lower + tile
    found = _moved(found, left, top)
    boxes = found["boxes"]
    ends = boxes.new_tensor([size[1], size[0]])
    cut = ((boxes[:, :2] <= lower + TOUCH) & (lower > 0)) | ((boxes[:, 2:] >= upper - TOUCH) & (upper < ends))
    return within({**found, "cut": cut.any(dim=1)}, size, len(boxes))


def _merged(parts: Sequence[Found], nms: float, most: int) -> Found:
    """Return the boxes of all tiles of an image, every object once as far as can be told, best first."""
    found = {name: torch.cat([part[name] for part in parts]) for name in parts[0] if name != SUMS}
    sums = {SUMS: torch.stack([part[SUMS] for part in parts]).sum(dim=0)} if SUMS in parts[0] else {}
    kept = ~(found["cut"] & _held(found))
    found = {name: values[kept] for name, values in found.items() if name != "cut"}
    if "rotated" in found:
        chosen = best(found["rotated"], found["scores"], found["labels"], nms, most)
    else:
        chosen = batched_nms(found["boxes"], found["scores"], found["labels"], nms)[:most]
    return {name: values[chosen] for name, values in found.items()} | sums


def _held(found: Found) -> Tensor:
    """Say of each box whether a box that is not cut, of the same class, holds enough of it."""
    whole, labels = ~found["cut"], found["labels"]
    if "rotated" in found:
        shares = held(found["rotated"], found["rotated"][whole])
    else:
        boxes = found["boxes"]
        lower = torch.maximum(boxes[:, None, :2], boxes[None, whole, :2])
        upper = torch.minimum(boxes[:, None, 2:], boxes[None, whole, 2:])
        shares = (upper - lower).clamp(min=0).prod(dim=2) / box_area(boxes)[:, None]
    same: Tensor = (shares >= HELD) & (labels[:, None] == labels[None, whole])
    return same.any(dim=1)
