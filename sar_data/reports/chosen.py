"""Which samples a report shows: some of each class, and the oddest ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sar_data.reports.rows import Rows, figure
from sar_data.sealed.manifest import Manifest
from sar_data.statistics.stats import REASONS

Floats = npt.NDArray[np.float64]
MOST_CLASSES, MOST_SAMPLES, A_CLASS, AN_ODDITY = 48, 96, 6, 6
LOOKED_AT = 20_000  # samples among which those of a class are looked for: the first of each split are a fair draw


@dataclass(frozen=True)
class Sheet:
    """Samples that are shown together: their title, and what stands below each."""

    title: str
    keys: dict[str, str]


def of_classes(rows: Rows) -> list[Sheet]:
    """Return a sheet for each class, the most frequent first, of train's samples if it has any; else one of all."""
    train = rows.splits["train"]
    table = (train if len(train) else rows.index).slice(0, LOOKED_AT)
    samples: dict[str, list[str]] = {}
    for key, labels in zip(table["key"].to_pylist(), table["labels"].to_pylist(), strict=True):
        for label in dict.fromkeys(labels or ()):
            samples.setdefault(label, []).append(key)
    if not samples:
        return [Sheet("", dict.fromkeys(table["key"].slice(0, 2 * A_CLASS).to_pylist(), ""))]
    most = sorted(samples.items(), key=lambda item: (-len(item[1]), item[0]))[:MOST_CLASSES]
    count = min(A_CLASS, max(2, MOST_SAMPLES // len(most)))
    if len(samples) == 1:
        count = 2 * A_CLASS
    shown: set[str] = set()
    sheets = []
    for label, keys in most:
        fresh = [key for key in keys if key not in shown]
        chosen = (fresh + [key for key in keys if key in shown])[:count]
        shown |= set(chosen)
        sheets.append(Sheet(label, dict.fromkeys(chosen, "")))
    return sheets


def oddest(manifest: Manifest, rows: Rows) -> list[Sheet]:
    """Return sheets of the samples with the least and most looks, most masked pixels, brightest, and duplicates."""
    sheets = [_duplicates(rows.index)]
    if (samples := rows.samples) is not None and len(samples):
        band = manifest.bands[0]
        power = "power_" if band.unit in ("dB", "amplitude") else ""
        if band.unit in ("dB", "power", "amplitude"):
            means, variances = (figure(samples, rows.bands, f"{power}{name}") for name in ("mean", "variance"))
            with np.errstate(divide="ignore", invalid="ignore"):
                looks = np.where(variances > 0, means**2 / variances, np.nan)
            sheets += [_extreme("fewest looks", rows.index, looks, "ENL {:.2f}")]
            sheets += [_extreme("most looks", rows.index, looks, "ENL {:.2f}", largest=True)]
        counts = figure(samples, rows.bands, "count")
        lost = np.sum([figure(samples, rows.bands, name) for name in REASONS], axis=0)
        shares = np.where(lost > 0, lost / np.maximum(counts + lost, 1), np.nan)
        sheets += [_extreme("most masked", rows.index, shares, "{:.1%}", largest=True)]
        unit = "" if band.unit == "1" else f" {band.unit}"
        means = figure(samples, rows.bands, "mean")
        sheets += [_extreme("brightest", rows.index, means, f"{{:.4g}}{unit}", largest=True)]
    return [sheet for sheet in sheets if sheet.keys]


def _extreme(title: str, index: pa.Table, values: Floats, text: str, *, largest: bool = False) -> Sheet:
    """Return the samples with the least values, or the largest, and these in words; NaN is neither."""
    known = np.flatnonzero(np.isfinite(values))
    ranks = -values[known] if largest else values[known]
    if len(known) > AN_ODDITY:
        few = np.argpartition(ranks, AN_ODDITY)[:AN_ODDITY]
        known, ranks = known[few], ranks[few]
    order = known[np.argsort(ranks, kind="stable")]
    keys = index["key"].take(order).to_pylist()
    texts = (text.format(value).replace("-", "−") for value in values[order])
    return Sheet(title, dict(zip(keys, texts, strict=True)))


def _duplicates(index: pa.Table) -> Sheet:
    """Return samples whose stored pixels are, bit for bit, those of another one, group after group."""
    counts = pc.value_counts(index["xxh3"])
    twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values").slice(0, AN_ODDITY // 2)
    rows = index.filter(pc.is_in(index["xxh3"], twice))
    pairs = sorted(zip(rows["xxh3"].to_pylist(), rows["key"].to_pylist(), strict=True))[: 2 * AN_ODDITY]
    return Sheet("duplicates", {key: digest[:8] for digest, key in pairs})
