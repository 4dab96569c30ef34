"""The reliability diagram: the share of right answers by confidence, and how many answers have it."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sar_data.train.metrics.calibration import Reliability, reliability_of
from sar_data.train.pictures import COLOURS, DPI, compact
from sar_data.train.predictions import BINS, kind_of
from sar_data.views.figure import save

CHARACTERS = 42  # of a line of the title and of the legend
# Of each kind of task: what is right, and what is counted.
AXES = {
    "multiclass": ("share of right answers", "samples"),
    "multilabel": ("share of positives", "labels"),
    "segmentation": ("share of right pixels", "pixels"),
    "detection": ("precision at IoU 0.5", "boxes"),
}


def draw(path: Path, predictions: pa.Table, classes: Sequence[str], metrics: Mapping[str, Any], title: str) -> None:
    """Draw the reliability of a split's predictions, whose `metrics` are known, to the file `path`."""
    ece = metrics["calibration"]["ece"]
    figure = Figure(figsize=(4.4, 5.6), dpi=DPI, facecolor="white", layout="constrained")
    told = title if ece is None else f"{title}: expected calibration error {ece:.3f}"
    figure.suptitle("\n".join(textwrap.wrap(told, CHARACTERS)), fontsize=10, fontweight="bold")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    right, counted = AXES[kind_of(predictions)]
    found = reliability_of(predictions, classes)
    _shares(upper, found)
    upper.set(ylabel=right, xlim=(0, 1), ylim=(0, 1))
    upper.legend(frameon=False, fontsize=8, loc="upper left", borderaxespad=0.0)
    there = found.counts > 0
    lower.bar(_centres()[there], found.counts[there], 0.92 / BINS, color=COLOURS[5])
    lower.set(xlabel="confidence", ylabel=counted, yscale="log")
    lower.yaxis.set_major_formatter(lambda count, _: compact(round(count)))
    lower.yaxis.set_minor_formatter(lambda count, _: "")
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    save(figure, path)


def _shares(axes: Axes, found: Reliability) -> None:
    there = found.counts > 0
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--", label="calibrated", zorder=1)
    axes.bar(_centres()[there], found.right[there], 0.92 / BINS, color="#9fc3de", zorder=2)
    # Of few places the share says little: a bar of one deviation says how little.
    axes.errorbar(
        found.confidence[there],
        found.right[there],
        found.deviation[there],
        fmt="o",
        color=COLOURS[0],
        markersize=4,
        linewidth=1,
        label="\n".join(textwrap.wrap(f"± 1 σ over {found.units}", CHARACTERS)),
    )


def _centres() -> Any:
    return (np.arange(BINS) + 0.5) / BINS
