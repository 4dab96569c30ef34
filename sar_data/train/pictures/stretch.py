"""Images of any bands as pictures for the eye."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
MOST_PIXELS = 512  # of a side that is drawn; more is thinned
STRETCH = (2, 98)  # percentiles
MASKED_GREY = 0.5


def stretched(images: Sequence[Floats], bands: Sequence[str] = ()) -> tuple[list[Floats], str]:
    """Return pictures [y, x, 3] in 0–1 of images [band, y, x], and in words what was done.

    One band is grey; of two the third colour is their difference; of more the first three are shown. Each colour is
    stretched by its 2–98 % over all images together, so that they compare. Masked pixels (NaN) are grey.
    """
    if not images:
        return [], ""
    count = images[0].shape[0]
    names = list(bands) or [f"band {i + 1}" for i in range(count)]
    planes = [[thinned(image[i]) for image in images] for i in range(min(count, 3))]
    if count == 2:
        planes.append([a - b for a, b in zip(*planes, strict=True)])
        names = [*names[:2], f"{names[0]}−{names[1]}"]
    scaled, notes = [], []
    for name, plane in zip(names, planes, strict=False):
        known = np.concatenate([one[np.isfinite(one)] for one in plane])
        low, high = np.percentile(known, STRETCH) if known.size else (0.0, 1.0)
        span = max(float(high - low), 1e-6)
        scaled.append([np.where(np.isfinite(one), np.clip((one - low) / span, 0, 1), MASKED_GREY) for one in plane])
        notes.append(f"{name} {low:.3g} to {high:.3g}".replace("-", "−"))
    pictures = [
        np.stack(one if len(one) == 3 else one * 3, axis=-1).astype(np.float32)
        for one in map(list, zip(*scaled, strict=True))
    ]
    shown = " · ".join(f"{c} {n}" for c, n in zip("RGB", notes, strict=False)) if count > 1 else f"grey {notes[0]}"
    shown = shown.replace("grey grey", "grey")
    return pictures, f"{shown}  ({STRETCH[0]}–{STRETCH[1]} % over the sheet)"


def thinned(plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return every n-th pixel of an image [y, x], so that no side is longer than what is drawn."""
    step = max(1, -(-max(plane.shape) // MOST_PIXELS))
    return plane[::step, ::step]
