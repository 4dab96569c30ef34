"""Pictures of a run: curves over its epochs, and the confusion matrix with its numbers as CSV."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sar_data.system import durable
from sar_data.text import csv_lines
from sar_data.train.metrics import title_of
from sar_data.views.figure import save

Floats = npt.NDArray[np.float64]
COLOURS = ("#1b6ca8", "#e08e0b", "#2a8f5b", "#c0392b", "#7b4fa3", "#5f6a72")
FIGURES = (  # metrics that are drawn
    *("oa", "aa", "map_micro", "map_macro", "f1_change", "miou", "ap", "ap50", "pixel_accuracy", "f1_macro"),
)
MOST_CHARACTERS = 26  # of a class's name beside the matrix
DPI = 130


def curves(path: Path, rows: Sequence[Mapping[str, Any]], title: str = "") -> None:
    """Draw the log of a run to the file `path`: losses, metrics of the split that chooses the epoch, learning rate.

    `rows` are dicts with epoch, loss and lr; further numbers are named after their split, such as val_oa or val_loss,
    and may be missing in some rows. A value that is no number, such as None, leaves a gap.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    losses = [name for name in names if name == "loss" or name.endswith("_loss")]
    scored = [name for what in FIGURES for name in names if name.partition("_")[2] == what]
    panels = {"loss": losses, "metric": scored, "learning rate": ["lr"]}
    shown = {label: series for label, series in panels.items() if series}
    figure = Figure(figsize=(4.4 * len(shown) + 0.3, 3.5), dpi=DPI, facecolor="white", layout="constrained")
    figure.suptitle(title, fontsize=10, fontweight="bold")
    last = max((row["epoch"] for row in rows), default=1)
    for (label, series), axes in zip(shown.items(), np.atleast_1d(figure.subplots(1, len(shown))), strict=True):
        for name, colour in zip(series, cycle(COLOURS), strict=False):
            _line(axes, rows, name, colour)
        axes.set(xlabel="epoch", ylabel=label, xlim=(0, last + max(0.5, 0.02 * last)))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="0.9")
        axes.set_axisbelow(True)
        if label != "learning rate" and rows:
            axes.legend(frameon=False, fontsize=8)
    save(figure, path)


def _line(axes: Axes, rows: Sequence[Mapping[str, Any]], name: str, colour: str) -> None:
    """Draw one number by epoch; the legend has the best value of a metric and the last of a loss."""
    values = [(row["epoch"], row[name]) for row in rows if isinstance(row.get(name), int | float)]
    known = [(epoch, value) for epoch, value in values if math.isfinite(value)]
    split, _, what = name.partition("_")
    label = f"{split} {title_of(what)}" if what else f"train {name}"
    if known:
        best = what in FIGURES
        epoch, value = max(known, key=lambda pair: pair[1]) if best else known[-1]
        label += f"  {'best ' if best else ''}{value:.3f}"
        axes.plot([epoch], [value], "o", color=colour, markersize=4.5 if best else 0, zorder=3)
    epochs, height = zip(*known, strict=True) if known else ((), ())
    few = len(known) < 25
    axes.plot(epochs, height, color=colour, label=label, linewidth=1.4, marker="." if few else "", markersize=4)


def confusion(path: Path, counts: npt.NDArray[np.int64], classes: Sequence[str], title: str = "") -> None:
    """Draw confusion counts [target, predicted] to the file `path`, and write them beside it as .csv.

    A cell's colour is its share of the row, so that the diagonal is recall; its number is the count. Rows without
    support are hatched.
    """
    write_csv(path.with_suffix(".csv"), counts, classes)
    size = len(classes)
    cell = 0.52 if size <= 12 else 0.38 if size <= 25 else 0.3  # inches
    names = [name if len(name) <= MOST_CHARACTERS else f"{name[: MOST_CHARACTERS - 1]}…" for name in classes]
    figure = Figure(figsize=(cell * size, cell * size), dpi=DPI, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold", pad=20)
    support = counts.sum(axis=1)
    shares = counts / np.maximum(support, 1).reshape(-1, 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    points = min(8.0, 72 * cell / 3.6)
    for row, column in np.argwhere(counts > 0):
        axes.text(
            column,
            row,
            compact(int(counts[row, column])),
            ha="center",
            va="center",
            fontsize=points,
            color="white" if shares[row, column] > 0.55 else "0.15",
            in_layout=False,
        )
    for row in np.flatnonzero(support == 0):
        axes.axhspan(row - 0.5, row + 0.5, facecolor="0.94", edgecolor="0.75", hatch="////", linewidth=0)
    labels = [f"{name}  {compact(int(count))}" for name, count in zip(names, support, strict=True)]
    small = 8 if size <= 25 else 7
    axes.set_xticks(range(size), names, rotation=90, fontsize=small)
    axes.set_yticks(range(size), labels, fontsize=small)
    axes.tick_params(length=0)
    axes.set_xticks(np.arange(size + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(size + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="0.88", linewidth=0.5)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_color("0.7")
    axes.set_xlabel("predicted", fontsize=9)
    axes.set_ylabel("true, with support", fontsize=9)
    right = axes.secondary_yaxis("right")
    recalls = ["–" if n == 0 else f"{100 * shares[i, i]:.1f} %" for i, n in enumerate(support)]
    right.set_yticks(range(size), recalls, fontsize=small)
    right.tick_params(length=0)
    right.spines[:].set_visible(False)
    axes.text(1.02, 1.0, "recall", transform=axes.transAxes, fontsize=small, color="0.4", va="bottom")
    save(figure, path, bbox_inches="tight", pad_inches=0.15)


def write_csv(path: Path, counts: npt.NDArray[np.int64], classes: Sequence[str]) -> None:
    """Write confusion counts with a line a true class and a column a predicted one."""
    lines = ([name, *map(int, row)] for name, row in zip(classes, counts, strict=True))
    durable.write(path, csv_lines([["true \\ predicted", *classes], *lines]).encode())


def compact(count: int) -> str:
    """Return a count in at most four characters: 999, 1.2k, 12k, 3.4M."""
    if count < 1000:
        return str(count)
    power = next(i for i, unit in enumerate("kMGT", 1) if count < 999.5 * 1000**i or unit == "T")
    value = count / 1000**power
    return f"{value:.1f}{'kMGT'[power - 1]}" if value < 9.95 else f"{value:.0f}{'kMGT'[power - 1]}"
