"""Train samples that are left out, because a val or test sample of some build, or another train sample, is the same.

A copy has the very pixels of another sample, by the hash of the stored image. What looks like a val or test sample is
found by thumbnails (docs/leakage.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from sar_data.errors import SarDataError
from sar_data.sealed.index_file import read_index
from sar_data.sealed.leakage import near_share
from sar_data.sealed.opened import layout_of
from sar_data.sealed.samples import SAMPLES_NAME, read_samples, thumbs_of
from sar_data.system import durable
from sar_data.text import csv_lines
from sar_data.train.builds import Builds, OpenBuild

NAME = "duplicates.csv"
KINDS = {
    "duplicate": "copies of val or test samples",
    "second_copy": "copies of other train samples",
    "near_duplicate": "alike to val or test samples",
}


class Dropped(NamedTuple):
    """A train sample that is left out: `kind` is one of KINDS, `of` the sample that stays."""

    key: str
    kind: str
    of: str


@dataclass(frozen=True)
class Duplicates:
    """What is left out, the keys of train that are `kept`, and a sentence where looks were not compared."""

    dropped: tuple[Dropped, ...]
    kept: tuple[str, ...]
    unseen: str = ""

    @property
    def counts(self) -> dict[str, int]:
        """How many are left out, by kind."""
        found = Counter(one.kind for one in self.dropped)
        return {kind: found[kind] for kind in KINDS}

    def sentence(self) -> str:
        told = ", ".join(f"{count:,} {KINDS[kind]}" for kind, count in self.counts.items())
        of = len(self.dropped) + len(self.kept)
        return f"duplicates: {len(self.dropped):,} of {of:,} train samples are left out: {told}{self.unseen}"

    def write(self, folder: Path) -> None:
        """Write what is left out to a run's folder."""
        durable.write(folder / NAME, csv_lines([Dropped._fields, *self.dropped]).encode())


def found(builds: Builds, bands: Sequence[str]) -> Duplicates:
    """Look for duplicates; `bands` are those whose thumbnails are compared. Of copies in train the first one stays."""
    rows = pa.concat_tables([_rows(builds, number) for number in range(len(builds))])
    train, judged = (rows.filter(pc.is_in(rows["split"], pa.array(names))) for names in (["train"], ["val", "test"]))
    first = dict(zip(judged["xxh3"].to_pylist()[::-1], judged["key"].to_pylist()[::-1], strict=True))
    dropped, seen = dict[str, Dropped](), dict[str, str]()
    for key, pixels in zip(train["key"].to_pylist(), train["xxh3"].to_pylist(), strict=True):
        if pixels in first:
            dropped[key] = Dropped(key, "duplicate", first[pixels])
        elif (of := seen.setdefault(pixels, key)) != key:
            dropped[key] = Dropped(key, "second_copy", of)
    unseen = ""
    try:
        pictures = _pictures(builds, bands)
    except SarDataError as error:
        unseen = f"; looks were not compared: {error}"
    else:
        left = train.filter(pc.invert(pc.is_in(train["key"], pa.array(list(dropped), pa.string()))))
        ours, theirs = (pictures.take(pc.index_in(side["key"], pictures["key"])) for side in (left, judged))
        partners = near_share(ours, theirs)[1].partner.tolist()
        others = theirs["key"].to_pylist()
        for key, partner in zip(ours["key"].to_pylist(), partners, strict=True):
            if partner >= 0:
                dropped[key] = Dropped(key, "near_duplicate", others[partner])
    keys = train["key"].to_pylist()
    order = [dropped[key] for key in keys if key in dropped]
    return Duplicates(tuple(order), tuple(key for key in keys if key not in dropped), unseen)


def _rows(builds: Builds, number: int) -> pa.Table:
    """Return key, split and hash of a build's samples, by the keys that a job has for them."""
    table = read_index(builds.each[number].index, ["key", "split", "xxh3"])
    table = table.filter(pc.is_in(table["split"], pa.array(["train", "val", "test"])))
    columns = [pa.array(builds.keys(number, table["key"].to_pylist())), table["split"].cast(pa.string()), table["xxh3"]]
    return pa.table(dict(zip(("key", "split", "xxh3"), columns, strict=True)))


def _pictures(builds: Builds, bands: Sequence[str]) -> pa.Table:
    """Return key and thumbnail of the samples of all builds; raise SarDataError where some build has none."""
    tables = []
    for number, one in enumerate(builds.each):
        keys, cells = _thumbnails(one, bands)
        tables.append(pa.table({"key": pa.array(builds.keys(number, keys)), "thumbnail": cells}))
    return pa.concat_tables(tables)


def _thumbnails(one: OpenBuild, bands: Sequence[str]) -> tuple[list[str], pa.Array]:
    one.files.path(SAMPLES_NAME)
    samples = read_samples(one.files.folder)
    if samples is None:
        raise SarDataError(f"{one.path} has no {SAMPLES_NAME}")
    own = layout_of(one.manifest).bands
    thumbs = thumbs_of(samples, len(own))[:, [own.index(band) for band in bands]]
    if not thumbs.any():
        raise SarDataError(f"{one.path} has no thumbnails of {', '.join(bands)}")
    return samples["key"].to_pylist()[:: len(own)], pa.array([row.tobytes() for row in thumbs], pa.binary())
