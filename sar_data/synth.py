"""Miniature archives: speckle over smooth mosaics of classes, written as the GeoTIFF that providers publish.

Everything is a pure function of its seeds, so a larger archive contains the smaller one.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sar_data.raster.gdal import encode
from sar_data.record import Image

Floats = npt.NDArray[np.float32]
Classes = npt.NDArray[np.intp]
Transform = tuple[float, float, float, float, float, float]


def generator(seed: int, *keys: int) -> np.random.Generator:
    """Return the random generator of one thing (a sample, a tile), independent of all others."""
    return np.random.Generator(np.random.SFC64([seed, *keys]))


def speckle(power: Floats, looks: float, random: np.random.Generator) -> Floats:
    """Return backscatter in dB, float32, of linear `power` under fully developed speckle of `looks` looks.

    Intensity follows Gamma(L, 1/L) with unit mean (Ulaby & Long 2014, section 5-8), so the mean in power is kept
    and the mean in dB lies (10/ln 10)(psi(L) - ln L) lower: 0.51 dB for L = 4.4.
    """
    intensity = random.standard_gamma(looks, power.shape, dtype=np.float32)
    np.maximum(intensity, np.float32(1e-7), out=intensity)  # of one look, float32 can draw a 0, which has no dB
    intensity *= power
    intensity *= np.float32(1 / looks)
    np.log10(intensity, out=intensity)
    intensity *= np.float32(10)
    return intensity


def from_db(sigma0_db: npt.ArrayLike) -> Floats:
    """Return linear power, float32, of backscatter in dB."""
    return np.power(10.0, np.asarray(sigma0_db, np.float64) / 10).astype(np.float32)


def mosaic(nodes: Floats, side: int, *, most: int = 5, least: float = 0.04) -> tuple[Classes, list[int]]:
    """Return a smooth class map [side, side] and the at most `most` classes in it, ascending.

    `nodes` [class, y, x] are scores on a coarse grid whose first and last nodes lie on the patch's border, so that
    patches cut from one grid continue each other. The highest score after bilinear interpolation takes the pixel;
    the smallest class leaves its pixels to the others as long as it covers less than the share `least`.
    """
    rows, columns = _weights(nodes.shape[1], side), _weights(nodes.shape[2], side)
    kept = np.unique(nodes.argmax(0))
    while True:
        scores = rows @ (nodes[kept] @ columns.T)
        # Class by class: numpy's argmax over the first axis takes ten times as long.
        best, winners = scores[0], np.zeros((side, side), np.intp)
        for place in range(1, len(kept)):
            np.copyto(winners, place, where=scores[place] > best)
            best = np.maximum(best, scores[place])
        share = np.bincount(winners.ravel(), minlength=len(kept)) / winners.size
        if len(kept) == 1 or (len(kept) <= most and share.min() >= least):
            return kept[winners], kept.tolist()
        kept = np.delete(kept, share.argmin())


@functools.cache
def _weights(nodes: int, side: int) -> Floats:
    """Return the matrix [side, nodes] that interpolates linearly between nodes, at the centres of pixels."""
    place = (np.arange(side) + 0.5) / side * (nodes - 1)
    weights: Floats = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(nodes))).astype(np.float32)
    return weights


def png(grey: Image) -> bytes:
    """Return an 8-bit picture [y, x] as PNG."""
    return encode(grey[None], "PNG")


def jpeg(grey: Image, *, channels: int = 3) -> bytes:
    """Return an 8-bit picture [y, x] as JPEG, its grey in each of 3 channels or in 1."""
    return encode(np.repeat(grey[None], channels, axis=0), "JPEG")


def geotiff(
    image: Image, *, epsg: int | None, transform: Transform | None, rows_per_strip: int, planar: bool = False
) -> bytes:
    """Return an uncompressed little-endian GeoTIFF of `image` [band, y, x], laid out as GDAL wrote them in 2018.

    For 1x120x120 float32 in strips of 17 rows it is, byte for byte, the file that BigEarthNet-S1 v1.0 publishes
    (58,024 bytes). `epsg` is a WGS 84 / UTM zone (326xx, 327xx), 3857, 4326 or None; `transform` has no rotation.
    Raise ValueError for another one.
    """
    bands, height, width = image.shape
    kind = image.dtype.kind
    planar = planar and bands > 1
    order = image if planar or bands == 1 else image.transpose(1, 2, 0)
    pixels = np.ascontiguousarray(order, image.dtype.newbyteorder("<")).tobytes()
    line = width * image.itemsize * (1 if planar else bands)
    rows = [min(rows_per_strip, height - y) for y in range(0, height, rows_per_strip)] * (bands if planar else 1)
    head, places = _head(
        (bands, height, width),
        image.itemsize * 8,
        {"u": 1, "i": 2, "f": 3}[kind],
        rows_per_strip,
        tuple(line * n for n in rows),
        planar,
        epsg,
        transform is not None,
    )
    if transform is None:
        return head + pixels
    a, b, c, d, e, f = transform
    if b or d:
        raise ValueError(f"expected a transform without rotation, found {transform}")
    scale, tie = struct.pack("<3d", a, -e, 0), struct.pack("<6d", 0, 0, 0, c, f, 0)
    return head[: places[0]] + scale + tie + head[places[0] + 72 :] + pixels


@functools.lru_cache(64)
def _head(
    shape: tuple[int, int, int],
    bits: int,
    sample_format: int,
    rows: int,
    sizes: tuple[int, ...],
    planar: bool,
    epsg: int | None,
    placed: bool,
) -> tuple[bytes, tuple[int, ...]]:
    """Return everything before the pixels, and where the 72 bytes of scale and tie point begin."""
    bands, height, width = shape
    tags: dict[int, tuple[str, Sequence[float] | bytes]] = {
        256: ("H", [width]),
        257: ("H", [height]),
        258: ("H", [bits] * bands),
        259: ("H", [1]),
        262: ("H", [1]),
        273: ("I", sizes),
        277: ("H", [bands]),
        278: ("H", [rows]),
        279: ("I", sizes),
        284: ("H", [2 if planar else 1]),
        338: ("H", [0] * (bands - 1)),
        339: ("H", [sample_format] * bands),
    }
    if bands == 1:
        del tags[338]
    if placed:
        tags |= {33550: ("d", [0.0] * 3), 33922: ("d", [0.0] * 6)}
    if epsg is not None:
        keys, text = _keys(epsg)
        tags |= {34735: ("H", keys), 34737: ("s", text)}
    start = 8 + 2 + 12 * len(tags) + 4
    # libtiff places the strips' sizes before their offsets, and all else in the order of the tags.
    external, at = {}, start
    for tag in sorted(tags, key=lambda number: (number != 279, number)):
        code, values = tags[tag]
        size = len(values) * struct.calcsize(code)
        if size > 4:
            external[tag] = at
            at += size + size % 2
    offsets = [at + sum(sizes[:i]) for i in range(len(sizes))]
    tags[273] = ("I", offsets)
    head = bytearray(struct.pack("<2sHIH", b"II", 42, 8, len(tags)))
    body = bytearray(at - start)
    for tag, (code, values) in sorted(tags.items()):
        raw = values if isinstance(values, bytes) else struct.pack(f"<{len(values)}{code}", *values)
        head += struct.pack("<HHI", tag, {"s": 2, "H": 3, "I": 4, "d": 12}[code], len(values))
        if tag in external:
            head += struct.pack("<I", external[tag])
            body[external[tag] - start : external[tag] - start + len(raw)] = raw
        else:
            head += raw.ljust(4, b"\0")
    return bytes(head + bytes(4) + body), (external.get(33550, 0),)


def _keys(epsg: int) -> tuple[list[int], bytes]:
    """Return the GeoKey directory and its text for a UTM zone, for Web Mercator or for geographic coordinates."""
    degrees = (2049, 34737, 7), (2054, 0, 9102)
    if epsg == 4326:
        text = b"WGS 84|\0"
        keys = [(1024, 0, 2), (1025, 0, 1), (2048, 0, 4326), (2049, 34737, 7), (2054, 0, 9102)]
        starts = {2049: 0}
    elif epsg == 3857 or (epsg // 100 in (326, 327) and 1 <= epsg % 100 <= 60):
        zone = f"UTM zone {epsg % 100}{'N' if epsg // 100 == 326 else 'S'}"
        name = f"WGS 84 / {'Pseudo-Mercator' if epsg == 3857 else zone}|"
        text = f"{name}WGS 84|\0".encode()
        keys = [(1024, 0, 1), (1025, 0, 1), (1026, 34737, len(name)), *degrees, (3072, 0, epsg), (3076, 0, 9001)]
        starts = {1026: 0, 2049: len(name)}
    else:
        raise ValueError(f"expected EPSG:4326, 3857 or a WGS 84 UTM zone (326xx, 327xx), found EPSG:{epsg}")
    flat = [1, 1, 0, len(keys)]
    for key, where, value in keys:
        # Text is counted and found by its place; a short lies here and now, one of it.
        flat += [key, where, value, starts[key]] if where else [key, 0, 1, value]
    return flat, text
