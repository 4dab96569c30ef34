"""What is drawn over a picture: the objects in it, a colour a class."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Polygon

from sar_data.labels.boxes import corners
from sar_data.record import IGNORE, Mask, Object
from sar_data.sealed.manifest import Manifest
from sar_data.views.heading import Entry

# Bright on grey, and apart for colour-blind eyes (after Okabe and Ito 2008); more classes begin again.
COLOURS = ("#56b4e9", "#e69f00", "#2ee6a8", "#f0e442", "#ff7847", "#e58ac3", "#8fb3ff", "#c8e05a")
LINE, FAINT = 0.9, 0.4  # points
MOST = 1000  # objects


def draw_objects(axes: Axes, objects: Sequence[Object]) -> None:
    """Draw each object as its most exact outline, and its box faintly where there is a better one.

    Of very many the first are drawn: more cannot be told apart in a picture of this size.
    """
    for item in objects[:MOST]:
        left, top, right, bottom = item.box
        box = (left, top, right, top, right, bottom, left, bottom)
        turned = () if item.rotated is None else (corners(item.rotated),)
        outlines = item.polygons or turned or (box,)
        for ring, width in ((box, FAINT), *((ring, LINE) for ring in outlines)):
            points = np.reshape(ring, (-1, 2))
            axes.add_patch(Polygon(points, fill=False, edgecolor=colour(item.label), linewidth=width))


def draw_borders(axes: Axes, mask: Mask, extent: tuple[float, ...]) -> None:
    """Draw the borders of each class of a mask [y, x] but the first, which is where nothing changed."""
    left, right, bottom, top = extent
    for label in set(np.unique(mask).tolist()) - {0, IGNORE}:
        border = axes.contour(mask == label, levels=[0.5], origin="lower", extent=(left, right, top, bottom))
        border.set(edgecolor=colour(label), linewidth=LINE)  # rows run downwards, as in the picture


def outline_entries(classes: Sequence[str], drawn: Collection[int]) -> list[Entry]:
    """Return name and colour of the classes whose borders are drawn."""
    return [(name, colour(label)) for label, name in enumerate(classes) if label and label in drawn]


def legend(manifest: Manifest, drawn: Collection[int]) -> list[Entry]:
    """Return name and colour of the classes of those objects that are drawn; none where there is no such task."""
    task = next((task for task in manifest.tasks if task.kind == "detection"), None)
    classes = () if task is None else task.classes
    return [(name, colour(label)) for label, name in enumerate(classes) if label in drawn]


def colour(label: int) -> str:
    """Return the colour of a class."""
    return COLOURS[label % len(COLOURS)]
