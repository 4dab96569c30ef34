"""The units that an interval leaves out as a whole: places, groups or single samples.

Samples of the same place are similar, whenever they were taken, and so are samples of the same acquisition. An interval
that assumes independent samples is too narrow.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

MOST = 400  # units; more are joined at random, which keeps them independent (Kott 2001) and limits the work
KINDS = ("place", "group", "sample")


class Units(NamedTuple):
    """The unit of each row, the number of units, their kinds, and a sentence about them."""

    of: npt.NDArray[np.int64]
    number: int
    kind: str
    text: str


def unit_of(table: pa.Table) -> Units:
    """Return the unit of each row: its place where it is known, else its group, else the row itself.

    Where each place lies in a single group, and some group has several places, the group is the unit: it is the larger
    of the two. With only one group its places are the units, and the sentence says that nothing follows for others.
    `kind` has the kinds that occur, such as "place" or "group, sample".
    """
    groups = table["group"].to_pylist()
    places = table["place"].to_pylist() if "place" in table.column_names else [None] * len(groups)
    if _inside(places, groups):
        places = [None] * len(groups)
    names = [
        (0, place) if place is not None else (1, group) if group is not None else (2, row)
        for row, (place, group) in enumerate(zip(places, groups, strict=True))
    ]
    numbers = {name: i for i, name in enumerate(sorted(set(names)))}
    of = np.array([numbers[name] for name in names], np.int64)
    counts = Counter(kind for kind, _ in numbers)
    count = len(numbers)
    text = _describe(counts)
    if len(set(groups)) == 1 and groups[0] is not None and count > 1:
        text += " of one group, and of that group alone"
    if count > MOST:
        of = (np.random.default_rng(0).permutation(count) % MOST)[of]
        text, count = f"{text}, put together at random to {MOST}", MOST
    return Units(of, count, ", ".join(KINDS[kind] for kind in sorted(counts)), text)


def equal(sizes: npt.NDArray[np.float64]) -> float:
    """Return the number of units of equal size that are worth as much as units of these sizes (Kish 1965)."""
    squares = float((sizes**2).sum())
    return float(sizes.sum()) ** 2 / squares if squares else 0.0


def _inside(places: list[str | None], groups: list[str | None]) -> bool:
    """Say whether every row has a group, each place is in a single group, and some group has several places."""
    pairs = {(place, group) for place, group in zip(places, groups, strict=True) if place is not None}
    return None not in groups and 1 < len(set(groups)) < len({place for place, _ in pairs}) == len(pairs)


def _describe(counts: Counter[int]) -> str:
    text = " and ".join(f"{counts[kind]:,} {KINDS[kind]}{'s' * (counts[kind] != 1)}" for kind in sorted(counts))
    if 2 not in counts:
        return text or "0 samples"
    return f"{text} of no place or group, too narrow"
