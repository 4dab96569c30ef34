"""The reliability diagram: the share of right answers by confidence, and how many answers have it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from sar_data.train.metrics.calibration import BINS, Reliability
from sar_data.train.pictures import COLOURS, DPI, compact, save


def draw(path: Path, found: Reliability, title: str, *, right: str) -> None:
    """Draw bins of confidence to the PNG `path`; `right` names the upper axis, such as "share of right answers"."""
    figure = Figure(figsize=(4.4, 5.6), dpi=DPI, facecolor="white", layout="constrained")
    figure.suptitle(title, fontsize=10, fontweight="bold")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    there = found.counts > 0
    centres = (np.arange(BINS) + 0.5) / BINS
    upper.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--", label="calibrated", zorder=1)
    upper.bar(centres[there], found.right[there], 0.92 / BINS, color="#9fc3de", zorder=2)
    # Of few answers the share says little: a bar of one deviation of the binomial tells how little.
    share, counts = found.right[there], found.counts[there]
    deviation = np.sqrt(share * (1 - share) / counts)
    upper.errorbar(
        found.confidence[there],
        share,
        deviation,
        fmt="o",
        color=COLOURS[0],
        markersize=4,
        linewidth=1,
        label="± 1 σ, if independent",
    )
    upper.set(ylabel=right, xlim=(0, 1), ylim=(0, 1))
    upper.legend(frameon=False, fontsize=8, loc="upper left", borderaxespad=0.0)
    lower.bar(centres[there], found.counts[there], 0.92 / BINS, color=COLOURS[5])
    lower.set(xlabel="confidence", ylabel="answers", yscale="log")
    lower.yaxis.set_major_formatter(lambda count, _: compact(round(count)))
    lower.yaxis.set_minor_formatter(lambda count, _: "")
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    save(figure, path)
