"""Pixels that may be none although no file says so: counted by reason in the pass over an image, told once a build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from sar_data.errors import BuildError
from sar_data.record import Image
from sar_data.sealed.documents import SuspectPixels

FILLS = (-9999.0, -32768.0)  # what programs write where they have no value
LOWEST_FILL = max(FILLS)  # an image whose least value is above it holds none
FREE = ("1", "minmax")  # units of values that were normalized, where any number may be one
REASONS: Mapping[str, str] = {
    "zero": "exact zeros in dB",
    "fill": "of -9999 or -32768 (masked in floats)",
    "infinite": "infinite (masked)",
    "border": "in borders of one value",
}
ZERO, FILL, INFINITE, BORDER = range(len(REASONS))
Counts = npt.NDArray[np.int64]
"""int64 [reason, band]."""


def remove_fill(image: Image, units: Sequence[str]) -> tuple[Image, Counts]:
    """Return an image [..., band, y, x], NaN where floats have a fill, and how many [band] pixels have one."""
    absent = np.isin(image, np.array(FILLS, image.dtype)) & ~np.isin(units, FREE)[:, None, None]
    counts: Counts = absent.sum(axis=(-2, -1)).reshape(-1, len(units)).sum(axis=0)
    if image.dtype.kind == "f" and counts.any():
        image = np.where(absent, image.dtype.type(np.nan), image)
    return image, counts


def count_border(image: Image, units: Sequence[str]) -> Counts | None:
    """Return how many pixels [band] of an image [..., band, y, x] lie in edges that have one single value.

    Zeros in dB are counted as such, and not here. None is for an image no two of whose corners are equal.
    """
    height, width = image.shape[-2:]
    if min(height, width) < 2:
        return None
    counts: Counts | None = None
    corners = image[..., :: height - 1, :: width - 1].reshape(-1, 4).tolist()
    for number, (a, b, c, d) in enumerate(corners):
        band = number % len(units)
        if units[band] in FREE:
            continue  # it may have been cut to one value there
        if a in (b, c) or d in (b, c):  # speckle has no two equal corners: few images need a closer look
            plane = image.reshape(-1, height, width)[number]
            counts = np.zeros(len(units), np.int64) if counts is None else counts
            counts[band] += _border(plane, units[band] == "dB")
    return counts


def _border(plane: Image, in_db: bool) -> int:
    """Return how many pixels of [y, x] lie in rows and columns at its edges that have one value."""
    height, width = plane.shape
    top, bottom = _run(plane, in_db), _run(plane[::-1], in_db)
    left, right = _run(plane.T, in_db), _run(plane.T[::-1], in_db)
    return int(height * width - max(height - top - bottom, 0) * max(width - left - right, 0))


def _run(rows: Image, in_db: bool) -> int:
    """Return how many of the first rows have one and the same value."""
    value = rows[0, 0]
    if not np.isfinite(value) or (in_db and value == 0):
        return 0
    for number, row in enumerate(rows):
        if not (row == value).all():
            return number
    return len(rows)


def documents(counts: Counts, pixels: int, bands: Sequence[str]) -> dict[str, SuspectPixels]:
    """Return the counts [reason, band] of images with so many pixels a band, for the bands that have any."""
    columns = zip(bands, counts.T.tolist(), strict=True)
    return {
        band: SuspectPixels(pixels=pixels, **dict(zip(REASONS, column, strict=True)))
        for band, column in columns
        if any(column)
    }


def describe(suspects: Mapping[str, SuspectPixels]) -> str:
    """Return the one sentence that tells of all bands; an empty one where there is nothing to tell."""
    parts = []
    for band, document in suspects.items():
        known = ((getattr(document, reason), words) for reason, words in REASONS.items())
        parts.append(f"{band} {document.share:.2%}: {', '.join(f'{n:,} {words}' for n, words in known if n)}")
    return (
        f"warning: some pixels may hold no data: {'; '.join(parts)}. If so, declare that value as no data "
        "(docs/sources.md)"
        if parts
        else ""
    )


def check(suspects: Mapping[str, SuspectPixels], limit: float) -> None:
    """Raise BuildError where the share of a band is above the limit."""
    band = max(suspects, key=lambda name: suspects[name].share, default=None)
    if band is not None and suspects[band].share > limit:
        raise BuildError(
            f"{describe({band: suspects[band]}).removeprefix('warning: ')}. Expected a share of at most "
            f"`suspect_limit={limit:g}`: if these are values, choose a greater one; what is packed is kept"
        )
