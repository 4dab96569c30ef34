"""The leakage card: what the samples of one split have in common with those of another, as named shares.

A figure without prefix compares test with train; `val-train.` and `test-val.` name the other pairs. A card knows only
what records and pixels say: two images may show one place and no record say so. So 0 % does not prove independence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sar_data.progress import Progress
from sar_data.sealed.documents import LeakageFigure
from sar_data.split.ground.footprints import Footprints
from sar_data.split.ground.leakage import EXTENTS, Leakage, footprint_leakage, reason_unknown
from sar_data.split.ground.neighbours import check_boxes
from sar_data.statistics.alike import Matches, find_alike, has_structure
from sar_data.statistics.thumbnail import CELLS, Thumbs

Card = dict[str, LeakageFigure]
Mask = npt.NDArray[np.bool_]
PAIRS = {"": ("test", "train"), "val-train.": ("val", "train"), "test-val.": ("test", "val")}
"""Prefix of a figure's name → the split that is judged, and the split that it is compared with."""
MEANINGS = {
    "touching": "touch {other} on the ground",
    "identical": "show the same ground as {other}",
    **{f"within_{extents}": f"lie at most {extents} extent{'s' * (extents > 1)} from {{other}}" for extents in EXTENTS},
    "group": "belong to the group of {other}",
    "place": "belong to the place of {other}",
    "acquisition": "were taken at the same moment as {other}",
    "pass": "were taken within 15 minutes of {other}",
    "key": "have the key of {other}",
    "duplicate": "have the same pixels as {other}",
    "near_duplicate": "look like {other}",
}
"""Figure → a verb phrase about its share of the judged samples; {other} is a sample of the other split."""
UNSEEN = (
    "Not compared: whether samples without a common name, place or footprint show the same ground; objects, sensors "
    "and seasons that the splits share; what the records do not say. 0 % does not prove independence."
)
"""What no figure of the card measures."""
WITHIN = [f"within_{extents}" for extents in EXTENTS]
PASS_US = 15 * 60 * 1_000_000  # a pass takes minutes; the next pass, of a twin satellite, is 49 minutes away
DAY_US = 24 * 3600 * 1_000_000
COLUMNS = ["key", "group", "place", "time", "dates", "footprint", "reference_frame", "crs"]
"""Columns of an index or a scan that `records_share` reads."""
INDEX_COLUMNS = [*COLUMNS, "split", "xxh3"]


def card(table: pa.Table, share: Callable[[pa.Table, pa.Table], Card]) -> Card:
    """Return the figures that `share` returns for each pair of splits in a table of samples, named as PAIRS says."""
    sides = {name: table.filter(pc.equal(table["split"], name)) for pair in PAIRS.values() for name in pair}
    return {
        prefix + name: figure
        for prefix, (judged, other) in PAIRS.items()
        for name, figure in share(sides[judged], sides[other]).items()
    }


def records_share(queries: pa.Table, targets: pa.Table) -> Card:
    """Return the shares of rows of an index or a scan whose records have ground, names or times of a target.

    Raises SplitError where a footprint is empty or reversed.
    """
    shares = footprint_leakage(ground_of(queries), ground_of(targets))
    for name in ("group", "place"):
        values, target_values = (side[name].combine_chunks() for side in (queries, targets))
        shared = pc.is_in(values, target_values.unique().drop_null())
        shares[name] = _share(name, *map(_mask, (shared, values.is_valid(), target_values.is_valid())))
    shares |= _times_share(_times(queries), _times(targets))
    return {name: _figure(share) for name, share in shares.items()}


def pixels_share(queries: pa.Table, targets: pa.Table, *, most: int | None = None) -> Card:
    """Return the shares of rows whose stored pixels equal those of a target, or look like them.

    Rows have `xxh3`, and a `thumbnail` of all bands where there is one. If both sides together have more than `most`
    rows, thumbnails are not compared, because each takes at least 0.2 ms of processor time.
    """
    card = {"duplicate": same(queries, targets, "xxh3")}
    if most is not None and len(queries) + len(targets) > most:
        why = f"more than {most:,} samples take a while; `leakage()` compares them"
        return card | not_looked_at(["near_duplicate"], len(queries), why)
    return card | {"near_duplicate": near_share(queries, targets)[0]}


def near_share(queries: pa.Table, targets: pa.Table, progress: Progress | None = None) -> tuple[LeakageFigure, Matches]:
    """Return the share of rows with a thumbnail that look like a target, and the target that each row looks like."""
    thumbs, target_thumbs = (thumbs_in(side) for side in (queries, targets))
    matches = find_alike(thumbs, target_thumbs, progress)
    share = _share("thumbnail", matches.partner >= 0, has_structure(thumbs), has_structure(target_thumbs))
    return _figure(share), matches


def thumbs_in(table: pa.Table) -> Thumbs:
    """Return the thumbnails int8 [row, band, CELLS] of a table, all 0 where there is none."""
    if "thumbnail" not in table.column_names or not len(table):
        return np.zeros((len(table), 1, CELLS), np.int8)
    lengths = pc.unique(pc.binary_length(table["thumbnail"]).drop_null()).to_pylist()
    column = pc.fill_null(table["thumbnail"], bytes(max(lengths, default=CELLS)))
    return np.frombuffer(b"".join(column.to_pylist()), np.int8).reshape(len(table), -1, CELLS)


def same(queries: pa.Table, targets: pa.Table, column: str) -> LeakageFigure:
    """Return the share of the queries whose value of a column, which all rows have, is that of a target."""
    sides = [side[column].combine_chunks() for side in (queries, targets)]
    shared = _mask(pc.is_in(sides[0], sides[1].unique()))
    return _figure(_share(column, shared, *(np.ones(len(side), np.bool_) for side in sides)))


def index_share(queries: pa.Table, targets: pa.Table) -> Card:
    """Return the shares of rows of one index that have records, keys or pixels of another; see `records_share`."""
    card = records_share(queries, targets)
    return card | {name: same(queries, targets, column) for name, column in (("key", "key"), ("duplicate", "xxh3"))}


def not_looked_at(names: Iterable[str], count: int, why: str) -> Card:
    """Return figures without a value, for `count` samples that were not compared."""
    return dict.fromkeys(names, LeakageFigure(value=None, of=count, reason=f"not looked at: {why}"))


def sentences(card: Card, *, judged: str = "test samples", other: str = "train") -> Iterator[str]:
    """Yield a sentence for each figure of one pair, and last which figures are not known and why."""
    reasons: dict[str, list[str]] = {}
    for name, figure in card.items():
        if figure.value is None:
            reasons.setdefault(figure.reason, []).append(name)
        elif name not in WITHIN:
            unseen = f" ({figure.reason})" if figure.reason else ""
            shared = MEANINGS[name].format(other=f"a sample of {other}")
            yield f"{100 * figure.value:.1f} % of {figure.of:,} {judged} {shared}{unseen}"
        elif name == WITHIN[-1]:
            yield f"distance from {judged} to the nearest sample of {other}, in extents: {_distances(card)}"
    if len(reasons) == 1 and len(reasons.get(why := next(iter(reasons)), ())) == len(card):
        yield f"{judged} against {other}: {why}"
    elif reasons:
        yield "not known: " + "; ".join(f"{', '.join(names)} ({reason})" for reason, names in reasons.items())


def _distances(card: Card) -> str:
    """Return the histogram of distances, from their cumulated shares, without its empty bins."""
    shares = [card[name].value or 0.0 for name in ("touching", *WITHIN)]
    ends = ["0", *(f"up to {extents}" for extents in EXTENTS), "more"]
    parts = np.diff([0.0, *shares, 1.0])
    return ", ".join(f"{100 * part:.1f} % {end}" for end, part in zip(ends, parts, strict=True) if part)


def pair(card: Card, prefix: str = "") -> Card:
    """Return the figures of one pair of PAIRS, by their names without the prefix."""
    return {name: card[prefix + name] for name in MEANINGS if prefix + name in card}


def ground_of(table: pa.Table) -> Footprints:
    """Return the footprints of the rows of an index or a scan; raise SplitError for an empty or reversed one."""
    lists = table["footprint"].combine_chunks()
    frames = pc.coalesce(table["reference_frame"], table["crs"])
    known = pc.and_(pc.equal(pc.fill_null(pc.list_value_length(lists), 0), 4), frames.is_valid().combine_chunks())
    rows = np.flatnonzero(known.to_numpy(zero_copy_only=False))
    boxes = np.full((len(table), 4), np.nan)
    boxes[rows] = lists.filter(known).flatten().to_numpy(zero_copy_only=False).reshape(-1, 4)
    check_boxes(boxes[rows], lambda row: str(table["key"][int(rows[row])]))
    encoded = frames.combine_chunks().dictionary_encode()
    code = pc.if_else(known, encoded.indices, -1).to_numpy(zero_copy_only=False)
    return Footprints(boxes, code.astype(np.int64), tuple(encoded.dictionary.to_pylist()))


def _mask(values: pa.BooleanArray) -> Mask:
    return np.asarray(values.to_numpy(zero_copy_only=False))


def _figure(share: Leakage) -> LeakageFigure:
    return LeakageFigure(value=share.value, of=share.of, reason=share.reason)


def _share(what: str, shared: Mask, known: Mask, target_known: Mask) -> Leakage:
    """Return the share of shared samples among those that have `what`; the masks say which have it on either side."""
    if reason := reason_unknown(len(known), known, target_known, what):
        return Leakage(None, len(known), reason)
    unknown = int((~known).sum() + (~target_known).sum())
    return Leakage(
        float(shared[known].mean()), int(known.sum()), f"{unknown:,} samples have no {what}" if unknown else ""
    )


class _Moments:
    """The acquisitions of `count` samples: `time` in ascending microseconds, and the `row` of the sample of each."""

    def __init__(self, row: npt.NDArray[np.int64], time: npt.NDArray[np.int64], count: int) -> None:
        order = np.argsort(time, kind="stable")
        self.row, self.time, self.count = row[order], time[order], count

    @property
    def known(self) -> Mask:
        """Say for each sample whether the moment of an acquisition is known."""
        return self.rows(np.ones(len(self.row), np.bool_))

    def rows(self, chosen: Mask) -> Mask:
        """Say for each sample whether one of its acquisitions is chosen."""
        mask = np.zeros(self.count, np.bool_)
        mask[self.row[chosen]] = True
        return mask

    def beside(self, other: _Moments, most: int) -> Mask:
        """Say for each acquisition whether one of `other` is at most `most` microseconds away."""
        first = np.searchsorted(other.time, self.time - most, "left")
        return np.asarray(first < np.searchsorted(other.time, self.time + most, "right"))


def _times(table: pa.Table) -> _Moments:
    """Return the acquisitions of samples. A time at exactly midnight is ignored, because it is only a date."""
    dates = table["dates"].combine_chunks()
    parts = [
        (np.arange(len(table)), table["time"].combine_chunks()),
        (pc.list_parent_indices(dates).to_numpy(), dates.flatten().field("time")),
    ]
    rows, times = [], []
    for row, time in parts:
        known = time.is_valid().to_numpy(zero_copy_only=False)
        rows.append(row[known])
        times.append(time.drop_null().cast(pa.int64()).to_numpy())
    row, time = np.concatenate(rows), np.concatenate(times)
    exact = time % DAY_US != 0
    return _Moments(row[exact], time[exact], len(table))


def _times_share(queries: _Moments, targets: _Moments) -> dict[str, Leakage]:
    return {
        name: _share("time", queries.rows(queries.beside(targets, most)), queries.known, targets.known)
        for name, most in (("acquisition", 0), ("pass", PASS_US))
    }
