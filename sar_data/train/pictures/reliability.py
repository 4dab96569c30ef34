"""The reliability diagram: the share of right predictions by confidence, and the count of predictions."""

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
# Of each kind of task: the labels of both axes.
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
    heading = title if ece is None else f"{title}: expected calibration error {ece:.3f}"
    figure.suptitle("\n".join(textwrap.wrap(heading, CHARACTERS)), fontsize=10, fontweight="bold")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    right, counted = AXES[kind_of(predictions)]
    reliability = reliability_of(predictions, classes)
    _shares(upper, reliability)
    upper.set(ylabel=right, xlim=(0, 1), ylim=(0, 1))
    upper.legend(frameon=False, fontsize=8, loc="upper left", borderaxespad=0.0)
    there = reliability.counts > 0
    lower.bar(_centres()[there], reliability.counts[there], 0.92 / BINS, color=COLOURS[5])
    lower.set(xlabel="confidence", ylabel=counted, yscale="log")
    lower.yaxis.set_major_formatter(lambda count, _: compact(round(count)))
    lower.yaxis.set_minor_formatter(lambda count, _: "")
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    save(figure, path)


def _shares(axes: Axes, reliability: Reliability) -> None:
    there = reliability.counts > 0
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--", label="calibrated", zorder=1)
    axes.bar(_centres()[there], reliability.right[there], 0.92 / BINS, color="#9fc3de", zorder=2)
    # With few units a share is uncertain: the bar of one standard deviation shows by how much.
    axes.errorbar(
        reliability.confidence[there],
        reliability.right[there],
        reliability.deviation[there],
        fmt="o",
        color=COLOURS[0],
        markersize=4,
        linewidth=1,
        label="\n".join(textwrap.wrap(f"± 1 σ over {reliability.units}", CHARACTERS)),
    )


def _centres() -> Any:
    return (np.arange(BINS) + 0.5) / BINS
