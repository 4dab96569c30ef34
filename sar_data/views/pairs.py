"""Pairs of samples that leak, side by side, from one sealed build or two."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.figure import Figure

from sar_data.errors import UsageError
from sar_data.formats.storage import physical
from sar_data.sealed.opened import Build
from sar_data.sealed.places import places
from sar_data.views.png import check_name, save
from sar_data.views.stretch import stretched, unit_of

COLUMNS, CELL, TOP, LINE = 3, 1.75, 0.62, 0.32  # pairs in a row; inches
MOST_NAME = 46  # characters of a key that are drawn


class Leak(Protocol):
    """Two keys, and the figure that they count in."""

    @property
    def kind(self) -> str: ...
    @property
    def judged(self) -> str: ...
    @property
    def other(self) -> str: ...


def draw(builds: tuple[Build | None, Build | None], pairs: Sequence[Leak], title: str, out: Path) -> None:
    """Draw pairs to the PNG `out`: on the left the judged sample, on the right the other, in one stretch.

    Raises UsageError where a side is no sealed build, or there is no pair.
    """
    check_name(out)
    ours, theirs = builds
    if ours is None or theirs is None:
        raise UsageError("`plot=…`: expected sealed builds, found raw files or names: their pixels are not drawn")
    if not pairs:
        raise UsageError("`plot=…`: expected pairs that leak, found none: there is nothing to draw")
    sides = [_images(ours, [pair.judged for pair in pairs]), _images(theirs, [pair.other for pair in pairs])]
    bands = [band.name for band in ours.manifest.bands]
    images, note = stretched([image for side in sides for image in side], bands, unit_of(ours.manifest))
    columns, rows = min(COLUMNS, len(pairs)), -(-len(pairs) // COLUMNS)
    width, height = columns * (2 * CELL + 0.3) + 0.2, TOP + rows * (CELL + LINE + 0.12)
    figure = Figure(figsize=(width, height), dpi=160, facecolor="white")
    figure.text(0.1 / width, 1 - 0.14 / height, f"{title} · pairs that leak"[:120], fontsize=9, weight="bold", va="top")
    figure.text(0.1 / width, 1 - 0.36 / height, note, fontsize=6.5, va="top")
    for number, pair in enumerate(pairs):
        left = 0.1 + (number % columns) * (2 * CELL + 0.3)
        top = height - TOP - number // columns * (CELL + LINE + 0.12)
        for place, picture in enumerate((images[number], images[len(pairs) + number])):
            box = ((left + place * (CELL + 0.05)) / width, (top - CELL) / height, CELL / width, CELL / height)
            axes = figure.add_axes(box, anchor="N")
            plane = picture if picture.shape[-1] == 3 else picture[..., 0]
            axes.imshow(plane, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set_axis_off()
        names = "\n".join(key if len(key) <= MOST_NAME else f"…{key[-MOST_NAME:]}" for key in (pair.judged, pair.other))
        text = f"{pair.kind.replace('_', ' ')}\n{names}"
        figure.text(left / width, (top - CELL - 0.03) / height, text, fontsize=5.5, va="top")
    save(figure, out)


def _images(build: Build, keys: Sequence[str]) -> list[npt.NDArray[np.float32]]:
    """Return the images [band, y, x] of samples; of several frames the first."""
    index = build.index()
    rows = index.filter(pc.is_in(index["key"], pa.array(sorted(set(keys)), pa.string())))
    with build.reader() as reader:
        scale = build.manifest.storage.scale
        found = {place.key: physical(reader.read(place), scale) for place in places(rows)}
    return [found[key].reshape(-1, *found[key].shape[-3:])[0].astype(np.float32) for key in keys]
