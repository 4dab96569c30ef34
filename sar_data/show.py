"""Contact sheets: some patches of a build in one picture, with their labels."""

from __future__ import annotations

import io
import math
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sar_data import durable
from sar_data.bake import physical
from sar_data.errors import UsageError, unknown
from sar_data.manifest import Manifest
from sar_data.sealed import Build, places

Floats = npt.NDArray[np.float32]

STRETCH = (2, 98)  # percentiles
PAIRS = (("VV", "VH"), ("HH", "HV"))  # co- and cross-polarised: their difference in dB is a ratio in power
MASKED_GREY = 0.5
CELL, GAP, LINE, TOP, SIDE = 2.1, 0.16, 0.115, 0.62, 0.2  # inches
CHARACTERS, MOST_LINES = 46, 7  # of a label's line; of a patch's labels


def contact_sheet(build: Build, out: Path, *, split: str = "train", count: int = 16, seed: int = 0) -> int:
    """Draw `count` patches of a split to the PNG `out`, chosen by `seed`; return how many there were to draw.

    Raises UsageError for a split that does not exist or is empty, TargetError where `out` cannot be written.
    """
    if out.suffix.lower() != ".png":
        raise UsageError(f"--out {out}: expected a file name ending in .png, found {out.suffix or 'no ending'}")
    manifest = build.manifest
    if split not in manifest.splits:
        raise unknown("split", split, manifest.splits)
    if not manifest.splits[split].count:
        full = [name for name, document in manifest.splits.items() if document.count]
        raise UsageError(f"split {split} of this build is empty. There are: {', '.join(full)}")
    rows = build.index()
    rows = rows.filter(np.asarray(rows["split"]) == split).sort_by("key")
    chosen = np.random.default_rng(seed).permutation(len(rows))[:count]
    rows = rows.take(np.sort(chosen))
    with build.reader() as reader:
        images = [physical(reader.read(place), manifest.storage.scale) for place in places(rows)]
    bands = [band.name for band in manifest.bands]
    pictures, note = stretched(np.stack(images).astype(np.float32), bands, _unit(manifest))
    head = f"{manifest.title} · {split}, {len(rows)} of {manifest.splits[split].count} patches, seed {seed}"
    figure = _sheet(pictures, [_wrapped(labels or []) for labels in rows["labels"].to_pylist()], head, note)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png")
    durable.write(out, buffer.getvalue())
    return len(rows)


def stretched(images: Floats, bands: list[str], unit: str) -> tuple[Floats, str]:
    """Return pictures [sample, y, x, 1 or 3] in 0–1 of images [sample, band, y, x], and what was done in words.

    Each channel is stretched by its 2–98 % over all samples together, so that patches compare. Masked is grey.
    """
    pair = next((pair for pair in PAIRS if set(pair) <= set(bands)), None)
    if pair is None:
        channels = {bands[0]: images[:, 0]}
    else:
        co, cross = (images[:, bands.index(name)] for name in pair)
        channels = {pair[0]: co, pair[1]: cross, f"{pair[0]}−{pair[1]}": co - cross}
    pictures, notes = [], []
    for name, values in channels.items():
        valid = np.isfinite(values)
        low, high = np.percentile(values[valid], STRETCH) if valid.any() else (0.0, 1.0)
        scaled = np.clip((values - low) / max(high - low, 1e-6), 0, 1)
        pictures.append(np.where(valid, scaled, MASKED_GREY))
        notes.append(f"{name} {low:.1f} to {high:.1f}".replace("-", "−") + f" {unit}")
    colours = " · ".join(f"{c} {n}" for c, n in zip("RGB", notes, strict=True)) if pair else f"grey {notes[0]}"
    return np.stack(pictures, axis=-1).astype(np.float32), f"{colours}  ({STRETCH[0]}–{STRETCH[1]} % over the sheet)"


def _unit(manifest: Manifest) -> str:
    return {"1": "σ", "minmax": "of the train range"}.get(manifest.bands[0].unit, manifest.bands[0].unit)


def _wrapped(labels: list[str]) -> list[str]:
    """Return the lines under a patch, one label after the other; what has no room is counted."""
    lines: list[str] = []
    for i, label in enumerate(labels):
        wrapped = textwrap.wrap(label, CHARACTERS, initial_indent="· ", subsequent_indent="  ")
        if len(lines) + len(wrapped) > MOST_LINES - (i + 1 < len(labels)):
            return [*lines, f"· and {len(labels) - i} more"]
        lines += wrapped
    return lines


def _sheet(pictures: Floats, labels: list[list[str]], head: str, note: str) -> Figure:
    """Lay patches out in a near-square, every row as high as its longest labels need."""
    columns = min(max(math.ceil(math.sqrt(len(pictures))), 3), 8)
    rows = [labels[i : i + columns] for i in range(0, len(labels), columns)]
    heights = [CELL + GAP + LINE * (1 + max(map(len, row))) for row in rows]
    width, height = 2 * SIDE + columns * (CELL + GAP) - GAP, TOP + sum(heights)
    figure = Figure(figsize=(width, height), dpi=160, facecolor="white")
    style: dict[str, Any] = {"ha": "left", "va": "top", "color": "0.1"}
    figure.text(SIDE / width, 1 - 0.14 / height, head, fontsize=10, fontweight="bold", **style)
    figure.text(SIDE / width, 1 - 0.36 / height, note, fontsize=7.5, **style)
    top = height - TOP
    for row, (tall, cells) in enumerate(zip(heights, rows, strict=True)):
        for column, lines in enumerate(cells):
            left = SIDE + column * (CELL + GAP)
            axes = figure.add_axes((left / width, (top - CELL) / height, CELL / width, CELL / height))
            picture = pictures[row * columns + column]
            picture = picture if picture.shape[-1] == 3 else picture[..., 0]
            axes.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set_axis_off()
            text = "\n".join(lines)
            figure.text(left / width, (top - CELL - 0.05) / height, text, fontsize=6.5, linespacing=1.2, **style)
        top -= tall
    return figure
