"""Detection in tiles: images larger than a detector was trained on, processed part by part, with the results merged.

Of rotated boxes, [n, 5] as "rotated", "boxes" are the hulls. Hulls are clipped to the image; rotated boxes are not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import batched_nms, box_area, clip_boxes_to_image

from sar_data.train.rotated.boxes import best, covered_shares
from sar_data.train.segment.windows import starts

Detections = dict[str, Tensor]
SUMS = "sums"  # of a detector's loss, beside its boxes
TOUCH = 2.0  # pixels from a border within which a box counts as cut by it
COVERED = 0.5  # share of a cut box inside a whole one, from which on both are of one object


def detect_in_tiles(
    detect: Callable[..., Sequence[Detections]],
    images: Tensor,
    sizes: Sequence[tuple[int, int]],
    targets: Sequence[Detections] | None = None,
    *,
    tile: int,
    overlap: float,
    nms: float,
    most: int,
) -> list[Detections]:
    """Return the detections in images [B, C, H, W], of which only the first (height, width) pixels are image.

    Each call of `detect` has [B, C, tile, tile]: the next tile of each image. Tiles end where the image ends, so that
    padding is seen of images smaller than a tile alone, and an image's detections do not depend on the other images. A
    box that an inner border cuts is dropped where a whole box covers at least half of it, and of boxes of one class
    that overlap by more than `nms` the best stays. Objects should be smaller than the overlap, a share of the tile: an
    object that no tile contains whole is detected in pieces. With `targets`, `detect` gets those of each tile, too,
    and the sums of its loss are added over an image's tiles.
    """
    room = [max(tile - length, 0) for length in images.shape[-2:]]
    images = F.pad(images, (0, room[1], 0, room[0]))
    places = [
        [(top, left) for top in starts(height, tile, overlap) for left in starts(width, tile, overlap)]
        for height, width in sizes
    ]
    parts: list[list[Detections]] = [[] for _ in sizes]
    for number in range(max(map(len, places), default=0)):
        # An image without a further tile repeats its last one, so that all batches have one shape.
        corners = [own[min(number, len(own) - 1)] for own in places]
        seen = [image[:, y : y + tile, x : x + tile] for image, (y, x) in zip(images, corners, strict=True)]
        there = () if targets is None else ([inside(*pair, tile) for pair in zip(targets, corners, strict=True)],)
        for i, result in enumerate(detect(torch.stack(seen), *there)):
            if number < len(places[i]):
                parts[i].append(_place(result, corners[i], sizes[i], tile))
    return [_merge(items, nms, most) for items in parts]


def detect_in_windows(
    detect: Callable[[Tensor], Sequence[Detections]],
    windows: Iterable[tuple[tuple[int, int], Tensor]],
    size: tuple[int, int],
    *,
    tile: int,
    nms: float,
) -> Detections:
    """Return the detections in windows of one image of (height, width) `size`, every object once.

    A window is its (top, left) corner in the image, and its pixels [C, tile, tile]. Boxes are in pixels of the image;
    cut boxes are dropped for whole ones as in `detect_in_tiles`.
    """
    parts = [_place(detect(pixels[None])[0], corner, size, tile) for corner, pixels in windows]
    return _merge(parts, nms, sum(len(part["boxes"]) for part in parts))


def clip(result: Detections, size: tuple[int, int], most: int) -> Detections:
    """Return at most `most` boxes, clipped to an image of (height, width), without those that lie outside."""
    boxes = clip_boxes_to_image(result["boxes"], size)
    kept = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(dim=1)
    return {
        name: values if name == SUMS else values[kept][:most] for name, values in {**result, "boxes": boxes}.items()
    }


def inside(target: Detections, corner: tuple[int, int], tile: int) -> Detections:
    """Return boxes and labels of the objects whose centres lie in a tile, clipped to it, as in a training crop."""
    top, left = corner
    boxes = target["boxes"] - target["boxes"].new_tensor([left, top, left, top])
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    kept = ((centres >= 0) & (centres <= tile)).all(dim=1)
    clipped = {**_move(target, -corner[1], -corner[0]), "boxes": boxes.clamp(0, tile)}
    return {name: values[kept] for name, values in clipped.items()}


def rescale(result: Detections, factor: float) -> Detections:
    """Return the boxes of an image scaled by a factor."""
    sizes = {"boxes": result["boxes"] * factor}
    if "rotated" in result:
        sizes["rotated"] = torch.cat([result["rotated"][:, :4] * factor, result["rotated"][:, 4:]], dim=1)
    return {**result, **sizes}


def _move(result: Detections, left: float, top: float) -> Detections:
    """Return boxes moved by (left, top)."""
    moved = {"boxes": result["boxes"] + result["boxes"].new_tensor([left, top, left, top])}
    if "rotated" in result:
        moved["rotated"] = result["rotated"] + result["rotated"].new_tensor([left, top, 0, 0, 0])
    return {**result, **moved}


def _place(result: Detections, corner: tuple[int, int], size: tuple[int, int], tile: int) -> Detections:
    """Return a tile's boxes in pixels of the image, and whether an inner border cuts each."""
    top, left = corner
    lower = result["boxes"].new_tensor([left, top])
    upper = lower + tile
    result = _move(result, left, top)
    boxes = result["boxes"]
    ends = boxes.new_tensor([size[1], size[0]])
    cut = ((boxes[:, :2] <= lower + TOUCH) & (lower > 0)) | ((boxes[:, 2:] >= upper - TOUCH) & (upper < ends))
    return clip({**result, "cut": cut.any(dim=1)}, size, len(boxes))


def _merge(parts: Sequence[Detections], nms: float, most: int) -> Detections:
    """Return the boxes of all tiles of an image, without repetitions of one object, best first."""
    result = {name: torch.cat([part[name] for part in parts]) for name in parts[0] if name != SUMS}
    sums = {SUMS: torch.stack([part[SUMS] for part in parts]).sum(dim=0)} if SUMS in parts[0] else {}
    kept = ~(result["cut"] & _is_repeated(result))
    result = {name: values[kept] for name, values in result.items() if name != "cut"}
    if "rotated" in result:
        chosen = best(result["rotated"], result["scores"], result["labels"], nms, most)
    else:
        chosen = batched_nms(result["boxes"], result["scores"], result["labels"], nms)[:most]
    return {name: values[chosen] for name, values in result.items()} | sums


def _is_repeated(result: Detections) -> Tensor:
    """Say of each box whether a box of its class that is not cut covers enough of it."""
    whole, labels = ~result["cut"], result["labels"]
    if "rotated" in result:
        shares = covered_shares(result["rotated"], result["rotated"][whole])
    else:
        boxes = result["boxes"]
        lower = torch.maximum(boxes[:, None, :2], boxes[None, whole, :2])
        upper = torch.minimum(boxes[:, None, 2:], boxes[None, whole, 2:])
        shares = (upper - lower).clamp(min=0).prod(dim=2) / box_area(boxes)[:, None]
    same: Tensor = (shares >= COVERED) & (labels[:, None] == labels[None, whole])
    return same.any(dim=1)
