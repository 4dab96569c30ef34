"""Stratification: classes are shared out as evenly as samples, or units of samples, allow.

Iterative stratification after Sechidis, Tsoumakas and Vlahavas 2011, doi:10.1007/978-3-642-23808-6_10.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from sar_data.errors import SplitError
from sar_data.record import Record

Counts = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int8]
FREE = -1
"""The code of an unplaced sample or unit."""
ROUNDS = 5
"""The most passes over all units."""


def labels_of(record: Record) -> tuple[int, ...]:
    """Return the labels of a record's first task; raise SplitError where it has no task."""
    for labels in record.labels.values():
        return labels
    raise SplitError(f"record {record.key!r}: expected the labels of a task, found none: use `split=random`")


def _flatten(labels: Sequence[tuple[int, ...]]) -> tuple[Counts, Counts]:
    """Return all labels in one array, and the sample of each."""
    lengths = np.fromiter(map(len, labels), dtype=np.int64, count=len(labels))
    flat = np.fromiter(chain.from_iterable(labels), dtype=np.int64, count=int(lengths.sum()))
    return flat, np.repeat(np.arange(len(labels)), lengths)


def stratify_samples(labels: Sequence[tuple[int, ...]], shares: Shares, before: Codes) -> Codes:
    """Return the bin of each sample, so that each label is shared out by `shares`; `before` has the bins placed so far.

    One label at a time instead of one sample at a time: the samples of the rarest remaining label, in their order,
    are apportioned by what each bin still needs of it. A label is exact to one sample, unless rarer labels that occur
    with it have filled a bin.
    """
    flat, sample = _flatten(labels)
    matrix = np.zeros((int(flat.max(initial=-1)) + 1, len(labels)), dtype=np.bool_)
    matrix[flat, sample] = True
    codes, waiting = before.copy(), before == FREE
    need, room = shares[:, None] * matrix.sum(axis=1), shares * matrix.shape[1]
    for code in range(len(shares)):
        need[code] -= matrix[:, before == code].sum(axis=1)
        room[code] -= np.count_nonzero(before == code)
    remaining = matrix[:, waiting].sum(axis=1)
    while remaining.any():
        label = int(np.where(remaining > 0, remaining, remaining.max() + 1).argmin())
        members = np.flatnonzero(matrix[label] & waiting)
        quota = _apportion(len(members), need[:, label], room)
        parts = np.split(members, np.cumsum(quota)[:-1])
        for code, part in enumerate(parts):
            codes[part] = code
            counts = matrix[:, part].sum(axis=1)
            need[code] -= counts
            room[code] -= len(part)
            remaining -= counts
        waiting[members] = False
    unplaced = np.flatnonzero(waiting)
    codes[unplaced] = np.repeat(np.arange(len(shares)), _apportion(len(unplaced), room, room))
    return codes


def _apportion(count: int, need: Shares, room: Shares) -> Counts:
    """Share `count` samples out by need; remaining ones go by remainder, then to the emptiest bin."""
    positive = np.maximum(need, 0)
    if not positive.any():  # bins that are kept may hold more of it than their share
        positive = np.maximum(room, 0) if (room > 0).any() else np.ones(len(room))
    exact = count * positive / positive.sum() if count else positive * 0
    quota: Counts = np.floor(exact).astype(np.int64)
    remainder = np.round(exact - quota, 9)
    for code in np.lexsort((-room, -remainder))[: count - int(quota.sum())]:
        quota[code] += 1
    return quota


def stratify_units(
    unit: Counts, labels: Sequence[tuple[int, ...]], shares: Shares, order: npt.NDArray[np.intp], before: Codes
) -> Codes:
    """Return the bin of each unit, so that the labels of its samples are shared out by `shares`.

    `unit` is the unit of each sample and `labels` its labels; `before` is the bin of each placed unit, FREE for the
    others; `order` breaks ties. The rarest remaining label is shared out first, and the units with most of it go
    first. A unit has more than one sample and one label. So it goes to the bin where the sum of squared deviations of
    all labels and of the sample count, each relative to its expectation, grows least. Then units are moved while that
    makes the sum smaller. A bin that has a share and would stay empty gets the smallest unit.
    """
    flat, sample = _flatten(labels)
    counts = np.zeros((len(before), int(flat.max(initial=-1)) + 2), dtype=np.int64)
    np.add.at(counts, (unit[sample], flat), 1)
    counts[:, -1] = np.bincount(unit, minlength=len(before))  # the sample count is one more label
    totals = np.maximum(counts.sum(axis=0), 1)
    usable = shares > 0
    weights = np.where(usable[:, None], 1 / (np.where(usable, shares, 1)[:, None] ** 2 * totals), np.inf)
    need = shares[:, None] * counts.sum(axis=0)
    codes, rank = before.copy(), np.empty(len(before), np.intp)
    rank[order] = np.arange(len(order))
    for code in range(len(shares)):
        need[code] -= counts[before == code].sum(axis=0)

    def place(unit_number: int) -> bool:
        """Place a unit, or place it again; say whether it moved."""
        labels_here, old = np.flatnonzero(counts[unit_number]), codes[unit_number]
        own = counts[unit_number, labels_here]
        if old != FREE:
            need[old, labels_here] += own
        codes[unit_number] = code = int(
            ((own - 2 * need[:, labels_here]) * own * weights[:, labels_here]).sum(axis=1).argmin()
        )
        need[code, labels_here] -= own
        return code != int(old)

    remaining = counts[codes == FREE].sum(axis=0)
    while remaining.any():
        label = int(np.where(remaining > 0, remaining, remaining.max() + 1).argmin())
        members = np.flatnonzero((codes == FREE) & (counts[:, label] > 0))
        for unit_number in members[np.lexsort((rank[members], -counts[members, label]))].tolist():
            place(unit_number)
        remaining -= counts[members].sum(axis=0)
    moving = order[before[order] == FREE].tolist()
    for _ in range(ROUNDS):
        if not sum(map(place, moving)):
            break
    for code in range(len(shares)):
        filled = np.bincount(codes, minlength=len(shares))
        spare = [unit_number for unit_number in moving if filled[codes[unit_number]] > 1]
        if spare and usable[code] and not filled[code]:  # an empty split is useless
            codes[min(spare, key=lambda unit_number: int(counts[unit_number, -1]))] = code
    return codes
