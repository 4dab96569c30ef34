"""Metrics of masks by event: a model that maps a flood well may fail at the next."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from sar_data.train.metrics.areas import counted_figures
from sar_data.train.predictions import changes, confusions

MOST = 100  # events; a larger number are tiles, not events


def by_event(table: pa.Table) -> dict[str, dict[str, Any]]:
    """Return {event: {"count": samples, metric: value}} of segmented images.

    The event of a sample is its group, else its place. The result is empty where a sample has neither, where no event
    has two samples, and where there are more than 100.
    """
    names = [
        group or place for group, place in zip(*(_column(table, name) for name in ("group", "place")), strict=True)
    ]
    events = sorted({name for name in names if name is not None})
    if None in names or not 0 < len(events) <= min(MOST, len(names) - 1):
        return {}
    counts, changed = confusions(table), changes(table)
    rows = np.array([events.index(name) for name in names])
    parts = ((event, counts[rows == number]) for number, event in enumerate(events))
    return {event: {"count": len(part), **counted_figures(part, changed)} for event, part in parts}


def _column(table: pa.Table, name: str) -> list[str | None]:
    return table[name].to_pylist() if name in table.column_names else [None] * len(table)
