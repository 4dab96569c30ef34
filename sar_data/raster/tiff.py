"""GeoTIFF from bytes: a fast parser for plain files, GDAL's GTiff driver for all other valid ones.

Layout of a TIFF after Adobe's TIFF 6.0 (1992), georeference after OGC GeoTIFF 1.1 (19-008r4).
"""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np

from sar_data.dtypes import holds, without
from sar_data.errors import BadRecord
from sar_data.raster.file_parts import FileParts
from sar_data.raster.gdal import MAX_PIXELS
from sar_data.raster.ifd import (
    ORIENTATION,
    SUBFILE,
    Entry,
    Malformed,
    read_directory,
    read_integers,
    read_numbers,
    read_only_directory,
    read_values,
)
from sar_data.raster.streams import check_deflated, check_jpegs
from sar_data.record import Image
from sar_data.spec import Tree

Transform = tuple[float, float, float, float, float, float]

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_STRIPS, _BANDS, _ROWS, _STRIP_SIZES, _PLANAR, _FORMAT = 273, 277, 278, 279, 284, 339
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_SIZES, _EXTRA, _JPEG_TABLES = 322, 323, 324, 325, 338, 347
_SCALE, _TIEPOINT, _MATRIX, _KEYS, _KEY_DOUBLES, _KEY_TEXT = 33550, 33922, 34264, 34735, 34736, 34737
METADATA = 42112  # GDAL's: names, scales and offsets of bands, and what else a program notes, as XML
NODATA = 42113  # GDAL's: the value of pixels that are none, as text
_DEFLATE, _JPEG = (8, 32946), 7
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _PALETTE = 0, 1, 3  # what 0 looks like, or all values
_ALPHA = (1, 2)  # kinds of an extra band
_GEO = (_SCALE, _TIEPOINT, _MATRIX, _KEYS, _KEY_DOUBLES, _KEY_TEXT)
_LAID = frozenset((_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _FILL_ORDER, _BANDS, _PLANAR, _FORMAT, NODATA))
_LAID |= {_STRIPS, _ROWS, _STRIP_SIZES, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_SIZES}
_LAID |= {_PHOTOMETRIC, _EXTRA, ORIENTATION, SUBFILE}
_DTYPES = {(f, b): f"{n}{b}" for f, n in ((1, "uint"), (2, "int")) for b in (8, 16, 32, 64)}
_DTYPES |= {(3, b): f"float{b}" for b in (16, 32, 64)} | {(6, b): f"complex{b}" for b in (64, 128)}
_DTYPES |= {(5, 2 * b): f"complex_int{b}" for b in (16, 32)}
NAMES = frozenset(_DTYPES.values())
_FLAWS = {
    _WHITE_IS_ZERO: "expected a picture whose 0 is black, found one whose 0 is white: invert it",
    _PALETTE: "expected a grey picture, found numbers of colours of a palette: convert it",
}


@dataclass(frozen=True, slots=True)
class Raster:
    """Pixels [band, y, x], native-endian; `geo` is equal for files of one layout and one georeference.

    `geo` is raw: where it differs, `georeference` shows whether two encodings mean the same place.
    `fallback` is True where GDAL had to decode the file. `nodata` is the value that the file declares for pixels that
    are none. In floats these are NaN already, counted in `filled` [band]; whole numbers are as the file has them.
    `flaw` says why the numbers are no values of an image, though they may be classes of a map; it is empty otherwise.
    """

    pixels: Image
    geo: tuple[bytes, bytes]
    fallback: bool
    nodata: float | None = None
    filled: tuple[int, ...] = ()
    flaw: str = ""

    def image(self) -> tuple[Image, tuple[int, ...]]:
        """Return the pixels of an image, NaN where the file declares no data, and the number of those per band.

        Integers with no-data pixels become float32.
        """
        if self.nodata is None or self.pixels.dtype.kind not in "iu":
            return self.pixels, self.filled or (0,) * len(self.pixels)
        return without(self.pixels, self.nodata)

    def codes(self, absent: int) -> Image:
        """Return the pixels of a class map, `absent` where the file declares no data."""
        if self.nodata is None or not holds(self.pixels.dtype.name, self.nodata):
            return self.pixels
        return np.where(self.pixels == self.nodata, np.array(absent, self.pixels.dtype), self.pixels)


@dataclass(frozen=True, slots=True)
class _Layout:
    """The contents of one directory and their positions; `pinned` are the bytes outside it that it depends on.

    `need` is the decompressed size of each block in bytes.
    """

    shape: tuple[int, int, int]
    dtype: str
    fast: bool
    planar: bool
    spans: tuple[tuple[int, int], ...]
    compression: int
    need: tuple[int, ...]
    tables: tuple[int, int]
    end: int
    geo: tuple[tuple[int, int], ...]
    signature: bytes
    pinned: tuple[tuple[int, int, bytes], ...]
    nodata: float | None
    flaw: str


# Archives contain long runs of one layout, so few are enough; a hostile archive cannot make this grow.
_LAYOUTS: dict[tuple[int, bytes], _Layout] = {}
_MAX_LAYOUTS = 64
MAX_PADDED = 1 << 22  # pixels of a tile of a small image; a directory that claims more means to fill the memory


def read(
    data: bytes,
    name: str,
    *,
    shape: tuple[int, int] | None,
    dtypes: Collection[str] | None,
    bands: int | None,
    out: Image | None = None,
) -> Raster:
    """Return the pixels of a GeoTIFF of this (height, width), of one of these numpy dtypes, and of so many bands.

    None stands for any.

    `out`, an array [band, y, x], spares a copy where several files of its dtype make one sample. Values are those of
    the file, bit for bit, but for floats that it declares to be no data: these are NaN. Raise BadRecord, naming `name`,
    for anything that is not such a whole file.
    """
    try:
        layout = _layout(data)
    except Malformed as error:
        raise BadRecord(name, str(error)) from None
    expected = (layout.shape[0] if bands is None else bands, *(shape or layout.shape[1:]))
    if layout.shape != expected:
        raise BadRecord(name, f"expected {_describe(expected)}, found {_describe(layout.shape)}")
    if layout.dtype not in (NAMES if dtypes is None else dtypes):
        raise BadRecord(name, f"expected {' or '.join(sorted(dtypes or NAMES))} pixels, found {layout.dtype}")
    if layout.end > len(data):
        raise BadRecord(name, f"truncated: expected {layout.end:,} bytes, found {len(data):,}")
    if math.prod(layout.shape) > MAX_PIXELS:
        raise BadRecord(
            name, f"expected at most {MAX_PIXELS:,} pixels, found a header that claims {_describe(layout.shape)}"
        )
    pixels = _pixels(data, layout) if layout.fast else _rasterio(data, name, layout)
    if out is None or out.dtype != pixels.dtype.newbyteorder("="):
        out = np.empty(layout.shape, pixels.dtype.newbyteorder("="))
    out[...] = pixels
    filled = (0,) * len(out)
    if layout.nodata is not None and out.dtype.kind in "fc":
        masked, filled = without(out, layout.nodata)
        out[...] = masked
    geo = layout.geo
    raw = data[geo[0][0] : geo[0][1]] if len(geo) == 1 else b"".join(data[a:b] for a, b in geo)
    return Raster(out, (layout.signature, raw), not layout.fast, layout.nodata, filled, layout.flaw)


def georeference(tree: Tree, path: str) -> tuple[str | None, Transform | None]:
    """Return ("EPSG:32633", (a, b, c, d, e, f)) of a GeoTIFF; None for what is absent. No pixel is read.

    The terms are those of rasterio's Affine, from pixel corners to metres or degrees. A unit transform, a
    user-defined CRS and a broken or cut directory count as absent: whether the file is sound is for `read` to say.
    Raise BadRecord where the file cannot be read.
    """
    return _georeference(FileParts.at(tree, path))


def georeference_of(data: bytes) -> tuple[str | None, Transform | None]:
    """Return the georeference of a GeoTIFF in memory, or of its first bytes."""
    return _georeference(FileParts.of(data))


def footprint_of(
    crs: str | None, transform: Transform | None, shape: tuple[int, int]
) -> tuple[float, float, float, float] | None:
    """Return (min x, min y, max x, max y) of an image of (height, width), None without a georeference."""
    if crs is None or transform is None:
        return None
    (height, width), (a, b, c, d, e, f) = shape, transform
    xs = [c + a * x + b * y for x in (0, width) for y in (0, height)]
    ys = [f + d * x + e * y for x in (0, width) for y in (0, height)]
    return min(xs), min(ys), max(xs), max(ys)


def _georeference(file: FileParts) -> tuple[str | None, Transform | None]:
    try:
        _, entries = read_directory(file)
        keys = read_numbers(file, entries, _KEYS)
        scale, tie, matrix = (read_numbers(file, entries, tag) for tag in (_SCALE, _TIEPOINT, _MATRIX))
    except Malformed:
        return None, None
    # The keys come in fours after a header of four: id, where (0: here), count, value.
    fours = zip(*(keys[i::4] for i in range(4)), strict=False)
    values = {k: v for k, where, _, v in fours if where == 0 and isinstance(k, int) and isinstance(v, int)}
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


def header(tree: Tree, path: str) -> tuple[tuple[int, int, int], str]:
    """Return ((band, y, x), dtype) of a GeoTIFF, wherever its directory lies; raise BadRecord. No pixel is read."""
    file = FileParts.at(tree, path)
    try:
        _, entries = read_only_directory(file)
        bands, height, width, form, bits = (
            read_integers(file, entries, tag, *default)[0]
            for tag, default in ((_BANDS, (1,)), (_HEIGHT, ()), (_WIDTH, ()), (_FORMAT, (1,)), (_BITS, (1,)))
        )
    except Malformed as error:
        raise BadRecord(path, str(error)) from None
    if min(bands, height, width) < 1:
        raise BadRecord(path, f"expected a TIFF with bands, height and width, found {bands}, {height} and {width}")
    return (bands, height, width), _DTYPES.get((form, bits), f"sample format {form} of {bits} bits")


def nodata(tree: Tree, path: str) -> float | None:
    """Return the value that a GeoTIFF declares as no data, None where it declares none; raise BadRecord."""
    file = FileParts.at(tree, path)
    try:
        return _read_nodata(file, read_directory(file)[1])
    except Malformed as error:
        raise BadRecord(path, str(error)) from None


def metadata(tree: Tree, path: str) -> str:
    """Return GDAL's metadata text of a GeoTIFF, empty where there is none; raise BadRecord.

    It comes from outside: it must be neither trusted nor parsed as XML.
    """
    file = FileParts.at(tree, path)
    try:
        return read_values(file, read_directory(file)[1], METADATA).decode("utf-8", "replace")
    except Malformed as error:
        raise BadRecord(path, str(error)) from None


def _read_nodata(file: FileParts, entries: dict[int, Entry]) -> float | None:
    """Return the value of the no-data tag; raise Malformed where it is no number."""
    text = read_values(file, entries, NODATA).partition(b"\0")[0].strip()
    try:
        return float(text.replace(b",", b".")) if text else None
    except ValueError:
        message = f"found {text[:40]!r}"
        raise Malformed(f"malformed: expected a number for no data in tag {NODATA}, {message}") from None


def _describe(shape: tuple[int, int, int]) -> str:
    return f"{shape[0]} band{'s' * (shape[0] != 1)} of {shape[1]}x{shape[2]} pixels"


def _layout(data: bytes) -> _Layout:
    """Return the layout, parsed or cached: the key contains every byte that decides it."""
    key = None
    if data[:4] == b"II*\0":
        start = int.from_bytes(data[4:8], "little")
        end = start + 2 + 12 * int.from_bytes(data[start : start + 2], "little")
        key = (start, data[start:end]) if data[end : end + 4] == bytes(4) else None  # what may follow is in no key
        cached = None if key is None else _LAYOUTS.get(key)
        if cached is not None and all(data[a:b] == pinned for a, b, pinned in cached.pinned):
            return cached
    layout = _parse(data)
    if key is not None:
        if len(_LAYOUTS) >= _MAX_LAYOUTS:
            _LAYOUTS.clear()
        _LAYOUTS[key] = layout
    return layout


def _parse(data: bytes) -> _Layout:
    file = FileParts.of(data)
    order, entries = read_only_directory(file)
    read_tag = partial(read_integers, file, entries)
    photometric, extra = read_tag(_PHOTOMETRIC, _BLACK_IS_ZERO)[0], read_tag(_EXTRA, 0)
    if photometric == _BLACK_IS_ZERO and not {*extra}.isdisjoint(_ALPHA):  # GDAL calls the fourth of any four bytes so
        raise Malformed(
            "expected bands, found one of opacity (alpha): leave it out, with a value of no data in its place"
        )
    width, height, bands = read_tag(_WIDTH)[0], read_tag(_HEIGHT)[0], read_tag(_BANDS, 1)[0]
    kinds = set(zip(itertools.cycle(read_tag(_FORMAT, 1)), read_tag(_BITS, 1), strict=False))
    dtype = _DTYPES.get(min(kinds)) if len(kinds) == 1 else None
    planar = read_tag(_PLANAR, 1)[0] == 2
    tiled = _TILES in entries
    starts, sizes = (read_tag(tag) for tag in ((_TILES, _TILE_SIZES) if tiled else (_STRIPS, _STRIP_SIZES)))
    if len(starts) != len(sizes) or not all(starts) or not all(sizes):
        raise Malformed(f"expected a place and a size for every block, found {len(starts)} and {len(sizes)}, or zeros")
    block = (
        (read_tag(_TILE_HEIGHT)[0], read_tag(_TILE_WIDTH)[0])
        if tiled
        else (min(read_tag(_ROWS, height)[0], height), width)
    )
    need = _block_bytes((bands, height, width), dtype, planar, tiled, block, len(starts))
    fast, compression = False, read_tag(_COMPRESSION, 1)[0]
    if dtype and compression == 1:
        # More strips than needed are as odd as short ones; what lies in them would be a guess.
        if (len(sizes) > len(need) and not tiled) or any(n < least for n, least in zip(sizes, need, strict=False)):
            raise Malformed(f"malformed: blocks hold {sum(sizes):,} bytes, expected {sum(need):,}")
        plain = (
            read_tag(_FILL_ORDER, 1)[0] == 1 and order == "<" and data[2] == 42 and not dtype.startswith("complex_int")
        )
        fast = sizes == need and not tiled and plain
    blocks = [(a, a + n) for a, n in zip(starts, sizes, strict=True)]
    geo = [(tag, entries[tag]) for tag in _GEO if tag in entries]
    end = max(b for _, b in (*blocks, *((0, entry.stop) for _, entry in geo)))
    # Values of up to four bytes lie within the directory, and so within the key.
    laid = sorted(entries[tag] for tag in _LAID if tag in entries)
    apart = _merge_spans((entry.start, entry.stop) for entry in laid if entry.stop - entry.start > 4)
    return _Layout(
        shape=(bands, height, width),
        dtype=dtype or f"sample formats and bits {sorted(kinds)[:4]}",
        fast=fast,
        planar=planar,
        spans=_merge_spans(blocks) if fast else tuple(blocks),
        compression=compression,
        need=() if fast else tuple(need),
        tables=next(((entry.start, entry.stop) for tag, entry in entries.items() if tag == _JPEG_TABLES), (0, 0)),
        end=end,
        geo=_merge_spans((entry.start, entry.stop) for _, entry in geo),
        signature=b"".join(struct.pack("<HQs", tag, entry.length, entry.code.encode()) for tag, entry in geo),
        pinned=tuple((a, b, data[a:b]) for a, b in apart),
        nodata=_read_nodata(file, entries),
        flaw=_FLAWS.get(photometric, "") if dtype == "uint8" else "",
    )


def _block_bytes(
    shape: tuple[int, int, int], dtype: str | None, planar: bool, tiled: bool, block: tuple[int, int], count: int
) -> list[int]:
    """Return how many bytes each of `count` blocks holds without its compression; raise Malformed for fewer blocks."""
    bands, height, width = shape
    rows, columns = block
    if not 0 < rows * columns <= max(MAX_PADDED, 4 * height * width):
        raise Malformed(f"malformed: expected blocks of {height}x{width} pixels, found some of {rows}x{columns}")
    down = -(-height // rows)
    blocks = down * -(-width // columns) * (bands if planar else 1)
    if count < blocks:
        raise Malformed(
            f"malformed: {count} blocks of {rows}x{columns} pixels for {_describe(shape)}, expected {blocks}"
        )
    pixel = (_bytes(dtype) if dtype else 0) * (1 if planar else bands)
    if tiled:
        return [pixel * rows * columns] * blocks
    return [pixel * columns * min(rows, height - rows * (i % down)) for i in range(blocks)]


def _bytes(dtype: str) -> int:
    """Return the bytes of a pixel; numpy has no complex integers."""
    return 2 * int(dtype[len("complex_int") :]) // 8 if dtype.startswith("complex_int") else np.dtype(dtype).itemsize


def _merge_spans(spans: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Join adjacent spans, in their order: eight consecutive strips are one copy."""
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
    """Return what GDAL's GTiff driver decodes, once what it does not check is checked."""
    blocks = (data[a:b] for a, b in layout.spans)
    if layout.compression in _DEFLATE:
        check_deflated(name, blocks, layout.need)
    if layout.compression == _JPEG:
        check_jpegs(name, blocks, data[slice(*layout.tables)])
    from sar_data.raster.gdal import decode

    return decode(data, name, "GTiff", expected=(layout.shape, layout.dtype))
