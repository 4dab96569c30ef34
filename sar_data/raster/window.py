"""A window of a large TIFF without reading the rest: the blocks it touches, as a small TIFF that GDAL decodes.

Blocks are fetched by their place in the file, from any tree, and keep their compression and predictor;
only the tags that count them are rewritten. Layout after Adobe's TIFF 6.0 (1992) and BigTIFF.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np

from sar_data.errors import BadRecord
from sar_data.raster import tiff
from sar_data.raster.file_parts import FileParts
from sar_data.raster.ifd import KINDS, Malformed, read_directory, read_integers, read_values
from sar_data.record import Image
from sar_data.spec import Tree

_WIDTH, _HEIGHT, _BANDS, _ROWS, _PLANAR = 256, 257, 277, 278, 284
_STRIPS, _STRIP_SIZES, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_SIZES = 273, 279, 322, 323, 324, 325
ASCII = 2  # a field type
_COPIED_TAGS = (
    258,
    259,
    262,
    266,
    _BANDS,
    _PLANAR,
    317,
    338,
    339,
    347,
    tiff.NODATA,
)  # bits, compression, …, predictor, formats, JPEG tables, no data


@dataclass(frozen=True, slots=True)
class Blocks:
    """The blocks of a TIFF: `grid` of (rows, columns) blocks of `block` (height, width) pixels."""

    order: str
    shape: tuple[int, int]
    block: tuple[int, int]
    grid: tuple[int, int]
    tiled: bool
    places: tuple[tuple[int, int], ...]
    tags: tuple[tuple[int, str, bytes, int], ...]


def shape(tree: Tree, path: str) -> tuple[int, int]:
    """Return (height, width) of a single-band TIFF, by its directory alone; raise BadRecord."""
    (bands, height, width), _ = tiff.header(tree, path)
    if bands != 1:
        raise BadRecord(path, f"expected one band, found {bands}")
    return height, width


def read(tree: Tree, path: str, top: int, left: int, height: int, width: int) -> Image:
    """Return the pixels [1, y, x] of a window of a single-band TIFF, cut where the image ends; raise BadRecord."""
    blocks = _read_blocks(tree, path)
    bottom, right = min(top + height, blocks.shape[0]), min(left + width, blocks.shape[1])
    if not (0 <= top < bottom and 0 <= left < right):
        raise BadRecord(
            path, f"expected pixels from row {top} and column {left} on, found {_size(blocks.shape)} pixels"
        )
    rows = range(top // blocks.block[0], -(-bottom // blocks.block[0]))
    columns = range(left // blocks.block[1], -(-right // blocks.block[1]))
    parts = []
    for row in rows:
        for column in columns:
            offset, need = blocks.places[row * blocks.grid[1] + column]
            parts.append(tree.pread(path, offset, min(need, tree.size(path))))
            if len(parts[-1]) != need:
                raise BadRecord(path, f"truncated: expected {need:,} bytes at {offset:,}, found {len(parts[-1]):,}")
    size = (
        min(blocks.shape[0] - rows[0] * blocks.block[0], len(rows) * blocks.block[0]),
        len(columns) * blocks.block[1],
    )
    # Read like any small file, so that the size of each decompressed block is checked.
    pixels = tiff.read(_small_tiff(blocks, size, parts), path, shape=size, dtypes=None, bands=1).pixels
    y, x = top - rows[0] * blocks.block[0], left - columns[0] * blocks.block[1]
    return np.ascontiguousarray(pixels[:, y : y + bottom - top, x : x + right - left])


def _size(shape: tuple[int, int]) -> str:
    return f"{shape[0]:,}x{shape[1]:,}"


@lru_cache(maxsize=16)
def _read_blocks(tree: Tree, path: str) -> Blocks:
    file = FileParts.at(tree, path)
    try:
        order, entries = read_directory(file)
        read_tag = partial(read_integers, file, entries)
        tiled = _TILES in entries
        tables = (_TILES, _TILE_SIZES) if tiled else (_STRIPS, _STRIP_SIZES)
        starts, sizes = (read_tag(tag) for tag in tables)
        height, width, bands = read_tag(_HEIGHT)[0], read_tag(_WIDTH)[0], read_tag(_BANDS, 1)[0]
        rows = min(read_tag(_ROWS, height)[0], height)
        block = (read_tag(_TILE_HEIGHT)[0], read_tag(_TILE_WIDTH)[0]) if tiled else (rows, width)
        copied = tuple(
            (tag, entries[tag].code, read_values(file, entries, tag), entries[tag].length)
            for tag in _COPIED_TAGS
            if tag in entries
        )
    except Malformed as error:
        raise BadRecord(path, str(error)) from None
    if bands != 1 or not all((height, width, *block)):
        raise BadRecord(path, f"expected one band in blocks, found {bands} of {_size((height, width))} pixels")
    grid = (-(-height // block[0]), -(-width // block[1]))
    if len(starts) != len(sizes) or len(starts) != grid[0] * grid[1]:
        raise BadRecord(path, f"expected {_size(grid)} blocks of {_size(block)} pixels, found {len(starts):,}")
    return Blocks(order, (height, width), block, grid, tiled, tuple(zip(starts, sizes, strict=True)), copied)


def _small_tiff(blocks: Blocks, size: tuple[int, int], parts: list[bytes]) -> bytes:
    """Return a classic TIFF with only these blocks."""
    order, starts, sizes = (
        blocks.order,
        _TILES if blocks.tiled else _STRIPS,
        _TILE_SIZES if blocks.tiled else _STRIP_SIZES,
    )
    rows = {_TILE_HEIGHT: blocks.block[0], _TILE_WIDTH: blocks.block[1]} if blocks.tiled else {_ROWS: blocks.block[0]}
    counts = {_WIDTH: size[1], _HEIGHT: size[0], **rows}
    tags = {tag: ("I", struct.pack(order + "I", value), 1) for tag, value in counts.items()}
    tags |= {tag: (code, value, n) for tag, code, value, n in blocks.tags}
    tags[sizes] = ("I", struct.pack(f"{order}{len(parts)}I", *map(len, parts)), len(parts))
    tags[starts] = ("I", bytes(4 * len(parts)), len(parts))
    at = 8 + 2 + 12 * len(tags) + 4
    data = at + sum(len(value) for _, value, _ in tags.values() if len(value) > 4)
    offsets = np.cumsum([data, *map(len, parts[:-1])]).tolist()
    tags[starts] = ("I", struct.pack(f"{order}{len(parts)}I", *offsets), len(parts))
    kinds = {code: kind for kind, (code, _) in reversed(KINDS.items())}
    entries, apart = [], []
    for tag, (code, value, n) in sorted(tags.items()):
        where = struct.pack(order + "I", at) if len(value) > 4 else value.ljust(4, b"\0")
        kind = ASCII if tag == tiff.NODATA else kinds[code]
        entries.append(struct.pack(order + "HHI", tag, kind, n) + where)
        if len(value) > 4:
            apart.append(value)
            at += len(value)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HIH", 42, 8, len(tags))
    return b"".join([head, *entries, bytes(4), *apart, *parts])
