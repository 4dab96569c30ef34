"""Charts of a report of runs: curves over epochs, and confidence against the share of right answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sar_data.reports.chart import Axis, path
from sar_data.train.metrics import title_of
from sar_data.train.metrics.calibration import Reliability
from sar_data.train.predictions import BINS

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 360, 180, 46, 34, 8  # units of a chart
SCORES = (
    "oa",
    "map_micro",
    "f1_change",
    "miou",
    "ap",
    "aa",
    "f1_macro",
)  # of these the first two that a log has are drawn
MOST = 1e12  # of a value that is drawn
KINDS = ("train", "val", "test")  # colours of lines: one's own is that of its split


@dataclass(frozen=True)
class Curves:
    """Lines of one chart, (name, split, path) each, and ticks of both axes; `label` is what is drawn upwards."""

    label: str
    lines: list[tuple[str, str, str]]
    x: list[tuple[float, str]]
    y: list[tuple[float, str]]


def curves(rows: Sequence[Mapping[str, Any]]) -> list[Curves]:
    """Return charts of the losses, of figures of the split that is chosen on, and of the learning rate."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    losses = [name for name in names if name == "loss" or name.endswith("_loss")]
    scores = [name for what in SCORES for name in names if name.partition("_")[2] == what][:2]
    charts = {"loss": losses, "score": scores, "learning rate": [name for name in names if name == "lr"]}
    return [one for label, found in charts.items() if (one := _curves(label, rows, found)) is not None]


def _curves(label: str, rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Curves | None:
    values = {name: _known(rows, name) for name in names}
    values = {name: known for name, known in values.items() if known}
    heights = [value for known in values.values() for _, value in known]
    if not heights:
        return None
    last = max(epoch for known in values.values() for epoch, _ in known)
    low, high = min(0.0, *heights), max(heights)
    x, y = Axis(0, max(last, 1), LEFT, WIDTH - 8), Axis(low, max(high, low + 1e-9) * 1.02, HEIGHT - BOTTOM, TOP)
    lines = []
    for number, (name, known) in enumerate(values.items()):
        points = np.array(known, np.float64)
        split, _, what = name.partition("_")
        kind = KINDS[min(number, 2)] if len(values) > 1 else KINDS[0]
        shown = f"{split} {title_of(what)}" if what else "train loss" if name == "loss" else label
        lines.append((shown, kind, path(np.column_stack([x.of(points[:, 0]), y.of(points[:, 1])]))))
    whole = [(at, text) for at, text in x.ticks(5) if "." not in text]
    return Curves(label, lines, whole, y.ticks(4))


def _known(rows: Sequence[Mapping[str, Any]], name: str) -> list[tuple[float, float]]:
    found = []
    for row in rows:
        epoch, value = row["epoch"], row.get(name)
        if isinstance(value, int | float) and -MOST < value < MOST and abs(epoch) < MOST:
            found.append((float(epoch), float(value)))
    return found


@dataclass(frozen=True)
class Bins:
    """A reliability diagram: bars (left, top, width, height) and the points (x, y) of mean confidence."""

    bars: list[tuple[float, float, float, float]]
    points: list[tuple[float, float]]
    x: list[tuple[float, str]]
    y: list[tuple[float, str]]


def reliability(found: Reliability) -> Bins:
    """Return the diagram of bins of confidence."""
    x, y = Axis(0, 1, LEFT, WIDTH - 8), Axis(0, 1, HEIGHT - BOTTOM, TOP)
    there = np.flatnonzero(found.counts > 0).tolist()
    width = round((WIDTH - 8 - LEFT) / BINS - 2, 1)
    tops = [y.at(float(found.right[i])) for i in there]
    bars = [(x.at(i / BINS) + 1, top, width, round(y.start - top, 1)) for i, top in zip(there, tops, strict=True)]
    points = [(x.at(float(found.confidence[i])), top) for i, top in zip(there, tops, strict=True)]
    return Bins(bars, points, x.ticks(5), y.ticks(5))
