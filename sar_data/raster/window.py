"""A window of a large TIFF without reading the rest: the blocks it touches, as a small TIFF that GDAL decodes.

Blocks are fetched by their place in the file, from whatever the tree is, and keep their compression and predictor;
only the tags that count them are written anew. Layout after Adobe's TIFF 6.0 (1992) and BigTIFF.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sar_data.errors import BadRecord
from sar_data.raster.gdal import decoded
from sar_data.raster.ifd import KINDS
from sar_data.record import Image
from sar_data.spec import Tree

_WIDTH, _HEIGHT, _BANDS, _ROWS, _PLANAR = 256, 257, 277, 278, 284
_STRIPS, _STRIP_SIZES, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_SIZES = 273, 279, 322, 323, 324, 325
_KEPT = (258, 259, 262, 266, _BANDS, _PLANAR, 317, 338, 339)  # bits, compression, photometric, …, predictor, formats


@dataclass(frozen=True, slots=True)
class Blocks:
    """Where the blocks of a TIFF lie: `grid` of (rows, columns) blocks of `block` (height, width) pixels."""

    order: str
    shape: tuple[int, int]
    block: tuple[int, int]
    grid: tuple[int, int]
    tiled: bool
    places: tuple[tuple[int, int], ...]
    tags: tuple[tuple[int, str, bytes, int], ...]


def shape(tree: Tree, path: str) -> tuple[int, int]:
    """Return (height, width) of a single-band TIFF; raise BadRecord."""
    return _blocks(tree, path).shape


def read(tree: Tree, path: str, top: int, left: int, height: int, width: int) -> Image:
    """Return the pixels [1, y, x] of a window of a single-band TIFF, cut where the image ends; raise BadRecord."""
    found = _blocks(tree, path)
    bottom, right = min(top + height, found.shape[0]), min(left + width, found.shape[1])
    rows = range(top // found.block[0], -(-bottom // found.block[0]))
    columns = range(left // found.block[1], -(-right // found.block[1]))
    parts = []
    for row in rows:
        for column in columns:
            offset, need = found.places[row * found.grid[1] + column]
            parts.append(tree.pread(path, offset, need))
            if len(parts[-1]) != need:
                raise BadRecord(path, f"truncated: expected {need:,} bytes at {offset:,}, found {len(parts[-1]):,}")
    size = (min(found.shape[0] - rows[0] * found.block[0], len(rows) * found.block[0]), len(columns) * found.block[1])
    pixels = decoded(_small(found, size, parts), path, "GTiff")
    y, x = top - rows[0] * found.block[0], left - columns[0] * found.block[1]
    return np.ascontiguousarray(pixels[:, y : y + bottom - top, x : x + right - left])


@lru_cache(maxsize=16)
def _blocks(tree: Tree, path: str) -> Blocks:
    head = tree.pread(path, 0, 16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2]) if len(head) == 16 else None
    big = order is not None and struct.unpack(order + "H", head[2:4]) == (43,)
    if order is None or not (big or struct.unpack(order + "H", head[2:4]) == (42,)):
        raise BadRecord(path, f"expected a TIFF, found {head!r}")
    (start,) = struct.unpack(order + ("Q" if big else "I"), head[8:16] if big else head[4:8])
    count, entry, inline = (8, "HHQ8s", 8) if big else (2, "HHI4s", 4)
    (length,) = _unpack(order + ("Q" if big else "H"), tree.pread(path, start, count), path)
    raw = tree.pread(path, start + count, length * struct.calcsize(order + entry))
    if not length or len(raw) != length * struct.calcsize(order + entry):
        raise BadRecord(path, f"truncated: expected a directory of {length} entries at {start:,}")
    tags: dict[int, tuple[str, bytes, int]] = {}
    for tag, kind, n, value in struct.iter_unpack(order + entry, raw):
        if kind in KINDS:
            code, each = KINDS[kind]
            if each * n > inline:
                (at,) = struct.unpack(order + ("Q" if big else "I"), value)
                value = tree.pread(path, at, each * n)
            tags[tag] = code, value[: each * n], n

    def numbers(tag: int, *default: int) -> tuple[int, ...]:
        if tag not in tags:
            return default
        code, value, n = tags[tag]
        return _unpack(f"{order}{n}{code}", value, path)

    tiled = _TILES in tags
    places = tuple(
        zip(*(numbers(t) for t in ((_TILES, _TILE_SIZES) if tiled else (_STRIPS, _STRIP_SIZES))), strict=True)
    )
    height, width = (numbers(tag, 0)[0] for tag in (_HEIGHT, _WIDTH))
    rows = numbers(_ROWS, height)[0]
    block = (numbers(_TILE_HEIGHT)[0], numbers(_TILE_WIDTH)[0]) if tiled else (min(rows, height), width)
    grid = (-(-height // max(block[0], 1)), -(-width // max(block[1], 1)))
    if numbers(_BANDS, 1) != (1,) or not height or not width or len(places) != grid[0] * grid[1]:
        raise BadRecord(
            path, f"expected one band in {grid[0]}x{grid[1]} blocks, found {len(places)} of {height}x{width}"
        )
    kept = tuple((tag, *tags[tag]) for tag in _KEPT if tag in tags)
    return Blocks(order, (height, width), block, grid, tiled, places, kept)


def _unpack(form: str, data: bytes, path: str) -> tuple[int, ...]:
    try:
        return struct.unpack(form, data)
    except struct.error as error:
        raise BadRecord(path, f"truncated: a value of its directory is cut off ({error})") from None


def _small(found: Blocks, size: tuple[int, int], parts: list[bytes]) -> bytes:
    """Return a classic TIFF that holds just these blocks."""
    order, starts, sizes = found.order, _TILES if found.tiled else _STRIPS, _TILE_SIZES if found.tiled else _STRIP_SIZES
    rows = {_TILE_HEIGHT: found.block[0], _TILE_WIDTH: found.block[1]} if found.tiled else {_ROWS: found.block[0]}
    counts = {_WIDTH: size[1], _HEIGHT: size[0], **rows}
    tags = {tag: ("I", struct.pack(order + "I", value), 1) for tag, value in counts.items()}
    tags |= {tag: (code, value, n) for tag, code, value, n in found.tags}
    tags[sizes] = ("I", struct.pack(f"{order}{len(parts)}I", *map(len, parts)), len(parts))
    tags[starts] = ("I", bytes(4 * len(parts)), len(parts))
    at = 8 + 2 + 12 * len(tags) + 4
    data = at + sum(len(value) for _, value, _ in tags.values() if len(value) > 4)
    offsets = np.cumsum([data, *map(len, parts[:-1])]).tolist()
    tags[starts] = ("I", struct.pack(f"{order}{len(parts)}I", *offsets), len(parts))
    kinds = {code: kind for kind, (code, _) in reversed(KINDS.items())}
    entries, values = [], []
    for tag, (code, value, n) in sorted(tags.items()):
        where = struct.pack(order + "I", at) if len(value) > 4 else value.ljust(4, b"\0")
        entries.append(struct.pack(order + "HHI", tag, kinds[code], n) + where)
        if len(value) > 4:
            values.append(value)
            at += len(value)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HIH", 42, 8, len(tags))
    return b"".join([head, *entries, bytes(4), *values, *parts])
