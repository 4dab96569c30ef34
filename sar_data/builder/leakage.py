"""Leakage of a split, or of one set of samples against another: figures, limits, and the pairs that leak most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sar_data.builder.judged import Choice, Judged, open_judged
from sar_data.errors import LeakageError, UsageError, unknown
from sar_data.progress import Progress
from sar_data.runners import Runner
from sar_data.sealed.leakage import (
    MEANINGS,
    PAIRS,
    UNSEEN,
    Card,
    index_share,
    near_share,
    not_looked_at,
    pair,
    records_share,
    same,
    sentences,
)
from sar_data.sealed.opened import Build
from sar_data.sealed.pairs import MOST_PAIRS, Pair, worst_pairs
from sar_data.system.suffixes import PICTURES, check_suffix


@dataclass(frozen=True, kw_only=True)
class LeakageRequest(Choice):
    """Whose leakage is asked about.

    `path` is a sealed build, raw files or their archive, or a list of names (.csv, .txt, .parquet, COCO's .json) of a
    dataset whose names tell where they are; its test and val are judged against train, and test against val. With
    `against`, another such, all samples of `path` are judged against all of that. `dataset` and `variant` say what raw
    files and names are of where they do not tell; names of a dataset that tell nothing are compared as keys. `split`,
    `seed` and `lists` place raw files and names, as in a build; tables (.parquet) in `lists` also tell what other names
    there are for those of a list. `full` reads all pixels: of raw files, and of builds that have no thumbnails.
    `fail_above` has limits, as "touching=0,duplicate=0": a figure above its limit, or not known, is an error. `plot`
    draws the pairs of sealed builds that leak most, as PNG, PDF or SVG.
    """

    path: Path
    against: Path | None = None
    fail_above: str | None = None
    plot: Path | None = None

    def __post_init__(self) -> None:
        if self.plot:
            check_suffix(self.plot, PICTURES, name="plot")
        if self.split and self.against:
            raise UsageError("`against=…`: all samples of both sides are compared, so that no `split=…` is of use")
        _ = self.limits

    @property
    def limits(self) -> dict[str, float]:
        """The limits by the name of a figure; raise UsageError where one is none."""
        documents = {}
        for part in filter(None, (self.fail_above or "").split(",")):
            name, _, value = (word.strip() for word in part.partition("="))
            if name not in (known := [prefix + name for prefix in PAIRS for name in MEANINGS]):
                raise unknown("figure of leakage", name, known)
            try:
                documents[name] = float(value)
            except ValueError:
                raise UsageError(f"`fail_above={part}`: expected {name}=SHARE, a number from 0 to 1") from None
            if not 0 <= documents[name] <= 1:
                raise UsageError(f"`fail_above={part}`: expected a share from 0 to 1, found {documents[name]:g}")
        return documents


@dataclass(frozen=True)
class Report:
    """`figures` by name, as in a manifest; `pairs` are those of PAIRS that were looked at, each with its two names."""

    title: str
    sides: dict[str, tuple[str, str]]
    figures: Card
    pairs: list[Pair]
    notes: tuple[str, ...]
    builds: tuple[Build | None, Build | None] = field(default=(None, None), repr=False)

    def lines(self) -> Iterator[str]:
        """Yield all that is known, sentence by sentence, and what was not looked at."""
        for prefix, (judged_name, other_name) in self.sides.items():
            yield from sentences(pair(self.figures, prefix), judged=judged_name, other=other_name)
        yield from self.notes
        yield UNSEEN

    def document(self) -> dict[str, Any]:
        """Return the report as JSON has it."""
        figures = {name: figure.model_dump(mode="json") for name, figure in self.figures.items()}
        pairs = [pair._asdict() for pair in self.pairs]
        return {"title": self.title, "leakage": figures, "pairs": pairs, "notes": [*self.notes, UNSEEN]}

    def check(self, limits: dict[str, float]) -> None:
        """Raise LeakageError where a figure is above its limit, or not known."""
        wrong = []
        for name, limit in limits.items():
            figure = self.figures.get(name)
            value = figure.value if figure else None
            if value is None:
                wrong.append(f"{name}: expected at most {limit:g}, found that it is not known")
            elif value > limit:
                wrong.append(f"{name}: expected at most {limit:g}, found {value:.6g}")
        if wrong:
            raise LeakageError("; ".join(wrong))


def leakage(request: LeakageRequest, runner: Runner, progress: Progress | None = None) -> Report:
    """Return the leakage that is asked about; limits are for `Report.check`."""
    first = open_judged(request.path, request, runner, progress)
    if request.against is None:
        if "split" not in first.table.column_names:
            raise UsageError(f"{request.path}: expected a column `split`, found none: name the other list, `against=…`")
        side = np.array(first.table["split"].to_pylist(), object)
        rows = {name: np.flatnonzero(side == name) for name in ("train", "val", "test")}
        parts = {name: _Side(first, rows[name]) for name in rows}
        compared = [(prefix, parts[judge], parts[other]) for prefix, (judge, other) in PAIRS.items()]
        sides = {prefix: (f"{judge} samples", other) for prefix, (judge, other) in PAIRS.items()}
        builds, notes = (first.build, first.build), first.notes
    else:
        second = open_judged(request.against, request, runner, progress)
        queries, targets = (_Side(source, np.arange(len(source.table))) for source in (first, second))
        compared = [("", queries, targets)]
        sides = {"": ("samples", second.title)}
        builds, notes = (first.build, second.build), tuple(dict.fromkeys((*first.notes, *second.notes)))
    figures: Card = {}
    pairs: list[Pair] = []
    for prefix, left, right in compared:
        shares, leaking = _shares(left, right, progress)
        figures |= {prefix + name: figure for name, figure in shares.items()}
        pairs = pairs or leaking[:MOST_PAIRS]
    return Report(first.title, sides, figures, pairs, notes, builds)


class _Side:
    """Some samples of a source, with their thumbnails by band."""

    def __init__(self, source: Judged, rows: np.ndarray[Any, np.dtype[np.intp]]) -> None:
        self.source = source
        self.table = source.table.take(rows)
        self.thumbs = {band: thumbs[rows] for band, thumbs in source.thumbs.items()}

    def thumbnail_rows(self, bands: list[str]) -> pa.Table:
        """Return the table with the thumbnails of these bands."""
        whole = np.stack([self.thumbs[band] for band in bands], axis=1)
        rows = [row.tobytes() for row in whole]
        return self.table.append_column("thumbnail", pa.array(rows, pa.binary()))


def _shares(judged: _Side, other: _Side, progress: Progress | None) -> tuple[Card, list[Pair]]:
    queries, targets = judged.table, other.table
    within = judged.source is other.source
    if judged.source.bits is None or other.source.bits is None:
        card = records_share(queries, targets) | ({} if within else {"key": same(queries, targets, "key")})
        card |= not_looked_at(["duplicate", "near_duplicate"], len(queries), "pixels were not read")
        return card, list(worst_pairs(queries, targets))
    card = index_share(queries, targets)
    if within:
        del card["key"]  # which no two samples of a source share
    if judged.source.bits != other.source.bits:
        card |= not_looked_at(["duplicate"], len(queries), "bands, units or types of pixels differ")
    # A phase has no thumbnails, and the small images of some sets have none.
    pictured = [band for band, thumbs in judged.source.thumbs.items() if thumbs.any()]
    bands = [band for band in pictured if band in other.thumbs]
    if not bands:
        card |= not_looked_at(["near_duplicate"], len(queries), "there is no common band with thumbnails")
        return card, list(worst_pairs(queries, targets))
    card["near_duplicate"], near = near_share(judged.thumbnail_rows(bands), other.thumbnail_rows(bands), progress)
    return card, list(worst_pairs(queries, targets, near.partner, near.beyond))
