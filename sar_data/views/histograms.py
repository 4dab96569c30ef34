"""Histograms of the bands, one panel a band, one line a split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from sar_data.statistics.stats import BandStats
from sar_data.statistics.units import HISTOGRAMS
from sar_data.system.suffixes import PICTURES, check_suffix
from sar_data.views.figure import save

MOST_TITLE = 200  # characters
COARSER = 20  # fine bins in one that is drawn: 0.2 dB
COARSEST = 1000  # bins that are drawn one by one
TAIL = 1e-4  # share of the pixels that may lie outside the drawn range, on either side
AXES = {
    "dB": "backscatter in dB",
    "1": "z-score",
    "minmax": "fraction of a range",
    "power": "power in dB",
    "amplitude": "amplitude in dB (20 log10)",
    "DN": "asinh(DN)",
    "phase": "radians",
}
STEPS = {"dB": "dB", "power": "dB", "amplitude": "dB", "1": "σ", "phase": "radians"}
COLOURS = {"train": "#1b6ca8", "val": "#e08e0b", "test": "#c0392b", "all": "#1b6ca8"}


def histograms(statistics: Mapping[str, BandStats], bands: Sequence[str], title: str, out: Path) -> None:
    """Draw the distribution of every band to the file `out`, one line for each split that has pixels.

    Raises UsageError for another kind of file, TargetError where `out` cannot be written.
    """
    check_suffix(out, PICTURES, name="plot")
    filled = {split: stats for split, stats in statistics.items() if stats.histogram.any()}
    figure = Figure(figsize=(4.4 * len(bands) + 0.4, 3.6), dpi=130, facecolor="white", layout="constrained")
    figure.suptitle(title[:MOST_TITLE], fontsize=10, fontweight="bold")
    units = next(iter(statistics.values())).units
    axes = np.atleast_1d(figure.subplots(1, len(bands), sharey=True))
    for i, (band, ax) in enumerate(zip(bands, axes, strict=True)):
        ends = []
        first, width, bins = HISTOGRAMS[units[i]]
        coarser = COARSER if bins > COARSEST else 1
        edges = first + width * coarser * np.arange(bins // coarser + 1)
        for split, stats in filled.items():
            counts = stats.histogram[i, 1 : bins + 1].reshape(-1, coarser).sum(axis=1)
            total = max(int(stats.histogram[i].sum()), 1)
            ax.stairs(100 * counts / total, edges, color=COLOURS.get(split, "0.3"), label=split, linewidth=1.2)
            inside = np.flatnonzero((np.cumsum(counts) > TAIL * total) & (np.cumsum(counts[::-1])[::-1] > TAIL * total))
            ends += [edges[inside[0]], edges[inside[-1] + 1]] if len(inside) else []
        if ends:
            ax.set_xlim(min(ends), max(ends))
        ax.set_title(band, fontsize=10)
        ax.set_xlabel(AXES.get(units[i], units[i]))
        ax.set_ylabel(f"% of pixels in {width * coarser:g} {STEPS.get(units[i], 'of the axis')}")
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="y", color="0.9")
        ax.set_axisbelow(True)
    axes[0].set_ylim(bottom=0)
    if len(filled) > 1:
        axes[-1].legend(frameon=False)
    save(figure, out)
