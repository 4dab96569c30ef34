"""Sheets of predictions: images, stretched for the eye, with the truth and the predictions of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from matplotlib.colors import to_rgb

from sar_data.record import IGNORE
from sar_data.train.pictures.images import Images
from sar_data.train.pictures.mosaic import CHARACTERS, COLOURS, Cell, Line, draw
from sar_data.train.pictures.stretch import Floats, stretch_images, thin
from sar_data.train.predictions import multilabel, scores, targets
from sar_data.views.palette import legend, palette

Mask = npt.NDArray[Any]
MOST_CELLS = 24
SIGNS = {(0, True): ("wrong", "+"), (1, False): ("missed", "−"), (1, True): ("right", "=")}
"""How a label is marked, by its truth and whether it is predicted."""
_LEGEND = [
    ("+ predicted, not true", COLOURS["wrong"]),
    ("− true, not predicted", COLOURS["missed"]),
    ("= both", COLOURS["right"]),
]
OUTCOMES = {"hits": "#1f9e5a", "misses": "#e08a00", "false alarms": "#d1352b"}  # of a change


def spread(count: int, most: int) -> list[int]:
    """Return at most `most` numbers below `count`, evenly spread, so that a sheet is representative."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(most, count))}) if count else []


def answers(
    path: Path, table: pa.Table, classes: Sequence[str], images: Images, *, units: Mapping[str, str], title: str = ""
) -> None:
    """Draw up to 24 classified samples to the file `path`, spread evenly over the keys; wrong ones are framed.

    Below each is the predicted class with its softmax share and, where that is wrong, the true class; of several labels
    those predicted wrongly (+), those missed (−) and those that are right (=), each with its sigmoid.
    """
    chosen = spread(len(table), MOST_CELLS)
    part = table.take(pa.array(chosen, pa.int64()))
    keys, logits, true = part["key"].to_pylist(), scores(part).astype(np.float64), targets(part)
    several = multilabel(part)
    lines = [(_labels if several else _class)(*row, classes) for row in zip(logits, true, strict=True)]
    pictures, note = stretch_images([image for image, _ in images(keys)], units)
    cells = [
        Cell([picture], [("key", _end(key, CHARACTERS)), *below], any(kind in ("wrong", "missed") for kind, _ in below))
        for picture, key, below in zip(pictures, keys, lines, strict=True)
    ]
    wrong = sum(cell.framed for cell in cells)
    head = f"{title}  ·  {len(cells)} of {len(table):,} samples, {wrong} not right".strip(" ·")
    draw(path, cells, head, note, _LEGEND if several else ())


class Segments(NamedTuple):
    """Keys of segmented samples, their images [(date,) C, H, W], and their true and predicted masks [H, W]."""

    keys: Sequence[str]
    images: Sequence[Floats]
    true: Sequence[Mask]
    predicted: Sequence[Mask]


def segments(
    path: Path,
    shown: Segments,
    classes: Sequence[str],
    changed: Sequence[bool] | None = None,
    *,
    units: Mapping[str, str],
    title: str = "",
) -> None:
    """Draw images, all dates of each, true and predicted masks side by side to the file `path`, with a legend.

    Colours are those of the masks' files; what is ignored is black in the truth. `spread` chooses some ten images.
    Where `changed` says which classes are a change, a last picture shows hits, misses and false alarms.
    """
    dates = [image if image.ndim == 4 else image[None] for image in shown.images]
    pictures, note = stretch_images([date for image in dates for date in image], units)
    remaining = iter(pictures)
    colours: Floats = (palette(len(classes)) / 255).astype(np.float32)
    cells = []
    for key, image, truth, predicted in zip(shown.keys, dates, shown.true, shown.predicted, strict=True):
        known = truth != IGNORE
        right = f"{(truth == predicted)[known].mean():.0%} of its pixels right" if known.any() else "no known pixel"
        masks = [thin(mask).astype(np.uint8) for mask in (truth, predicted)]
        drawn = [*islice(remaining, len(image)), *(colours[mask] for mask in masks)]
        names = [*_dates(len(image)), "truth", "prediction"]
        if changed is not None:
            drawn.append(_outcomes(drawn[len(image) - 1], masks[0], masks[1], changed))
            names.append(", ".join(OUTCOMES))
        lines = [("key", _end(key, 2 * CHARACTERS)), ("key", f"{' · '.join(names)}: {right}")]
        cells.append(Cell(drawn, lines))
    present = {int(label) for mask in (*shown.true, *shown.predicted) for label in np.unique(mask)}
    entries = [*OUTCOMES.items()] if changed is not None else []
    draw(path, cells, title, note, [*legend(classes, present), *entries])


def _dates(count: int) -> list[str]:
    return {1: ["image"], 2: ["before", "after"]}.get(count) or [f"date {number + 1}" for number in range(count)]


def _outcomes(picture: Floats, truth: Mask, predicted: Mask, changed: Sequence[bool]) -> Floats:
    """Return a picture [y, x, 3], faded, and in the colours of OUTCOMES where a change is true or predicted."""
    table = np.zeros(256, bool)
    table[: len(changed)] = changed
    is_true, is_predicted, known = table[truth], table[predicted], truth != IGNORE
    outcomes: Floats = (0.5 + picture / 2).astype(np.float32)
    for colour, where in zip(
        OUTCOMES.values(),
        (is_true & is_predicted, is_true & ~is_predicted, ~is_true & is_predicted & known),
        strict=True,
    ):
        outcomes[where] = to_rgb(colour)
    return outcomes


def _end(key: str, most: int) -> str:
    """Return a key, of a long key its end, which differs most from that of others."""
    return key if len(key) <= most else f"…{key[1 - most :]}"


def _class(logits: npt.NDArray[np.float64], true: int, classes: Sequence[str]) -> list[Line]:
    predicted = int(logits.argmax())
    sure = 1 / np.exp(logits - logits[predicted]).sum()
    kind = "right" if predicted == true else "wrong"
    return [
        (kind, f"{sure:.0%} {classes[predicted]}"),
        *([] if predicted == true else [("missed", f"is {classes[true]}")]),
    ]


def _labels(logits: npt.NDArray[np.float64], true: npt.NDArray[np.int64], classes: Sequence[str]) -> list[Line]:
    lines: list[Line] = []
    share = 1 / (1 + np.exp(-np.clip(logits, -500, 500)))
    for outcome, (kind, sign) in SIGNS.items():
        lines += [
            (kind, f"{sign} {share[i]:.0%} {name}")
            for i, name in enumerate(classes)
            if (int(true[i]), bool(logits[i] > 0)) == outcome
        ]
    return lines or [("right", "no label")]
