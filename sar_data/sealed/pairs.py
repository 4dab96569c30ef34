"""Pairs of samples that leak, one sample of each split, the worst pairs first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sar_data.sealed.leakage import ground_of
from sar_data.split.ground.footprints import find_identical, find_touching

MOST_PAIRS = 12


class Pair(NamedTuple):
    """Two samples that leak: `kind` is the figure they count in."""

    kind: str
    judged: str
    other: str


def worst_pairs(
    queries: pa.Table,
    targets: pa.Table,
    partner: np.ndarray[Any, np.dtype[np.int64]] | None = None,
    beyond: np.ndarray[Any, np.dtype[np.float32]] | None = None,
) -> Iterator[Pair]:
    """Yield pairs of rows that leak, the worst first: each judged sample once, and at most MOST_PAIRS of each kind.

    `partner` and `beyond` say which target each query looks like (statistics/alike.py); without them there are no such
    pairs. Rows have the columns of the leakage card; without `xxh3` there are no pairs of equal pixels.
    """
    query_keys, target_keys = (side["key"].to_pylist() for side in (queries, targets))
    seen: set[int] = set()
    for kind, query, target in _leaking(queries, targets, partner, beyond):
        if query not in seen:
            seen.add(query)
            yield Pair(kind, query_keys[query], target_keys[target])


def _leaking(queries: pa.Table, targets: pa.Table, partner: Any, beyond: Any) -> Iterator[tuple[str, int, int]]:
    if "xxh3" in queries.column_names and "xxh3" in targets.column_names:
        places = pc.index_in(queries["xxh3"].combine_chunks(), targets["xxh3"].combine_chunks())
        rows = np.flatnonzero(places.is_valid().to_numpy(zero_copy_only=False))[:MOST_PAIRS]
        yield from (("duplicate", row, places[row].as_py()) for row in rows.tolist())
    if partner is not None:
        order = np.argsort(-beyond, kind="stable")[: 2 * MOST_PAIRS]
        yield from (("near_duplicate", row, int(partner[row])) for row in order.tolist() if partner[row] >= 0)
    ground, others = ground_of(queries), ground_of(targets)
    for kind, near in (("identical", find_identical), ("touching", find_touching)):
        for row in np.flatnonzero(near(ground, others))[:MOST_PAIRS].tolist():
            footprint = ground.take(np.array([row]))
            hits = np.flatnonzero(near(others, footprint))
            yield kind, row, int(hits[0])
