"""GeoTIFF from bytes: a fast parse for plain files, GDAL's GTiff driver for every other valid one.

Layout of a TIFF after Adobe's TIFF 6.0 (1992), georeference after OGC GeoTIFF 1.1 (19-008r4).
"""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np

from sar_data.errors import BadRecord
from sar_data.raster.deflate import check_streams
from sar_data.raster.ifd import Malformed, directory, numbers
from sar_data.record import Image

Transform = tuple[float, float, float, float, float, float]

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _FILL_ORDER = 256, 257, 258, 259, 266
_STRIPS, _BANDS, _ROWS, _STRIP_SIZES, _PLANAR, _FORMAT = 273, 277, 278, 279, 284, 339
_TILES, _TILE_SIZES = 324, 325
_SCALE, _TIEPOINT, _MATRIX, _KEYS, _KEY_DOUBLES, _KEY_TEXT = 33550, 33922, 34264, 34735, 34736, 34737
_DEFLATE = (8, 32946)
_GEO = (_SCALE, _TIEPOINT, _MATRIX, _KEYS, _KEY_DOUBLES, _KEY_TEXT)
_LAID = frozenset((_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _FILL_ORDER, _BANDS, _PLANAR, _FORMAT))
_LAID |= {_STRIPS, _ROWS, _STRIP_SIZES, _TILES, _TILE_SIZES}
_DTYPES = {(f, b): f"{n}{b}" for f, n in ((1, "uint"), (2, "int")) for b in (8, 16, 32, 64)}
_DTYPES |= {(3, b): f"float{b}" for b in (16, 32, 64)} | {(6, b): f"complex{b}" for b in (64, 128)}


@dataclass(frozen=True, slots=True)
class Raster:
    """Pixels [band, y, x], native-endian; `geo` is equal for files of one layout and one georeference.

    `geo` is raw: where it differs, `georeference` still tells whether two encodings mean the same place.
    `fallback` is True where GDAL had to decode the file.
    """

    pixels: Image
    geo: tuple[bytes, bytes]
    fallback: bool


@dataclass(frozen=True, slots=True)
class _Layout:
    """What one directory says, and where in the file; `pinned` are the bytes outside it that it depends on."""

    shape: tuple[int, int, int]
    dtype: str
    fast: bool
    planar: bool
    spans: tuple[tuple[int, int], ...]
    deflated: bool
    end: int
    geo: tuple[tuple[int, int], ...]
    signature: bytes
    pinned: tuple[tuple[int, int, bytes], ...]


# Archives hold long runs of one layout; a handful is enough, and a hostile archive cannot make it grow.
_LAYOUTS: dict[tuple[int, bytes], _Layout] = {}
_LAYOUTS_KEPT = 64


def read(
    data: bytes,
    name: str,
    *,
    shape: tuple[int, int] | None,
    dtypes: Collection[str],
    bands: int,
    out: Image | None = None,
) -> Raster:
    """Return the pixels of a GeoTIFF of known (height, width) or any, band count and accepted numpy dtype names.

    `out`, an array [band, y, x] of the file's dtype, spares a copy where several files make one sample. Values are
    those of the file, bit for bit. Raise BadRecord, naming `name`, for anything that is not such a whole file.
    """
    try:
        layout = _layout(data)
    except Malformed as error:
        raise BadRecord(name, str(error)) from None
    expected = (bands, *(shape or layout.shape[1:]))
    if layout.shape != expected:
        raise BadRecord(name, f"expected {_say(expected)}, found {_say(layout.shape)}")
    if layout.dtype not in dtypes:
        raise BadRecord(name, f"expected {' or '.join(sorted(dtypes))} pixels, found {layout.dtype}")
    if layout.end > len(data):
        raise BadRecord(name, f"truncated: expected {layout.end:,} bytes, found {len(data):,}")
    decoded = _pixels(data, layout) if layout.fast else _rasterio(data, name, layout)
    if out is None:
        out = np.empty(layout.shape, layout.dtype)
    out[...] = decoded
    geo = layout.geo
    raw = data[geo[0][0] : geo[0][1]] if len(geo) == 1 else b"".join(data[a:b] for a, b in geo)
    return Raster(out, (layout.signature, raw), not layout.fast)


def georeference(data: bytes) -> tuple[str | None, Transform | None]:
    """Return ("EPSG:32633", (a, b, c, d, e, f)) of a GeoTIFF or of its head; None for what is absent.

    The terms are those of rasterio's Affine, from pixel corners to metres or degrees. A unit transform, a
    user-defined CRS and a broken or cut directory count as absent: whether the file is sound is for `read` to say.
    """
    try:
        _, entries = directory(data)
        keys = numbers(data, entries, _KEYS)
        scale, tie, matrix = (numbers(data, entries, tag) for tag in (_SCALE, _TIEPOINT, _MATRIX))
    except Malformed:
        return None, None
    # The keys come in fours after a header of four: id, where (0: here), count, value.
    values = {int(k): int(v) for k, where, _, v in zip(*(keys[i::4] for i in range(4)), strict=False) if where == 0}
    code = next((values[key] for key in (3072, 2048) if 0 < values.get(key, 0) < 32767), None)
    crs = None if code is None else f"EPSG:{code}"
    if len(matrix) == 16:
        a, b, c, d, e, f = (float(matrix[i]) for i in (0, 1, 3, 4, 5, 7))
    elif len(scale) >= 2 and len(tie) >= 6:
        a, b, d, e = float(scale[0]), 0.0, 0.0, -float(scale[1])
        c, f = tie[3] - tie[0] * a, tie[4] - tie[1] * e
    else:
        return crs, None
    if values.get(1025) == 2:  # the tie is the centre of a pixel, ours is its corner
        c, f = c - (a + b) / 2, f - (d + e) / 2
    transform = (a, b, c, d, e, f)
    unit = (a, b, c, d, abs(e), f) == (1, 0, 0, 0, 1, 0)
    return crs, None if unit or not all(map(math.isfinite, transform)) else transform


def header(data: bytes, name: str) -> tuple[tuple[int, int, int], str]:
    """Return ((band, y, x), dtype) of a GeoTIFF, of its head too where the directory lies there; raise BadRecord."""
    try:
        _, entries = directory(data)
        values = {tag: numbers(data, entries, tag) for tag in (_WIDTH, _HEIGHT, _BANDS, _FORMAT, _BITS)}
    except Malformed as error:
        raise BadRecord(name, str(error)) from None
    if not values[_WIDTH] or not values[_HEIGHT]:
        raise BadRecord(name, "expected a TIFF with width and height, found none")
    bands, height, width = (int((values[tag] or (1,))[0]) for tag in (_BANDS, _HEIGHT, _WIDTH))
    kind = int((values[_FORMAT] or (1,))[0]), int((values[_BITS] or (1,))[0])
    return (bands, height, width), _DTYPES.get(kind, f"sample format {kind[0]} of {kind[1]} bits")


def _say(shape: tuple[int, int, int]) -> str:
    return f"{shape[0]} band{'s' * (shape[0] != 1)} of {shape[1]}x{shape[2]} pixels"


def _layout(data: bytes) -> _Layout:
    """Return the layout, parsed or remembered: its key is every byte that decides it."""
    key = None
    if data[:4] == b"II*\0":
        start = int.from_bytes(data[4:8], "little")
        key = start, data[start : start + 2 + 12 * int.from_bytes(data[start : start + 2], "little")]
        known = _LAYOUTS.get(key)
        if known is not None and all(data[a:b] == pinned for a, b, pinned in known.pinned):
            return known
    layout = _parse(data)
    if key is not None:
        if len(_LAYOUTS) >= _LAYOUTS_KEPT:
            _LAYOUTS.clear()
        _LAYOUTS[key] = layout
    return layout


def _parse(data: bytes) -> _Layout:
    order, entries = directory(data)

    def integers(tag: int, *default: int) -> list[int]:
        values = numbers(data, entries, tag) or default
        if not values or any(not isinstance(value, int) or value < 0 for value in values):
            raise Malformed(f"malformed: tag {tag} is missing or no whole number")
        return [int(value) for value in values]

    width, height, bands = integers(_WIDTH)[0], integers(_HEIGHT)[0], integers(_BANDS, 1)[0]
    kinds = set(zip(itertools.cycle(integers(_FORMAT, 1)), integers(_BITS, 1), strict=False))
    dtype = _DTYPES.get(min(kinds)) if len(kinds) == 1 else None
    planar = integers(_PLANAR, 1)[0] == 2
    tiled = _TILES in entries
    starts, sizes = (integers(tag) for tag in ((_TILES, _TILE_SIZES) if tiled else (_STRIPS, _STRIP_SIZES)))
    if len(starts) != len(sizes) or not all(starts) or not all(sizes):
        raise Malformed(f"expected a place and a size for every block, found {len(starts)} and {len(sizes)}, or zeros")
    fast = False
    if dtype and not tiled and integers(_COMPRESSION, 1)[0] == 1 and integers(_FILL_ORDER, 1)[0] == 1:
        rows = min(integers(_ROWS, height)[0], height)
        strips = -(-height // rows) if rows else 0
        if len(starts) != strips * (bands if planar else 1):
            raise Malformed(f"malformed: {len(starts)} strips of {rows} rows for {_say((bands, height, width))}")
        line = width * np.dtype(dtype).itemsize * (1 if planar else bands)
        need = [line * min(rows, height - rows * (i % strips)) for i in range(len(starts))]
        if any(size < wanted for size, wanted in zip(sizes, need, strict=True)):
            raise Malformed(f"malformed: strips hold {sum(sizes):,} bytes, expected {sum(need):,}")
        fast = sizes == need and order == "<" and data[2] == 42
    blocks = [(a, a + n) for a, n in zip(starts, sizes, strict=True)]
    geo = [(tag, entries[tag]) for tag in _GEO if tag in entries]
    end = max(b for _, b in (*blocks, *((0, entry.stop) for _, entry in geo)))
    # Values of up to four bytes lie within the directory, and so within the key.
    laid = sorted(entries[tag] for tag in _LAID if tag in entries)
    apart = _merged((entry.start, entry.stop) for entry in laid if entry.stop - entry.start > 4)
    return _Layout(
        shape=(bands, height, width),
        dtype=dtype or f"sample formats and bits {sorted(kinds)[:4]}",
        fast=fast,
        planar=planar,
        spans=_merged(blocks) if fast else tuple(blocks),
        deflated=integers(_COMPRESSION, 1)[0] in _DEFLATE,
        end=end,
        geo=_merged((entry.start, entry.stop) for _, entry in geo),
        signature=b"".join(struct.pack("<HQs", tag, entry.length, entry.code.encode()) for tag, entry in geo),
        pinned=tuple((a, b, data[a:b]) for a, b in apart),
    )


def _merged(spans: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Join the spans that touch, in their order: eight strips in a row are one copy."""
    merged: list[tuple[int, int]] = []
    for a, b in spans:
        if merged and merged[-1][1] == a:
            a = merged.pop()[0]
        merged.append((a, b))
    return tuple(merged)


def _pixels(data: bytes, layout: _Layout) -> Image:
    """Return a view [band, y, x] of the bytes of plain strips."""
    bands, height, width = layout.shape
    stored = np.dtype(layout.dtype).newbyteorder("<")
    start = layout.spans[0][0]
    if len(layout.spans) > 1:
        data, start = b"".join(data[a:b] for a, b in layout.spans), 0
    flat: Image = np.frombuffer(data, stored, bands * height * width, start)
    if layout.planar or bands == 1:
        return flat.reshape(layout.shape)
    return flat.reshape(height, width, bands).transpose(2, 0, 1)


def _rasterio(data: bytes, name: str, layout: _Layout) -> Image:
    """Return what GDAL's GTiff driver decodes."""
    if layout.deflated:
        check_streams(name, (data[a:b] for a, b in layout.spans))
    from sar_data.raster.gdal import decoded

    return decoded(data, name, "GTiff", expected=(layout.shape, layout.dtype))
