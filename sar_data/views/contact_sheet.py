"""Contact sheets: some patches of a build in one picture, with their labels, objects and masks."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sar_data.errors import BuildError, unknown
from sar_data.formats.storage import physical
from sar_data.record import IGNORE, Mask, Object
from sar_data.sealed.manifest import Manifest
from sar_data.sealed.opened import Build
from sar_data.sealed.places import places
from sar_data.sealed.recorded import nonempty_splits
from sar_data.sealed.records import to_object
from sar_data.system.suffixes import PICTURES, check_suffix
from sar_data.views.figure import save
from sar_data.views.heading import Heading
from sar_data.views.overlay import draw_mask, draw_objects, legend
from sar_data.views.stretch import Floats, stretched, units_of

CELL, GAP, LINE, SIDE = 2.1, 0.16, 0.115, 0.2  # inches
MOST_PIXELS = 1024  # of a side as drawn: a whole scene is thinned
CHARACTERS, MOST_LINES = 46, 7  # of a label's line; of a patch's labels
MOST_LABEL = 500  # characters of a label that are drawn


def contact_sheet(
    build: Build, out: Path, *, split: str = "train", count: int = 16, seed: int = 0, band: str | None = None
) -> int:
    """Draw `count` patches of a split to the file `out`, chosen by `seed`; return how many there were to draw.

    They are of VV and VH or HH and HV where there are both, else of the first band; or of one `band`. Raises UsageError
    for a split that does not exist or is empty and for a band that is none, TargetError where `out` cannot be written.
    """
    check_suffix(out, PICTURES)
    figure, shown = draw(build, split=split, count=count, seed=seed, band=band)
    save(figure, out)
    return shown


def draw(
    build: Build, *, split: str = "train", count: int = 16, seed: int = 0, band: str | None = None
) -> tuple[Figure, int]:
    """Return the figure that `contact_sheet` writes, and how many patches it shows."""
    manifest = build.manifest
    units = units_of(manifest)
    names = list(units)
    if band is not None and band not in units:
        raise unknown("band", band, names)
    nonempty_splits(manifest, split)
    rows = build.index()
    rows = rows.filter(np.asarray(rows["split"]) == split).sort_by("key")
    if not len(rows):
        raise BuildError(f"{build.path}: expected rows of {split} in index.parquet, found none: see `verify()`")
    chosen = np.random.default_rng(seed).permutation(len(rows))[:count]
    rows = rows.take(np.sort(chosen))
    found, steps = places(rows), []
    images: list[Floats] = []
    masks: list[Mask | None] = []
    with build.reader() as reader:
        for place in found:
            image = physical(reader.read(place), manifest.storage.scale)
            steps.append(max(1, -(-max(image.shape[-2:]) // MOST_PIXELS)))
            thin = np.s_[..., :: steps[-1], :: steps[-1]]
            # Of several frames the first is shown.
            images.append(image.reshape(-1, *image.shape[-3:])[0][thin].astype(np.float32))
            masks.append(None if place.mask_xxh3 is None else reader.mask(place)[thin])
    if band is not None:
        images, units = [image[names.index(band)][None] for image in images], {band: units[band]}
    pictures, note = stretched(images, units)
    head = f"{manifest.title} · {split}, {len(rows)} of {manifest.splits[split].count} patches, seed {seed}"
    objects = [[to_object(one) for one in row or ()] for row in rows["objects"].to_pylist()]
    labels = [_lines(*both, manifest) for both in zip(rows["labels"].to_pylist(), objects, strict=True)]
    keys = rows["key"].to_pylist()
    cells = [Cell(*cell) for cell in zip(keys, pictures, steps, masks, objects, labels, strict=True)]
    return _sheet(cells, head, note, manifest), len(rows)


class Cell(NamedTuple):
    """One patch: every `step`-th pixel of the picture and the mask, what is in it, lines below its key."""

    key: str
    picture: Floats
    step: int
    mask: Mask | None
    objects: list[Object]
    lines: list[str]

    def drawn(self) -> set[int]:
        """Return the classes that its mask or its objects show."""
        of_mask = set() if self.mask is None else set(np.unique(self.mask).tolist()) - {IGNORE}
        return of_mask | {one.label for one in self.objects}


def _lines(labels: list[str] | None, objects: list[Object], manifest: Manifest) -> list[str]:
    """Return the lines under a patch: its labels, and how many objects of each class."""
    detection = next((task for task in manifest.tasks if task.kind == "detection"), None)
    if detection is None:
        return _wrapped(labels or [])
    counts = Counter(detection.classes[one.label] for one in objects)
    counted = [f"{n} × {name}" for name, n in counts.items()]
    return _wrapped([*(labels or [] if detection is not manifest.tasks[0] else []), *counted])


def _wrapped(labels: list[str]) -> list[str]:
    """Return the lines under a patch, one label after the other; what has no room is counted."""
    lines: list[str] = []
    for i, label in enumerate(labels):
        wrapped = textwrap.wrap(label[:MOST_LABEL], CHARACTERS, initial_indent="· ", subsequent_indent="  ")
        if len(lines) + len(wrapped) > MOST_LINES - (i + 1 < len(labels)):
            return [*lines, f"· and {len(labels) - i} more"]
        lines += wrapped
    return lines


def _sheet(cells: list[Cell], head: str, note: str, manifest: Manifest) -> Figure:
    """Lay patches out in a near-square, every row as high as its longest labels need."""
    entries = legend(manifest, set[int]().union(*(cell.drawn() for cell in cells)))
    columns = min(max(math.ceil(math.sqrt(len(cells))), 3), 8)
    rows = [cells[i : i + columns] for i in range(0, len(cells), columns)]
    heights = [CELL + GAP + LINE * (2 + max(len(cell.lines) for cell in row)) for row in rows]
    width = 2 * SIDE + columns * (CELL + GAP) - GAP
    heading = Heading(head, note, entries, width - 2 * SIDE)
    height = heading.height + sum(heights)
    figure = Figure(figsize=(width, height), dpi=160, facecolor="white")
    heading.draw(figure, SIDE)
    style: dict[str, Any] = {"ha": "left", "va": "top", "fontsize": 6.5, "linespacing": 1.2}
    top = height - heading.height
    for row, tall in zip(rows, heights, strict=True):
        for column, cell in enumerate(row):
            left = SIDE + column * (CELL + GAP)
            axes = figure.add_axes((left / width, (top - CELL) / height, CELL / width, CELL / height), anchor="SW")
            _draw(axes, cell)
            key = cell.key if len(cell.key) <= CHARACTERS else f"…{cell.key[1 - CHARACTERS :]}"
            figure.text(left / width, (top - CELL - 0.05) / height, key, color="0.45", **style)
            below = (top - CELL - 0.05 - LINE) / height
            figure.text(left / width, below, "\n".join(cell.lines), color="0.1", **style)
        top -= tall
    return figure


def _draw(axes: Axes, cell: Cell) -> None:
    """Draw one patch in the pixels of the stored image, and what is in it."""
    rows, columns, channels = cell.picture.shape
    picture = cell.picture if channels == 3 else cell.picture[..., 0]
    extent = (0, columns * cell.step, rows * cell.step, 0)
    axes.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest", extent=extent)
    if cell.mask is not None:
        draw_mask(axes, cell.mask, cell.step)
    draw_objects(axes, cell.objects)
    axes.set(xlim=extent[:2], ylim=extent[2:])
    axes.set_axis_off()
