"""Colours of the classes of masks, in every picture and in the files that predictions are."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps

from sar_data.record import IGNORE
from sar_data.views.heading import Entry


def palette(classes: int) -> npt.NDArray[np.uint8]:
    """Return the colours uint8 [256, 3] of class numbers: matplotlib's tab10 or tab20, or a wheel's; 255 is black."""
    colours = np.zeros((256, 3))
    if classes <= 20:
        colours[:classes] = colormaps["tab10" if classes <= 10 else "tab20"](np.arange(classes))[:, :3]
    else:
        colours[:classes] = colormaps["hsv"](np.arange(classes) / classes)[:, :3]
    colours[IGNORE] = 0
    return (colours * 255).round().astype(np.uint8)


def legend(classes: Sequence[str], present: Collection[int], ignored: str = "ignored") -> list[Entry]:
    """Return name and colour of the classes that are present, and of 255 the name for what has none."""
    colours = palette(len(classes)) / 255
    names = dict(enumerate(classes)) | {IGNORE: ignored}
    return [(names[label], tuple(colours[label].tolist())) for label in sorted(present) if label in names]
