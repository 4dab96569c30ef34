"""Images of any bands as pictures for the eye."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sar_data.views import stretch

Floats = npt.NDArray[np.float32]
MOST_PIXELS = 512  # of a side of a picture; longer sides are thinned


def stretch_images(images: Sequence[Floats], units: Mapping[str, str]) -> tuple[list[Floats], str]:
    """Return pictures [y, x, 3] in 0–1 of images [band, y, x], thinned, and a note that says how they were stretched.

    `units` are band → unit, in the order of the images' bands; they are stretched as `sar-data show` does.
    """
    if not images:
        return [], ""
    pictures, note = stretch.stretch([np.stack([thin(plane) for plane in image]) for image in images], units)
    return [np.broadcast_to(picture, (*picture.shape[:2], 3)) for picture in pictures], note


def thin(plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return every n-th pixel of an image [y, x], so that no side is longer than what is drawn."""
    step = max(1, -(-max(plane.shape) // MOST_PIXELS))
    return plane[::step, ::step]
