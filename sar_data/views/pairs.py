"""Pairs of samples that leak, side by side, from one sealed build or two."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.figure import Figure

from sar_data.errors import UsageError
from sar_data.formats.storage import physical
from sar_data.sealed.opened import Build
from sar_data.sealed.places import places
from sar_data.system.suffixes import PICTURES, check_suffix
from sar_data.views.figure import save
from sar_data.views.heading import Heading
from sar_data.views.stretch import stretch, units_of

COLUMNS, CELL, SIDE, LINE = 3, 1.75, 0.1, 0.32  # pairs in a row; inches
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
    """Draw pairs to the file `out`: on the left the judged sample, on the right the other, in one stretch.

    Raises UsageError where a side is no sealed build, or there is no pair.
    """
    check_suffix(out, PICTURES, name="plot")
    judged_build, other_build = builds
    if judged_build is None or other_build is None:
        raise UsageError("`plot=…`: expected sealed builds, found raw files or names: their pixels are not drawn")
    if not pairs:
        raise UsageError("`plot=…`: expected pairs that leak, found none: there is nothing to draw")
    sides = [
        _samples(judged_build, [pair.judged for pair in pairs]),
        _samples(other_build, [pair.other for pair in pairs]),
    ]
    images, note = stretch([sample.image for side in sides for sample in side], units_of(judged_build.manifest))
    columns, rows = min(COLUMNS, len(pairs)), -(-len(pairs) // COLUMNS)
    width = columns * (2 * CELL + 0.3) + 2 * SIDE
    heading = Heading(f"{title} · pairs that leak", f"{note} · left judged, right the other", (), width - 2 * SIDE)
    height = heading.height + rows * (CELL + LINE + 0.12)
    figure = Figure(figsize=(width, height), dpi=160, facecolor="white")
    heading.draw(figure, SIDE)
    for number, pair in enumerate(pairs):
        left = SIDE + (number % columns) * (2 * CELL + 0.3)
        top = height - heading.height - number // columns * (CELL + LINE + 0.12)
        for place, picture in enumerate((images[number], images[len(pairs) + number])):
            box = ((left + place * (CELL + 0.05)) / width, (top - CELL) / height, CELL / width, CELL / height)
            axes = figure.add_axes(box, anchor="N")
            plane = picture if picture.shape[-1] == 3 else picture[..., 0]
            axes.imshow(plane, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set_axis_off()
        splits = (side[number].split for side in sides)
        names = [f"{split} {_end(key)}" for split, key in zip(splits, (pair.judged, pair.other), strict=True)]
        text = "\n".join([pair.kind.replace("_", " "), *names])
        figure.text(left / width, (top - CELL - 0.03) / height, text, fontsize=5.5, va="top")
    save(figure, out)


class Sample(NamedTuple):
    """A sample's image [band, y, x], and its split."""

    image: npt.NDArray[np.float32]
    split: str


def _end(key: str) -> str:
    return key if len(key) <= MOST_NAME else f"…{key[1 - MOST_NAME :]}"


def _samples(build: Build, keys: Sequence[str]) -> list[Sample]:
    """Return samples by key; of several frames the first."""
    index = build.index()
    rows = index.filter(pc.is_in(index["key"], pa.array(sorted(set(keys)), pa.string())))
    with build.reader() as reader:
        scale = build.manifest.storage.scale
        images = {place.key: physical(reader.read(place), scale) for place in places(rows)}
    splits = dict(zip(rows["key"].to_pylist(), rows["split"].to_pylist(), strict=True))
    return [Sample(images[key].reshape(-1, *images[key].shape[-3:])[0].astype(np.float32), splits[key]) for key in keys]
