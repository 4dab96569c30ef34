"""Images in physical units as pictures for the eye, in one stretch, so that they compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from sar_data.sealed.manifest import Manifest
from sar_data.statistics.units import DOMAINS

Floats = npt.NDArray[np.float32]

STRETCH = (2, 98)  # percentiles
PAIRS = (("VV", "VH"), ("HH", "HV"))  # co- and cross-polarized: their difference in dB is a ratio in power
MASKED_GREY = 0.5
WORDS = {"1": "σ", "minmax": "of a range", "8-bit": "(8 bit)"}  # of units that are not written as they are called


def stretch(images: Sequence[Floats], units: Mapping[str, str]) -> tuple[list[Floats], str]:
    """Return pictures [y, x, 1 or 3] in 0–1 of images [band, y, x], and what was done in words.

    `units` are band → unit, in the order of the images' bands. Shown are VV and VH or HH and HV where there are both,
    else the first band. Each channel is stretched by its 2–98 % over all samples together, so that patches compare;
    power and amplitude are shown in dB, a phase in colours that end where they begin. Masked is grey.
    """
    bands = list(units)
    pair = next((pair for pair in PAIRS if set(pair) <= set(bands) and units[pair[0]] == units[pair[1]]), None)
    shown = pair or (bands[0],)
    unit = units[shown[0]]
    channels = {name: [image[bands.index(name)] for image in images] for name in shown}
    if unit == "phase":
        return [_cyclic(plane) for plane in channels[shown[0]]], f"{shown[0]} −π to π, colours as on a circle"
    if unit in ("power", "amplitude"):
        decibels, unit = DOMAINS[unit]["dB"], "dB"
        channels = {name: [decibels(plane).astype(np.float32) for plane in planes] for name, planes in channels.items()}
    if pair is not None:
        co, cross = channels.values()
        with np.errstate(invalid="ignore"):  # infinite values are masked below
            ratio = [a - b for a, b in zip(co, cross, strict=True)]
        channels[f"{pair[0]}−{pair[1]}"] = ratio
    scaled, notes = [], []
    for name, planes in channels.items():
        valid = np.concatenate([plane[np.isfinite(plane)] for plane in planes])
        low, high = np.percentile(valid, STRETCH) if valid.size else (0.0, 1.0)
        span = max(high - low, 1e-6)
        scaled.append([_grey(plane, low, span) for plane in planes])
        notes.append(f"{name} {_digits(low, unit)} to {_digits(high, unit)} {WORDS.get(unit, unit)}".rstrip())
    colours = (
        " · ".join(f"{c} {n}" for c, n in zip("RGB", notes, strict=True))
        if pair
        else f"grey {notes[0]}".replace("grey grey", "grey")
    )
    pictures = [np.stack(planes, axis=-1).astype(np.float32) for planes in zip(*scaled, strict=True)]
    return pictures, f"{colours}  ({STRETCH[0]}–{STRETCH[1]} % over the sheet)"


def _digits(value: float, unit: str) -> str:
    """Return a value as a note has it: of dB a tenth, of other units three digits."""
    return (f"{value:.1f}" if unit == "dB" else f"{value:.3g}").replace("-", "−")


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


def units_of(manifest: Manifest) -> dict[str, str]:
    """Return band → unit of a build."""
    return {band.name: band.unit for band in manifest.bands}
