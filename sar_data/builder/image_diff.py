"""Compare stored images and masks of two builds, sample by sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from sar_data.builder.rebake import Bakes
from sar_data.formats.container import Place
from sar_data.progress import Progress
from sar_data.runners import Runner
from sar_data.sealed.opened import Pixels

CHUNK = 256  # samples a task, as in a shard
Row = tuple[str, str, str, str]
"""What differs, the record's key, and both values in words."""


@dataclass(frozen=True, slots=True)
class Side:
    """The pixels of a build, and what is done to an image before it is compared."""

    pixels: Pixels
    bakes: Bakes


def differing_images(
    sides: Sequence[Side], places: Sequence[Sequence[Place]], runner: Runner, progress: Progress | None = None
) -> Iterator[Row]:
    """Yield the samples whose images differ by more than one ulp, or whose masks differ.

    `places` [side] are of the same samples in the same order. Raises BuildError for a sample that cannot be read.
    """
    pairs = list(zip(*places, strict=True))
    chunks = [pairs[start : start + CHUNK] for start in range(0, len(pairs), CHUNK)]
    for number, rows in enumerate(runner.map(partial(_compare, sides), chunks), 1):
        if progress:
            progress("compare", min(number * CHUNK, len(pairs)), len(pairs))
        yield from rows


def _compare(sides: Sequence[Side], pairs: list[tuple[Place, ...]]) -> list[Row]:
    rows: list[Row] = []
    left, right = (side.pixels.layout.bands for side in sides)
    order = [right.index(name) for name in left]
    with ExitStack() as stack:
        readers = [stack.enter_context(side.pixels.reader()) for side in sides]
        for pair in pairs:
            images, masks = [], []
            for side, reader, place in zip(sides, readers, pair, strict=True):
                images.append(side.bakes.apply(reader.read(place)).image)
                masks += [] if place.mask_xxh3 is None else [reader.mask(place)]
            key, image = pair[0].key, images[1][..., order, :, :]
            rows += [("pixels", key, *values) for values in _differing(images[0], image)]
            if len(masks) == len(pair):  # else a task differs
                rows += [("mask", key, *values) for values in _differing(*masks)]
    return rows


def _differing(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> Iterator[tuple[str, str]]:
    """Yield both values of the first pixel that differs by more than one ulp, with its place; nothing for none."""
    if first.shape != second.shape:
        yield str(first.shape), str(second.shape)
        return
    with np.errstate(invalid="ignore"):  # infinite less infinite
        same = (first == second) | (np.isnan(first) & np.isnan(second))
        if "f" in (first.dtype.kind, second.dtype.kind):
            same |= np.abs(first - second) <= np.spacing(np.maximum(np.abs(first), np.abs(second)))
    if not same.all():
        place = tuple(np.argwhere(~same)[0].tolist())
        yield f"{first[place]:g} at {place}", f"{second[place]:g}, {np.count_nonzero(~same):,} pixels in all"
