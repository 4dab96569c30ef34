"""The types of pixels in one table: what a file may hold, what a build stores, and how the one becomes the other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from sar_data.errors import BadRecord
from sar_data.record import Image

STORED = ("float32", "float16", "int16", "uint16", "uint8")
"""What pixels are stored in, little-endian; what a loader reads."""
EXACT = 1 << 24  # the whole numbers up to here are floats of 32 bits, all of them
TAKEN: Mapping[str, str] = {name: name for name in STORED} | {
    "bool": "uint8",
    "int8": "int16",
    **dict.fromkeys(("float64", "int32", "uint32", "int64", "uint64"), "float32"),
}
"""Type in a file → type in a build. Whole numbers keep their value or are refused; float64 is rounded and counted."""
COMPLEX = ("complex64", "complex128", "complex_int16", "complex_int32")
"""Types of two numbers a pixel, the last two as TIFF and GDAL have them."""


def holds(dtype: str, value: float) -> bool:
    """Say whether a pixel of this type can have that value; one of complex numbers has it as its real part."""
    kind = np.dtype(dtype if dtype[:7] != "complex" else "float64")
    if kind.kind == "f":
        return True
    limits = np.iinfo(kind)
    return float(value).is_integer() and limits.min <= value <= limits.max


def fit_dtype(image: Image, dtype: str, path: str) -> tuple[Image, bool]:
    """Return pixels in the type of a build, and whether that is another one; NaN stays NaN.

    Raise BadRecord, naming `path`, for a type that does not become it, and for values that it cannot hold.
    """
    type_name = image.dtype.name
    if type_name == dtype:
        return image, False
    # Pixels without a value have been NaN before they come here: what remains must all be kept.
    if dtype not in (TAKEN.get(type_name), "float32") or type_name not in TAKEN:
        raise BadRecord(path, f"expected {dtype} pixels, found {type_name}")
    with np.errstate(over="ignore", invalid="ignore"):
        changed = image.astype(dtype)
    if image.dtype.kind in "iu" and dtype == "float32" and image.size:
        low, high = int(image.min()), int(image.max())
        if low < -EXACT or high > EXACT:
            raise BadRecord(
                path,
                f"expected whole numbers that float32 holds exactly, up to {EXACT:,}, found {low:,} to {high:,}: "
                "write the file as float32, or scale its values",
            )
    elif image.dtype.kind == "f" and np.isinf(changed).sum() > np.isinf(image).sum():
        raise BadRecord(path, f"expected values that {dtype} can hold, found {np.nanmax(np.abs(image)):g}")
    return changed, True


def without(pixels: Image, value: float) -> tuple[Image, tuple[int, ...]]:
    """Return an image [..., band, y, x] with NaN where it has a value that stands for none, and how many [band].

    Whole numbers become float32 where one of them is none, and stay as they are otherwise.
    """
    whole = pixels.dtype.kind in "iu"
    if math.isnan(value):
        absent = np.zeros(pixels.shape, np.bool_) if whole else np.isnan(pixels)
    elif whole and not holds(pixels.dtype.name, value):
        absent = np.zeros(pixels.shape, np.bool_)
    else:
        with np.errstate(over="ignore", invalid="ignore"):  # a declared number may be larger than a pixel can be
            absent = pixels == np.asarray(value).astype(pixels.dtype)
            if pixels.dtype == np.float64:  # what stands for the least float32 has fewer digits in a header
                absent |= pixels.astype(np.float32) == np.float32(value)
    counts = absent.sum(axis=(-2, -1)).reshape(-1, pixels.shape[-3]).sum(axis=0)
    if counts.any():
        if whole:  # what is no data need not fit
            pixels = fit_dtype(np.where(absent, pixels.dtype.type(0), pixels), "float32", "an image with no data")[0]
        pixels = np.where(absent, np.array(np.nan, pixels.dtype), pixels)
    return pixels, tuple(int(n) for n in counts)


def apply_scale(image: Image, scale: Sequence[float], offset: Sequence[float]) -> Image:
    """Return an image [..., band, y, x] times scale [band] plus offset [band], as float32; NaN stays NaN."""
    factor, summand = (np.array(numbers, np.float64)[:, None, None] for numbers in (scale, offset))
    with np.errstate(over="ignore", invalid="ignore"):  # what is too large becomes infinite, which is counted
        return np.ascontiguousarray(image.astype(np.float64) * factor + summand, np.float32)


def pair(image: Image) -> Image:
    """Return an image [..., 2 × band, y, x] of I and Q, side by side, as complex64 [..., band, y, x]."""
    pairs = np.empty((*image.shape[:-3], image.shape[-3] // 2, *image.shape[-2:]), np.complex64)
    pairs.real, pairs.imag = image[..., 0::2, :, :], image[..., 1::2, :, :]
    return pairs


def parts(image: Image, how: str) -> Image:
    """Return a complex image [band, y, x] as float32 [2 × band, y, x]: two bands of each, side by side.

    `how` is "iq" (I, Q) or "amplitude-phase", the phase in radians from -π to π. NaN stays NaN.
    """
    # What is too large becomes infinite, which is counted. A NaN may be of a kind that processors complain of.
    with np.errstate(over="ignore", invalid="ignore"):
        pairs = (image.real, image.imag) if how == "iq" else (np.abs(image), np.arctan2(image.imag, image.real))
        stacked = np.stack(pairs, axis=-3)  # the two of a band lie side by side
        return np.ascontiguousarray(stacked.reshape(*image.shape[:-3], -1, *image.shape[-2:]), np.float32)
