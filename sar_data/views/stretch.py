"""Images in physical units as pictures for the eye, in one stretch, so that they compare."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sar_data.sealed.manifest import Manifest
from sar_data.statistics.units import DOMAINS

Floats = npt.NDArray[np.float32]

STRETCH = (2, 98)  # percentiles
PAIRS = (("VV", "VH"), ("HH", "HV"))  # co- and cross-polarized: their difference in dB is a ratio in power
MASKED_GREY = 0.5


def stretched(images: Sequence[Floats], bands: list[str], unit: str) -> tuple[list[Floats], str]:
    """Return pictures [y, x, 1 or 3] in 0–1 of images [band, y, x], and what was done in words.

    Each channel is stretched by its 2–98 % over all samples together, so that patches compare; power and amplitude are
    shown in dB, a phase in colours that end where they begin. Masked is grey.
    """
    if unit == "phase":
        return [_cyclic(image[0]) for image in images], f"{bands[0]} −π to π, colours as on a circle"
    if unit in ("power", "amplitude"):
        images, unit = [DOMAINS[unit]["dB"](image).astype(np.float32) for image in images], "dB"
    pair = next((pair for pair in PAIRS if set(pair) <= set(bands)), None)
    if pair is None:
        channels = {bands[0]: [image[0] for image in images]}
    else:
        co, cross = ([image[bands.index(name)] for image in images] for name in pair)
        with np.errstate(invalid="ignore"):  # infinite values are masked below
            ratio = [a - b for a, b in zip(co, cross, strict=True)]
        channels = {pair[0]: co, pair[1]: cross, f"{pair[0]}−{pair[1]}": ratio}
    scaled, notes = [], []
    for name, planes in channels.items():
        valid = np.concatenate([plane[np.isfinite(plane)] for plane in planes])
        low, high = np.percentile(valid, STRETCH) if valid.size else (0.0, 1.0)
        span = max(high - low, 1e-6)
        scaled.append([_grey(plane, low, span) for plane in planes])
        notes.append(f"{name} {low:.1f} to {high:.1f}".replace("-", "−") + f" {unit}")
    colours = (
        " · ".join(f"{c} {n}" for c, n in zip("RGB", notes, strict=True))
        if pair
        else f"grey {notes[0]}".replace("grey grey", "grey")
    )
    pictures = [np.stack(planes, axis=-1).astype(np.float32) for planes in zip(*scaled, strict=True)]
    return pictures, f"{colours}  ({STRETCH[0]}–{STRETCH[1]} % over the sheet)"


def _grey(plane: Floats, low: float, span: float) -> Floats:
    """Return grey from 0 to 1; where a pixel has no data, MASKED_GREY."""
    valid = np.isfinite(plane)  # a signalling NaN would warn in arithmetic
    return np.where(valid, np.clip((np.where(valid, plane, 0) - low) / span, 0, 1), MASKED_GREY)


def _cyclic(plane: Floats) -> Floats:
    """Return a picture [y, x, 3] of a phase in radians."""
    from matplotlib import colormaps

    turned = np.where(np.isfinite(plane), plane, 0) / (2 * np.pi) % 1
    colours = colormaps["twilight"](turned)[..., :3]
    return np.where(np.isfinite(plane)[..., None], colours, MASKED_GREY).astype(np.float32)


def unit_of(manifest: Manifest, band: str | None = None) -> str:
    """Return the unit of a band of a build, of the first one by default, as pictures write it."""
    unit = next(one.unit for one in manifest.bands if band in (None, one.name))
    return {"1": "σ", "minmax": "of a range"}.get(unit, unit)
