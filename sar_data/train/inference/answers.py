"""What a model says of the parts of a prediction: class numbers of pixels, or a table of boxes or of classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from sar_data.errors import UsageError
from sar_data.record import IGNORE, Mask
from sar_data.spec import MASKED
from sar_data.train.inference.finished import Finished
from sar_data.train.inference.images import Images
from sar_data.train.inference.model import Model
from sar_data.train.inference.parts import Block, Part, Whole
from sar_data.train.segment.windows import Span, join_windows
from sar_data.train.settings import Detect, Segment

Floats = npt.NDArray[np.float32]
Found = dict[str, Tensor]
BOXES = pa.schema(
    {
        "image": pa.int32(),
        "label": pa.int32(),
        "score": pa.float32(),
        "box": pa.list_(pa.float32(), 4),
        "rotated": pa.list_(pa.float32(), 5),
    }
)
"""A row a box: the number of its image, x0, y0, x1, y1 in pixels of it.

`rotated` is its centre x, centre y, width, height and degrees, null of a horizontal box.
"""
CLASSES = pa.schema({"image": pa.int32(), "window": pa.list_(pa.int32(), 4), "shares": pa.list_(pa.float32())})
"""A row an image or a window of one: top, left, height, width in pixels, and a share for each class.

`shares` is null where there is no data.
"""


@dataclass(frozen=True)
class Answering:
    """A model on its device, and how images come to it.

    `tile` is the side of the windows of large images, `overlap` the share by which they overlap; whole images are
    extended to `pad` pixels a side, where that is given.
    """

    model: Model
    tile: int | None
    pad: int | None
    overlap: float
    device: torch.device

    @property
    def masks(self) -> bool:
        return self.model.kind in MASKED

    @torch.inference_mode()
    def answer(self, part: Part, images: Images) -> Mask | pa.Table:
        """Return what the model says: uint8 [image, y, x] or [y, x] of a block, or a table of BOXES or CLASSES."""
        if isinstance(part, Whole):
            return self._whole(part, images)
        if self.masks:
            return self._block_mask(part, images)
        return self._block_boxes(part, images) if self.model.kind == "detection" else self._block_classes(part, images)

    def _whole(self, part: Whole, images: Images) -> Mask | pa.Table:
        first = images.images[part.images[0]]
        height, width = first.height, first.width
        pixels = np.stack([images.read(number, 0, 0, height, width) for number in part.images])
        seen = self._tensor(pixels if self.pad is None else extended(pixels, self.pad))
        if self.model.kind in ("multiclass", "multilabel"):
            shares = self.model.probabilities(seen).cpu().numpy()
            return _classes([(number, (0, 0, height, width)) for number in part.images], shares)
        if self.masks:
            found: Mask = self.model.masks(seen).cpu().numpy()[:, :height, :width]
            return found
        from sar_data.train.detect.tiles import clip

        tables = []
        for number, image, one in zip(part.images, pixels, self.model(seen), strict=True):
            said = clip(one, (height, width), len(one["boxes"]))
            tables.append(_boxes(number, _with_data(said, image, (0, 0))))
        return pa.concat_tables(tables)

    def _block_mask(self, part: Block, images: Images) -> Mask:
        tile, rows, columns = self._side, part.rows, part.columns
        pixels, (top, left) = self._read(part, images)
        logits = join_windows(
            self.model,
            self._tensor(pixels[None]),
            tile,
            [place - top for place in rows.windows],
            [place - left for place in columns.windows],
        )
        own = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
        found = logits[0][(slice(None), *own)].argmax(dim=0).to(torch.uint8).cpu().numpy()
        found[~np.isfinite(pixels[(slice(None), *own)]).any(axis=0)] = IGNORE
        image = images.images[part.image]
        mask: Mask = found[: image.height - rows.start, : image.width - columns.start]
        return mask

    def _block_boxes(self, part: Block, images: Images) -> pa.Table:
        from sar_data.train.detect.tiles import detect_in_windows

        tile, image = self._side, images.images[part.image]
        pixels, (top, left) = self._read(part, images)
        windows = ((corner, self._tensor(window)) for corner, window in _windows(pixels, part, (top, left), tile))
        nms: float = self.model.network.overlap  # type: ignore[assignment]  # a detector's, not a tensor
        detections = detect_in_windows(self.model, windows, (image.height, image.width), tile=tile, nms=nms)
        centre = (detections["boxes"][:, :2] + detections["boxes"][:, 2:]) / 2
        # A neighbour sees the objects at the border, too: each is of the block that holds its centre.
        own = _between(centre[:, 0], part.columns) & _between(centre[:, 1], part.rows)
        return _boxes(part.image, _with_data(_of(detections, own), pixels, (top, left)))

    def _block_classes(self, part: Block, images: Images) -> pa.Table:
        """Classify the windows that begin in a block."""
        tile = self._side
        pixels, origin = self._read(part, images)
        places, shares = [], []
        for (top, left), window in _windows(pixels, part, origin, tile):
            if part.rows.start <= top < part.rows.stop and part.columns.start <= left < part.columns.stop:
                places.append((part.image, (top, left, tile, tile)))
                shares.append(self.model.probabilities(self._tensor(window[None])).cpu().numpy()[0])
        return _classes(places, np.array(shares, np.float32))

    def _read(self, part: Block, images: Images) -> tuple[Floats, tuple[int, int]]:
        """Return all that the windows of a block show, and its (top, left); NaN beyond the image."""
        image = images.images[part.image]
        top, left = part.rows.windows[0], part.columns.windows[0]
        height = min(part.rows.windows[-1] + self._side, image.height) - top
        width = min(part.columns.windows[-1] + self._side, image.width) - left
        return extended(images.read(part.image, top, left, height, width), self._side), (top, left)

    @property
    def _side(self) -> int:
        if self.tile is None:
            raise UsageError(
                "`tile=…`: expected the side of the windows of images larger than the model was trained on"
            )
        return self.tile

    def _tensor(self, pixels: Floats) -> Tensor:
        return torch.from_numpy(pixels).to(self.device)


def tile_of(finished: Finished, asked: int | None) -> int | None:
    """Return the side of the windows in which a model sees large images: as asked for, or as it was trained.

    None where that is not known: of a run that resized images of a size that it did not record.
    """
    settings = finished.settings
    own = (settings.tiles if isinstance(settings, Segment | Detect) else None) or settings.crop or settings.pad
    return asked or own or (None if finished.input.resized else finished.side)


def extended(pixels: Floats, tile: int) -> Floats:
    """Return pixels [..., y, x] with no data below and on the right, so that no side is shorter than a tile."""
    room = [max(tile - side, 0) for side in pixels.shape[-2:]]
    if not any(room):
        return pixels
    widths = [(0, 0)] * (pixels.ndim - 2) + [(0, extra) for extra in room]
    return np.pad(pixels, widths, constant_values=np.nan)


def _windows(
    pixels: Floats, part: Block, origin: tuple[int, int], tile: int
) -> Iterator[tuple[tuple[int, int], Floats]]:
    """Yield the (top, left) of each window of a block in the image, and its pixels [C, tile, tile]."""
    for top in part.rows.windows:
        for left in part.columns.windows:
            y, x = top - origin[0], left - origin[1]
            yield (top, left), np.ascontiguousarray(pixels[:, y : y + tile, x : x + tile])


def _with_data(found: Found, pixels: Floats, origin: tuple[int, int]) -> Found:
    """Return the boxes that have data somewhere; `pixels` [C, y, x] begin at `origin` (top, left) of the image."""
    there: npt.NDArray[np.bool_] = np.logical_or.reduce(np.isfinite(pixels))
    if there.all():
        return found
    boxes = found["boxes"].cpu().numpy().astype(np.float64) - [*origin[::-1]] * 2
    x0, y0, x1, y1 = np.concatenate([np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])], axis=1).astype(int).clip(0).T
    kept = [there[top:bottom, left:right].any() for top, bottom, left, right in zip(y0, y1, x0, x1, strict=True)]
    return _of(found, torch.tensor(kept, dtype=torch.bool, device=found["boxes"].device))


def _of(found: Found, kept: Tensor) -> Found:
    return {name: values[kept] for name, values in found.items()}


def _between(values: Tensor, span: Span) -> Tensor:
    return (values >= span.start) & (values < span.stop)


def _boxes(number: int, found: dict[str, Tensor]) -> pa.Table:
    count = len(found["scores"])
    columns = [
        pa.array(np.full(count, number), pa.int32()),
        pa.array(found["labels"].cpu().numpy(), pa.int32()),
        pa.array(found["scores"].float().cpu().numpy(), pa.float32()),
        _numbers(found["boxes"], 4),
        _numbers(found["rotated"], 5) if "rotated" in found else pa.nulls(count, BOXES.field("rotated").type),
    ]
    return pa.table(columns, schema=BOXES)


def _numbers(values: Tensor, width: int) -> pa.Array:
    flat = pa.array(values.float().cpu().numpy().reshape(-1), pa.float32())
    return pa.FixedSizeListArray.from_arrays(flat, width)


def _classes(places: list[tuple[int, tuple[int, int, int, int]]], shares: Floats) -> pa.Table:
    columns = [
        pa.array([number for number, _ in places], pa.int32()),
        pa.array([list(window) for _, window in places], CLASSES.field("window").type),
        pa.array([None if np.isnan(own).all() else own for own in shares], CLASSES.field("shares").type),
    ]
    return pa.table(columns, schema=CLASSES)
