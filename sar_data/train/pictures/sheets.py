"""Sheets of predictions: images, stretched for the eye, with what is true and what a model says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sar_data.record import IGNORE
from sar_data.train.pictures.images import Images
from sar_data.train.pictures.mosaic import CHARACTERS, Cell, Line, draw
from sar_data.train.pictures.stretch import Floats, stretched, thinned
from sar_data.train.predictions import multilabel, scores, targets
from sar_data.views.palette import legend, palette

Mask = npt.NDArray[Any]
MOST_CELLS = 24


def spread(count: int, most: int) -> list[int]:
    """Return at most `most` numbers below `count`, evenly spread: a sheet shows a fair draw and not the worst."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(most, count))}) if count else []


def answers(
    path: Path, table: pa.Table, classes: Sequence[str], images: Images, *, units: Mapping[str, str], title: str = ""
) -> None:
    """Draw up to 24 classified samples to the file `path`, spread evenly over the keys; wrong ones are framed.

    Below each is the class said with its softmax share and, where that is wrong, the true one; of several labels those
    said wrongly (+), those missed (−) and those that are right, each with its sigmoid.
    """
    chosen = spread(len(table), MOST_CELLS)
    part = table.take(pa.array(chosen, pa.int64()))
    keys, logits, true = part["key"].to_pylist(), scores(part).astype(np.float64), targets(part)
    several = multilabel(part)
    lines = [(_labels if several else _class)(*row, classes) for row in zip(logits, true, strict=True)]
    pictures, note = stretched([image for image, _ in images(keys)], units)
    cells = [
        Cell([picture], [("key", _end(key, CHARACTERS)), *below], any(kind in ("wrong", "missed") for kind, _ in below))
        for picture, key, below in zip(pictures, keys, lines, strict=True)
    ]
    wrong = sum(cell.framed for cell in cells)
    head = f"{title}  ·  {len(cells)} of {len(table):,} samples, {wrong} not right".strip(" ·")
    draw(path, cells, head, note)


def segments(
    path: Path,
    keys: Sequence[str],
    images: Sequence[Floats],
    true: Sequence[Mask],
    predicted: Sequence[Mask],
    classes: Sequence[str],
    *,
    units: Mapping[str, str],
    title: str = "",
) -> None:
    """Draw images [C, H, W], true and predicted masks [H, W] side by side to the file `path`, with a legend.

    Colours are those of the masks' files; what is ignored is black in the truth. `spread` chooses some ten images.
    """
    pictures, note = stretched(images, units)
    colours: Floats = (palette(len(classes)) / 255).astype(np.float32)
    cells = []
    for key, picture, truth, said in zip(keys, pictures, true, predicted, strict=True):
        known = truth != IGNORE
        right = f"{(truth == said)[known].mean():.0%} of its pixels right" if known.any() else "no known pixel"
        drawn = [picture, *(colours[thinned(mask).astype(np.uint8)] for mask in (truth, said))]
        lines = [("key", _end(key, 2 * CHARACTERS)), ("key", f"image · truth · prediction: {right}")]
        cells.append(Cell(drawn, lines))
    present = {int(label) for mask in (*true, *predicted) for label in np.unique(mask)}
    draw(path, cells, title, note, legend(classes, present))


def _end(key: str, most: int) -> str:
    """Return a key, of a long one its end, which tells it from its neighbours."""
    return key if len(key) <= most else f"…{key[1 - most :]}"


def _class(logits: npt.NDArray[np.float64], true: int, classes: Sequence[str]) -> list[Line]:
    said = int(logits.argmax())
    sure = 1 / np.exp(logits - logits[said]).sum()
    kind = "right" if said == true else "wrong"
    return [(kind, f"{sure:.0%} {classes[said]}"), *([] if said == true else [("missed", f"is {classes[true]}")])]


def _labels(logits: npt.NDArray[np.float64], true: npt.NDArray[np.int64], classes: Sequence[str]) -> list[Line]:
    found: list[Line] = []
    share = 1 / (1 + np.exp(-np.clip(logits, -500, 500)))
    kinds = {(0, True): ("wrong", "+"), (1, False): ("missed", "−"), (1, True): ("right", "=")}
    for wanted, (kind, sign) in kinds.items():
        found += [
            (kind, f"{sign} {share[i]:.0%} {name}")
            for i, name in enumerate(classes)
            if (int(true[i]), bool(logits[i] > 0)) == wanted
        ]
    return found or [("right", "no label")]
