"""Pictures of samples as data that a page holds: PNG images in one stretch, objects as outlines over them."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sar_data.formats.storage import physical
from sar_data.labels.boxes import corners
from sar_data.record import IGNORE, Mask, Object
from sar_data.reports.page import drawn
from sar_data.sealed.dates import describe
from sar_data.sealed.manifest import Manifest
from sar_data.sealed.opened import Build
from sar_data.sealed.places import places
from sar_data.sealed.records import to_object
from sar_data.spec import MASKED, is_change
from sar_data.views.stretch import stretch, units_of

Floats = npt.NDArray[np.float32]

LARGEST = 160  # pixels of a side as drawn
MOST_PIXELS = 1_600_000  # of all pictures together: 5 MB of speckle, which no PNG makes smaller
MOST_POINTS = 1000  # of the outlines of one picture
MASKS = (
    *("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#332288", "#ddcc77"),
    *("#117733", "#88ccee", "#882255", "#44aa99", "#999933", "#cc6677"),
)
"""Colours of classes, apart for colour-blind eyes (Tol 2021, personal.sron.nl/~pault); more classes repeat them."""
OUTLINES = ("#56b4e9", "#e69f00", "#2ee6a8", "#f0e442", "#ff7847", "#e58ac3", "#8fb3ff", "#c8e05a")
"""Bright on grey, and apart for colour-blind eyes (after Okabe and Ito 2008)."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A sample as it is drawn: `size` (width, height) are its own pixels, in which the outlines are.

    `images` has one picture, and of a change one of each of its `dates`.
    """

    key: str
    split: str
    size: tuple[int, int]
    images: list[str]
    dates: list[str]
    mask: str
    outlines: list[tuple[str, str]]
    labels: list[str]


def pictures(build: Build, rows: pa.Table) -> tuple[dict[str, Picture], str]:
    """Return pictures of packed index rows by key, all in one stretch, and in words what that is."""
    if not len(rows):
        return {}, ""
    changing = is_change(build.manifest.tasks)
    frames = build.manifest.frames if changing else 1  # of other sets the first is shown
    side = min(LARGEST, int((MOST_PIXELS / (len(rows) * frames)) ** 0.5))
    images, masks = [], []
    with build.reader() as reader:
        for place in places(rows):
            height, width = place.shape
            image = physical(reader.read(place), build.manifest.storage.scale)[..., :height, :width]
            images += [_shrunk(frame, side) for frame in image.reshape(-1, *image.shape[-3:])[:frames]]
            masked = place.mask_offset is not None
            masks.append(_mask(reader.mask(place)[:height, :width], side) if masked else "")
    shown, note = stretch(images, units_of(build.manifest))
    by_key = {}
    taken = zip(*(shown[i::frames] for i in range(frames)), strict=True)
    for row, dates, mask in zip(rows.to_pylist(), taken, masks, strict=True):
        objects = [to_object(item) for item in row.get("objects") or ()]
        by_key[row["key"]] = Picture(
            key=row["key"],
            split=row["split"],
            size=(row["width"], row["height"]),
            images=[embed_png(np.rint(255 * picture).astype(np.uint8)) for picture in dates],
            dates=[describe(date) for date in row.get("dates") or ()],
            mask=mask,
            outlines=_outlines(objects),
            labels=row["labels"] or [],
        )
    return by_key, note


def _shrunk(image: npt.NDArray[np.floating], side: int) -> Floats:
    """Return an image [band, y, x] whose sides are at most so long, each pixel the mean of the valid ones below it."""
    step = max(1, -(-max(image.shape[1:]) // side))
    if step == 1:
        return image.astype(np.float32)
    high, wide = (max(size // step, 1) for size in image.shape[1:])
    cut = image[:, : high * step, : wide * step].astype(np.float64)
    blocks = cut.reshape(len(image), high, cut.shape[1] // high, wide, cut.shape[2] // wide)
    known = np.isfinite(blocks)
    counts = known.sum(axis=(2, 4))
    sums = np.where(known, blocks, 0).sum(axis=(2, 4))
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan).astype(np.float32)


def _mask(mask: Mask, side: int) -> str:
    step = max(1, -(-max(mask.shape) // side))
    return embed_png(mask[::step, ::step].astype(np.uint8), palette=True)


def _outlines(objects: Sequence[Object]) -> list[tuple[str, str]]:
    """Return the most exact outlines of objects, a path and a colour each, as many as a picture has room for."""
    outlines: list[tuple[str, str]] = []
    room = MOST_POINTS
    for item in objects:
        left, top, right, bottom = item.box
        turned = () if item.rotated is None else (corners(item.rotated),)
        rings = item.polygons or turned or ((left, top, right, top, right, bottom, left, bottom),)
        room -= sum(map(len, rings)) // 2
        if room < 0:
            break
        lines = (np.reshape(ring, (-1, 2)).round(1).tolist() for ring in rings)
        text = "".join(f"M{'L'.join(f'{x:g} {y:g}' for x, y in line)}z" for line in lines)
        outlines.append((drawn(text), OUTLINES[item.label % len(OUTLINES)]))
    return outlines


def embed_png(pixels: npt.NDArray[np.uint8], *, palette: bool = False) -> str:
    """Return pixels [y, x, 1 or 3] as the address of a PNG inside of the page, or a mask [y, x] in MASKS."""
    height, width = pixels.shape[:2]
    kind = 3 if palette else 0 if pixels.shape[2] == 1 else 2  # indexed, grey or RGB (PNG, ISO/IEC 15948, 11.2.2)
    lines = np.zeros((height, 1 + pixels[0].size), np.uint8)  # each with the filter "none" before it
    lines[:, 1:] = pixels.reshape(height, -1)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0))]
    if palette:
        colours = b"".join(bytes.fromhex(MASKS[label % len(MASKS)][1:]) for label in range(IGNORE + 1))
        chunks += [(b"PLTE", colours), (b"tRNS", bytes([255] * IGNORE + [0]))]
    chunks += [(b"IDAT", zlib.compress(lines.tobytes(), 9 if palette else 6)), (b"IEND", b"")]
    whole = b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)
    return drawn(f"data:image/png;base64,{base64.b64encode(whole).decode()}")


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def legend(manifest: Manifest) -> list[tuple[str, str]]:
    """Return colour and name of each class that masks or outlines show."""
    for task in manifest.tasks:
        if task.kind in (*MASKED, "detection"):
            return list(zip(cycle(MASKS if task.kind in MASKED else OUTLINES), task.classes, strict=False))
    return []
