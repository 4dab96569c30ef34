"""A sheet of a prediction: some of its images, thinned, with what the model says of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sar_data.spec import MASKED
from sar_data.train.inference.answers import BOXES, CLASSES
from sar_data.train.inference.documents import NO_DATA, Answers, Rows, by_image, rows_of
from sar_data.train.inference.images import Images
from sar_data.train.inference.model import Model
from sar_data.train.pictures.masks import resize
from sar_data.train.pictures.mosaic import Cell, Line
from sar_data.train.pictures.mosaic import draw as draw_cells
from sar_data.train.pictures.sheets import spread
from sar_data.train.pictures.stretch import MOST_PIXELS, Floats, stretch_images
from sar_data.train.rotated.rings import ring
from sar_data.views.heading import Entry
from sar_data.views.palette import legend as named
from sar_data.views.palette import palette

MOST_IMAGES = 12
SHOWN = 0.3  # lowest score of a box that is drawn
BRIGHT = (0.18, 0.9, 0.65)  # of boxes, on grey


def draw(path: Path, images: Images, answers: Answers, model: Model, *, title: str) -> None:
    """Draw up to twelve images to the file `path`, spread evenly over the keys, with masks, boxes or classes."""
    chosen = spread(len(images.images), MOST_IMAGES)
    seen = [images.thinned(number, MOST_PIXELS) for number in chosen]
    latest = [image[-1] if model.dates > 1 else image for image in seen]
    pictures, note = stretch_images(latest, model.units)
    legend: list[Entry] = []
    if model.kind in MASKED:
        cells, legend = _masks(chosen, pictures, answers)
    elif model.kind == "detection":
        cells = [_boxes(number, picture, answers) for number, picture in zip(chosen, pictures, strict=True)]
    else:
        cells = [_classes(number, picture, answers) for number, picture in zip(chosen, pictures, strict=True)]
    draw_cells(path, cells, f"{title}  ·  {len(cells)} of {len(images.images):,} images", note, legend)


def _masks(chosen: Sequence[int], pictures: Sequence[Floats], answers: Answers) -> tuple[list[Cell], list[Entry]]:
    colours: Floats = (palette(len(answers.classes)) / 255).astype(np.float32)
    own = by_image(answers)
    cells, present = [], set[int]()
    for number, picture in zip(chosen, pictures, strict=True):
        image = answers.images[number]
        rows = Rows(answers, own[number], image)
        lines = (np.arange(picture.shape[0]) * image.height // picture.shape[0]).tolist()
        thin = np.concatenate([rows(line, line + 1) for line in lines])
        mask = resize(thin, picture.shape[:2])
        present |= set(np.unique(mask).tolist())
        cells.append(Cell([picture, colours[mask]], [_key(answers, number)]))
    return cells, named(answers.classes, present, NO_DATA)


def _boxes(number: int, picture: Floats, answers: Answers) -> Cell:
    """Return an image with a frame at each box of a score worth looking at."""
    image, rows = answers.images[number], _of_image(answers, number, BOXES)
    shown = [row for row in rows if row["score"] >= SHOWN]
    drawn = picture.copy()
    height, width = drawn.shape[:2]
    scale, size = np.array([width / image.width, height / image.height]), np.array([width, height])
    for row in shown:
        corners = (ring(row["rotated"] or row["box"]) * scale).round()
        for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            line = np.linspace(start, end, int(np.abs(end - start).max()) + 1).round()
            inside = line[((line >= 0) & (line <= size)).all(axis=1)]
            x, y = np.minimum(inside, size - 1).astype(int).T
            drawn[y, x] = BRIGHT
    return Cell([drawn], [_key(answers, number), ("key", f"{len(shown)} of {len(rows)} boxes have {SHOWN:g} or more")])


def _classes(number: int, picture: Floats, answers: Answers) -> Cell:
    """Return an image with the two classes of the highest mean share over its windows that have data."""
    known = [row["shares"] for row in _of_image(answers, number, CLASSES) if row["shares"] is not None]
    if not known:
        return Cell([picture], [_key(answers, number), ("key", NO_DATA)])
    shares = np.mean(known, axis=0)
    best = np.argsort(-shares)[:2]
    said: list[Line] = [("right", f"{answers.classes[label]} {shares[label]:.0%}") for label in best]
    return Cell([picture], [_key(answers, number), *said])


def _of_image(answers: Answers, number: int, schema: pa.Schema) -> list[dict[str, Any]]:
    """Return the rows of an image from the parts that hold it."""
    parts = by_image(answers)[number]
    tables = [rows_of(answers, part, schema) for part, _ in parts]
    return [row for table in tables for row in table.filter(pc.equal(table["image"], number)).to_pylist()]


def _key(answers: Answers, number: int) -> Line:
    return ("key", answers.images[number].key[-40:])
