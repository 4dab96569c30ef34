"""Contact sheets: some patches of a build in one picture, with their labels, objects and masks."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sar_data.errors import BuildError, unknown
from sar_data.formats.storage import physical
from sar_data.record import Mask, Object
from sar_data.sealed.dates import describe
from sar_data.sealed.manifest import Manifest
from sar_data.sealed.opened import Build
from sar_data.sealed.places import places
from sar_data.sealed.recorded import nonempty_splits
from sar_data.sealed.records import to_object
from sar_data.spec import is_change, mask_classes
from sar_data.system.suffixes import PICTURES, check_suffix
from sar_data.views.figure import save
from sar_data.views.heading import Entry, Heading
from sar_data.views.overlay import draw_borders, draw_objects, legend, outline_entries
from sar_data.views.palette import legend as of_masks
from sar_data.views.palette import palette
from sar_data.views.stretch import Floats, stretch, units_of

CELL, BETWEEN, GAP, LINE, SIDE = 2.1, 0.05, 0.16, 0.115, 0.2  # inches
MOST_PIXELS = 1024  # of a side as drawn: a whole scene is thinned
CHARACTERS, MOST_LINES = 46, 7  # of a label's line; of a patch's labels
FONT, CAPITALS = 6.5, 35  # points; the characters of a key, mostly capitals and digits, that fit a patch's width
MOST_LABEL = 500  # characters of a label that are drawn
BEHIND = {"facecolor": "black", "alpha": 0.5, "linewidth": 0, "pad": 1.0}  # of the text in a picture


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
        raise BuildError(f"{build.place}: expected rows of {split} in index.parquet, found none: see `verify()`")
    chosen = np.random.default_rng(seed).permutation(len(rows))[:count]
    rows = rows.take(np.sort(chosen))
    drawn_places, steps = places(rows), []
    classes = mask_classes(manifest.tasks)
    changing = is_change(manifest.tasks)
    frames = manifest.frames if changing else 1  # of other sets the first is shown
    images: list[Floats] = []
    masks: list[Mask | None] = []
    drawn = set[int]()
    with build.reader() as reader:
        for place in drawn_places:
            image = physical(reader.read(place), manifest.storage.scale)
            steps.append(max(1, -(-max(image.shape[-2:]) // MOST_PIXELS)))
            thin = np.s_[..., :: steps[-1], :: steps[-1]]
            images += list(image.reshape(-1, *image.shape[-3:])[:frames][thin].astype(np.float32))
            mask = None if place.mask_xxh3 is None else reader.mask(place)[thin]
            drawn |= set() if mask is None else set(np.unique(mask).tolist())
            masks.append(mask)
    if band is not None:
        images, units = [image[names.index(band)][None] for image in images], {band: units[band]}
    pictures, note = stretch(images, units)
    head = f"{manifest.title} · {split}, {len(rows)} of {manifest.splits[split].count} patches, seed {seed}"
    objects = [[to_object(item) for item in row or ()] for row in rows["objects"].to_pylist()]
    labels = [_lines(*both, manifest) for both in zip(rows["labels"].to_pylist(), objects, strict=True)]
    keys = rows["key"].to_pylist()
    dates = [tuple(map(describe, row)) if changing else () for row in rows["dates"].to_pylist()]
    taken = zip(*(pictures[i::frames] for i in range(frames)), strict=True)
    cells = [Cell(*cell) for cell in zip(keys, taken, steps, dates, masks, objects, labels, strict=True)]
    if not changing:
        cells = [cell.beside_mask(palette(len(classes))) for cell in cells]
    entries = outline_entries(classes, drawn) if changing else of_masks(classes, drawn)
    entries += legend(manifest, {item.label for row in objects for item in row})
    return _sheet(cells, head, note, entries), len(rows)


class Cell(NamedTuple):
    """One patch: every `step`-th pixel of its pictures, their `dates`, what is in them, lines below its key.

    The borders of the classes of a `mask` are drawn into them.
    """

    key: str
    pictures: tuple[Floats, ...]
    step: int
    dates: tuple[str, ...]
    mask: Mask | None
    objects: list[Object]
    lines: list[str]

    def beside_mask(self, colours: npt.NDArray[np.uint8]) -> Cell:
        """Return the cell with its mask, if it has one, as a picture of its own."""
        if self.mask is None:
            return self
        mask = (colours[self.mask] / 255).astype(np.float32)
        return self._replace(pictures=(*self.pictures, mask), mask=None)


def _lines(labels: list[str] | None, objects: list[Object], manifest: Manifest) -> list[str]:
    """Return the lines under a patch: its labels, and how many objects of each class."""
    detection = next((task for task in manifest.tasks if task.kind == "detection"), None)
    if detection is None:
        return _wrap(labels or [])
    counts = Counter(detection.classes[item.label] for item in objects)
    counted = [f"{n} × {name}" for name, n in counts.items()]
    return _wrap([*(labels or [] if detection is not manifest.tasks[0] else []), *counted])


def _wrap(labels: list[str]) -> list[str]:
    """Return the lines under a patch, one label after the other; what has no room is counted."""
    lines: list[str] = []
    for i, label in enumerate(labels):
        wrapped = textwrap.wrap(label[:MOST_LABEL], CHARACTERS, initial_indent="· ", subsequent_indent="  ")
        if len(lines) + len(wrapped) > MOST_LINES - (i + 1 < len(labels)):
            return [*lines, f"· and {len(labels) - i} more"]
        lines += wrapped
    return lines


def _sheet(cells: list[Cell], head: str, note: str, entries: list[Entry]) -> Figure:
    """Lay patches out in a near-square, dates or masks side by side, every row as high as its longest labels need."""
    sides = max(len(cell.pictures) for cell in cells)
    columns = min(max(math.ceil(math.sqrt(len(cells) / sides)), 4 - sides), 8 // sides)
    across = sides * CELL + (sides - 1) * BETWEEN
    rows = [cells[i : i + columns] for i in range(0, len(cells), columns)]
    heights = [CELL + GAP + LINE * (2 + max(len(cell.lines) for cell in row)) for row in rows]
    width = 2 * SIDE + columns * (across + GAP) - GAP
    heading = Heading(head, note, entries, width - 2 * SIDE)
    height = heading.height + sum(heights)
    figure = Figure(figsize=(width, height), dpi=160, facecolor="white")
    heading.draw(figure, SIDE)
    style: dict[str, Any] = {"ha": "left", "va": "top", "fontsize": FONT, "linespacing": 1.2}
    top = height - heading.height
    for row, tall in zip(rows, heights, strict=True):
        for column, cell in enumerate(row):
            left = SIDE + column * (across + GAP)
            for place, (picture, date) in enumerate(zip_longest(cell.pictures, cell.dates)):
                corner = left + place * (CELL + BETWEEN)
                box = (corner / width, (top - CELL) / height, CELL / width, CELL / height)
                axes = figure.add_axes(box, anchor="SW")
                _draw(axes, picture, cell)
                if date:
                    axes.text(0.02, 0.98, date, transform=axes.transAxes, **style, color="white", bbox=BEHIND)
            key = cell.key if len(cell.key) <= CHARACTERS else f"…{cell.key[1 - CHARACTERS :]}"
            small = {**style, "fontsize": FONT * min(1, CAPITALS / len(key)), "color": "0.45"}
            figure.text(left / width, (top - CELL - 0.05) / height, key, **small)
            below = (top - CELL - 0.05 - LINE) / height
            figure.text(left / width, below, "\n".join(cell.lines), color="0.1", **style)
        top -= tall
    return figure


def _draw(axes: Axes, picture: Floats, cell: Cell) -> None:
    """Draw a picture of a patch in the pixels of the stored image, and the objects and borders in it."""
    rows, columns, channels = picture.shape
    extent = (0, columns * cell.step, rows * cell.step, 0)
    shown = picture if channels == 3 else picture[..., 0]
    axes.imshow(shown, cmap="gray", vmin=0, vmax=1, interpolation="nearest", extent=extent)
    draw_objects(axes, cell.objects)
    if cell.mask is not None:
        draw_borders(axes, cell.mask, extent)
    axes.set(xlim=extent[:2], ylim=extent[2:])
    axes.set_axis_off()
