"""What is drawn over a picture: the objects in it and the borders of its mask's classes, a colour a class."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Polygon

from sar_data.labels.boxes import corners
from sar_data.record import IGNORE, Mask, Object
from sar_data.sealed.manifest import Manifest
from sar_data.views.heading import Entry

# Bright on grey, and apart for colour-blind eyes (after Okabe and Ito 2008); more classes begin anew.
COLOURS = ("#56b4e9", "#e69f00", "#2ee6a8", "#f0e442", "#ff7847", "#e58ac3", "#8fb3ff", "#c8e05a")
LINE, FAINT = 0.9, 0.4  # points
MOST = 1000  # objects


def draw_objects(axes: Axes, objects: Sequence[Object]) -> None:
    """Draw each object as its most exact outline, and its box faintly where there is a better one.

    Of very many the first are drawn: more cannot be told apart in a picture of this size.
    """
    for found in objects[:MOST]:
        left, top, right, bottom = found.box
        box = (left, top, right, top, right, bottom, left, bottom)
        turned = () if found.rotated is None else (corners(found.rotated),)
        outlines = found.polygons or turned or (box,)
        for ring, width in ((box, FAINT), *((ring, LINE) for ring in outlines)):
            points = np.reshape(ring, (-1, 2))
            axes.add_patch(Polygon(points, fill=False, edgecolor=colour(found.label), linewidth=width))


def draw_mask(axes: Axes, mask: Mask, step: int) -> None:
    """Draw the borders of a mask's classes; `mask` has every `step`-th pixel of the picture."""
    present = np.unique(mask[mask != IGNORE]).tolist()
    x, y = ((np.arange(size) + 0.5) * step for size in mask.shape[::-1])
    for label in present if min(mask.shape) > 1 else ():
        inside = mask == label
        if not inside.all() and label != 0:  # around what is not class 0 there is class 0
            axes.contour(x, y, inside, levels=[0.5], colors=[colour(label)], linewidths=LINE)


def legend(manifest: Manifest, drawn: Collection[int]) -> list[Entry]:
    """Return name and colour of those classes of masks or objects that are drawn; none where labels are of images."""
    task = next((task for task in manifest.tasks if task.kind in ("segmentation", "detection")), None)
    if task is None:
        return []
    named = [(label, name) for label, name in enumerate(task.classes) if label in drawn]
    if task.kind == "detection":
        return [(name, colour(label)) for label, name in named]
    return [(name, colour(label)) if label else (f"{name} (without a border)", "none") for label, name in named]


def colour(label: int) -> str:
    """Return the colour of a class."""
    return COLOURS[label % len(COLOURS)]
