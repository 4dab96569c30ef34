"""A sheet of images with their true and their predicted boxes, in one picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from matplotlib.patheffects import withStroke

from sar_data.train.metrics.boxes import rotated_overlaps
from sar_data.train.pictures.images import Images
from sar_data.train.pictures.sheets import spread
from sar_data.train.pictures.stretch import stretch_images
from sar_data.train.rotated.rings import ring
from sar_data.views.figure import save
from sar_data.views.heading import Heading

Floats = npt.NDArray[np.float64]
# Bright on grey, and distinct for colour-blind eyes (after Okabe and Ito 2008).
COLOURS = {"true": "#56b4e9", "found": "#2ee6a8", "wrong": "#ff7847", "missed": "#f0e442"}
SHOWN, ENOUGH = 0.3, 0.5  # lowest score that is drawn; overlap from which a box is right
MOST_IMAGES = 12
CELL, GAP, SIDE, LINE = 2.6, 0.14, 0.2, 0.2  # inches
LINES = {"true": ("-", 2.2), "found": ("-", 0.9), "wrong": ("-", 0.9), "missed": ("--", 0.9)}  # style, points
DARK = withStroke(linewidth=0.7, foreground="0.1")  # around words, which stand on speckle
LEGEND = {
    "true": "true, and found",
    "found": f"found (score ≥ {SHOWN:g}, overlap ≥ {ENOUGH:g})",
    "wrong": "false",
    "missed": "true, and missed",
}


def sheet(
    path: Path, table: pa.Table, classes: Sequence[str], images: Images, *, units: Mapping[str, str], title: str
) -> None:
    """Draw up to twelve images of a split to the file `path`, spread evenly over its keys.

    A predicted box is right where it overlaps by half with a true box of its class that no box of a higher score has
    taken; true boxes without such a prediction are missed. Scores stand at the boxes, class names where there are
    several.
    """
    rows = table.take(pa.array(spread(len(table), MOST_IMAGES), pa.int64())).to_pylist()
    whole = [_trim(image) for image, _ in images([row["key"] for row in rows])]
    pictures, note = stretch_images(whole, units)
    columns = min(max(math.ceil(math.sqrt(len(rows))), 3), 4)
    lines = -(-len(rows) // columns)
    width = 2 * SIDE + columns * (CELL + GAP) - GAP
    heading = Heading(title, note, [(text, COLOURS[name]) for name, text in LEGEND.items()], width - 2 * SIDE)
    height = heading.height + lines * (CELL + LINE + GAP)
    figure = Figure(figsize=(width, height), dpi=160, facecolor="white")
    heading.draw(figure, SIDE)
    for number, (row, picture, image) in enumerate(zip(rows, pictures, whole, strict=True)):
        x = SIDE + (number % columns) * (CELL + GAP)
        y = height - heading.height - (number // columns + 1) * (CELL + LINE + GAP) + GAP
        axes = figure.add_axes((x / width, (y + LINE) / height, CELL / width, CELL / height), anchor="SW")
        _draw(axes, picture, (image.shape[1], image.shape[2]), row, classes)
        text = f"{row['key'][-40:]}   {len(row['true_boxes'])} there"
        figure.text(x / width, (y + LINE - 0.04) / height, text, fontsize=6.5, va="top", color="0.1")
    save(figure, path)


def box_outcomes(row: dict[str, Any]) -> dict[str, list[int]]:
    """Return the numbers of the predicted boxes of an image that are right and wrong, and of the missed true boxes."""
    shown = [i for i, score in enumerate(row["box_scores"]) if score >= SHOWN]
    if "true_rotated" in row:
        overlaps = rotated_overlaps(row["rotated"], row["true_rotated"])
    else:
        overlaps = _overlaps(*(np.array(row[name], np.float64).reshape(-1, 4) for name in ("boxes", "true_boxes")))
    overlaps[np.array(row["labels"])[:, None] != np.array(row["true_labels"])[None, :]] = 0
    hits, missed = list[int](), list(range(len(row["true_boxes"])))
    for i in shown:  # best first
        best = max(missed, key=lambda j: overlaps[i, j], default=None)
        if best is not None and overlaps[i, best] >= ENOUGH:
            hits.append(i)
            missed.remove(best)
    return {"found": hits, "wrong": [i for i in shown if i not in hits], "missed": missed}


def boxes_to_draw(row: dict[str, Any]) -> list[tuple[str, str, int]]:
    """Return the boxes to draw on an image: name of a colour, prefix of the columns that have the box, its number."""
    kinds = box_outcomes(row)
    there = [i for i in range(len(row["true_boxes"])) if i not in kinds["missed"]]
    prefixes = {"true": "true_", "missed": "true_"}
    return [(name, prefixes.get(name, ""), i) for name, own in {"true": there, **kinds}.items() for i in own]


def outline(row: dict[str, Any], prefix: str, number: int) -> Floats:
    """Return the corners [4, (x, y)] of a box of an image, by the prefix and the number from `boxes_to_draw`."""
    return ring(row[f"{prefix}{'rotated' if 'true_rotated' in row else 'boxes'}"][number])


def _overlaps(boxes: Floats, others: Floats) -> Floats:
    """Return intersection over union [box, other]."""
    lower = np.maximum(boxes[:, None, :2], others[None, :, :2])
    upper = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = (upper - lower).clip(min=0).prod(axis=2)
    areas = [(each[:, 2:] - each[:, :2]).prod(axis=1) for each in (boxes, others)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    overlaps: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return overlaps


def _trim(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return an image [C, H, W] without the padding below and on the right, where all is NaN."""
    there = np.isfinite(image).any(axis=0)
    if not there.any():
        return image
    height, width = (int(places.max()) + 1 for places in np.nonzero(there))
    return image[:, :height, :width]


def _draw(
    axes: Axes, picture: npt.NDArray[np.float32], size: tuple[int, int], row: dict[str, Any], classes: Sequence[str]
) -> None:
    """Draw one image in its own pixels, and its boxes."""
    height, width = size
    axes.imshow(picture, interpolation="nearest", extent=(0, width, height, 0))
    for name, prefix, i in boxes_to_draw(row):
        box, (style, points) = outline(row, prefix, i), LINES[name]
        axes.add_patch(Polygon(box, fill=False, lw=points, ls=style, ec=COLOURS[name]))
        (left, top), (_, bottom) = box.min(axis=0), box.max(axis=0)
        words = [classes[row[f"{prefix}labels"][i]]] if len(classes) > 1 and name != "true" else []
        words += [] if prefix else [f"{row['box_scores'][i]:.2f}"]
        y, side = (bottom, "top") if prefix else (top, "bottom")
        text = axes.text(left, y, " ".join(words), va=side, fontsize=5.5, color=COLOURS[name], clip_on=True)
        text.set_path_effects([DARK])
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
