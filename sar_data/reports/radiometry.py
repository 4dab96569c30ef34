"""The radiometry: histograms a band on the unit's axis and in power, figures by split, masked pixels by reason."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sar_data.reports.chart import Axis, path, stairs
from sar_data.sealed.documents import BandStatistics, DomainStatistics
from sar_data.sealed.manifest import Manifest
from sar_data.sealed.strata import Stratum
from sar_data.split.policy import SPLITS
from sar_data.statistics.sketch import Sketch

Floats = npt.NDArray[np.float64]
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 360, 170, 34, 34, 8  # of a histogram, in units of its own
BINS = 96
MOST_BANDS = 16  # that are shown
ENDS = (0.001, 0.999)  # shares of train's pixels between which an axis reaches
MOST_POWER = 0.98  # share of train's pixels that the axis of power shows: its tail is long
AXES = {"1": "z-score", "minmax": "fraction of a range", "DN": "asinh(DN)", "phase": "radians"}
DECIBELS = ("dB", "power", "amplitude")  # units whose axis is dB
FIGURES = ("centre", "std", "min", "p5", "p50", "p95", "max")


@dataclass(frozen=True)
class Histogram:
    """A band's distribution: one path a split, ticks of both axes, and where train's mean and ± std are, or None."""

    band: str
    unit: str
    lines: dict[str, str]
    x: list[tuple[float, str]]
    y: list[tuple[float, str]]
    mean: float | None
    std: tuple[float, float] | None


def histograms(manifest: Manifest, parts: Mapping[str, Stratum]) -> list[Histogram]:
    """Return a histogram a band on its unit's axis and, of calibrated units, one of power."""
    charts = []
    for band in manifest.bands[:MOST_BANDS]:
        sketches = {name: part.sketches[band.name] for name, part in parts.items()}
        known = {name: sketch for name, sketch in sketches.items() if sketch is not None}
        if not known:
            continue
        first = next(iter(known.values()))
        low, high = (float(np.interp(end, first.shares, first.nodes)) for end in ENDS)
        if not math.isfinite(high - low):
            continue  # of values that no image has
        unit = "dB" if band.unit in DECIBELS else AXES.get(band.unit, band.unit)
        figures = _train(manifest, band.name)
        on_axis = None if figures is None else figures.db if band.unit in ("power", "amplitude") else figures.stored
        charts.append(_drawn(band.name, unit, known, Axis(low, max(high, low + 1e-6), LEFT, WIDTH), on_axis))
        if band.unit in DECIBELS:
            powers = {name: _in_power(sketch) for name, sketch in known.items()}
            first = next(iter(powers.values()))
            most = float(np.interp(MOST_POWER, first.shares, first.nodes))
            of_power = None if figures is None else figures.stored if band.unit == "power" else figures.power
            charts.append(_drawn(band.name, "power", powers, Axis(0, max(most, 1e-12), LEFT, WIDTH), of_power))
    return charts


def _train(manifest: Manifest, band: str) -> BandStatistics | None:
    train = (manifest.statistics or {}).get("train")
    return None if train is None else train.bands.get(band)


def _in_power(sketch: Sketch) -> Sketch:
    """Return a distribution on an axis of dB as that of the power."""
    return Sketch("power", 10 ** (sketch.nodes / 10), sketch.shares)


def _drawn(band: str, unit: str, known: Mapping[str, Sketch], x: Axis, figures: DomainStatistics | None) -> Histogram:
    edges = np.linspace(x.low, x.high, BINS + 1)
    shares = {name: 100 * np.diff(np.interp(edges, sketch.nodes, sketch.shares)) for name, sketch in known.items()}
    most = max(float(heights.max()) for heights in shares.values())
    y = Axis(0, 1.05 * max(most, 1e-9), HEIGHT - BOTTOM, TOP)
    lines = {}
    for name, heights in shares.items():
        outline = stairs(heights, edges)
        lines[name] = path(np.column_stack([x.of(outline[:, 0]), y.of(outline[:, 1])]))
    mean, std = (None, None) if figures is None else (figures.mean, figures.std)
    if unit == AXES["DN"] or mean is None or not x.low <= mean <= x.high:
        return Histogram(band, unit, lines, x.ticks(), y.ticks(4), None, None)  # the mean of a DN is not on its axis
    ends = [min(max(mean + sign * (std or 0), x.low), x.high) for sign in (-1, 1)]
    return Histogram(band, unit, lines, x.ticks(), y.ticks(4), x.at(mean), (x.at(ends[0]), x.at(ends[1])))


@dataclass(frozen=True)
class Figures:
    """Figures of a band in a unit: a row a figure, a column a split."""

    band: str
    unit: str
    splits: list[str]
    rows: list[tuple[str, list[float | None]]]


def figures(manifest: Manifest) -> list[Figures]:
    """Return the figures of each band in each domain that it has."""
    splits = [name for name in SPLITS if name in (manifest.statistics or {}) and manifest.splits[name].count]
    tables = []
    for band in manifest.bands[:MOST_BANDS]:
        whole = [(manifest.statistics or {})[name].bands[band.name] for name in splits]
        for domain in ("stored", "db", "power"):
            parts = [getattr(part, domain) for part in whole]
            if parts and parts[0] is not None and (domain == "stored" or parts[0].unit != whole[0].stored.unit):
                rows = [(name, [_value(part, name) for part in parts]) for name in FIGURES]
                tables.append(Figures(band.name, parts[0].unit, splits, rows))
    return tables


def _value(part: DomainStatistics | None, name: str) -> float | None:
    if part is None:
        return None
    value = part.percentiles.get(name) if name in part.percentiles else getattr(part, name, None)
    return None if value is None else float(value)


@dataclass(frozen=True)
class Masked:
    """Pixels of a band in a split: all, those masked by reason, and exact zeros, None where they were not counted."""

    band: str
    split: str
    pixels: int
    reasons: dict[str, int]
    zeros: int | None


def count_masked(manifest: Manifest) -> list[Masked]:
    """Return the masked pixels of each band and split."""
    counts = []
    for band in manifest.bands[:MOST_BANDS]:
        for name in SPLITS:
            statistics = (manifest.statistics or {}).get(name)
            if statistics is None or not manifest.splits[name].count:
                continue
            figures = statistics.bands[band.name]
            lost = {reason: count for reason, count in figures.masked.items() if count}
            counts.append(Masked(band.name, name, figures.count + sum(lost.values()), lost, figures.zeros))
    return counts
