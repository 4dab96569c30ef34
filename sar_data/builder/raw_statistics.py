"""Band statistics of a raw folder, without building anything: scanned, read and tallied in chunks of fixed order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from sar_data import catalog
from sar_data.builder.fit import Fitted, fit_source, holds
from sar_data.builder.gate import with_absence
from sar_data.builder.origin import Raw
from sar_data.builder.scan import scan
from sar_data.builder.suspects import LOWEST_FILL, remove_fill
from sar_data.containers.find import find_container
from sar_data.errors import SourceError, UsageError
from sar_data.naming import few
from sar_data.own.declaration import NAME as DECLARATION
from sar_data.progress import Progress
from sar_data.record import Record
from sar_data.runners import Runner
from sar_data.sources.archives.open import open_tree
from sar_data.spec import Pipeline
from sar_data.statistics.stats import BandStats, merge
from sar_data.statistics.tally import Tally, survey

ALL = "all"  # a raw folder is not split: its one part
CHUNK = 256  # records a task, as in a shard


def recognise(source: Path) -> Pipeline:
    """Return the one dataset that finds samples in `source`; raise SourceError for none, UsageError for several."""
    known = list(catalog.sound()[0].values())
    tree = open_tree(source, named=[file.name for p in known for file in p.spec.sources])
    matches = [p for p in known if holds(p, tree)]
    if not matches:
        own, declare = min((p.spec.name, p.declare) for p in known if p.declare)
        if find_container(tree, named=False):
            return declare({}, "DN")  # a container's values need no other unit to be compared
        raise SourceError(
            f"{source}: expected a sealed build or the raw files of one of {len(known)} datasets, found neither. For "
            f"data of your own `sar-data init {source}` writes a {DECLARATION}; or build the dataset {own} with "
            f"`source={source}` and fields such as `unit=…`"
        )
    if DECLARATION in tree.files():
        matches = [p for p in matches if p.declare is not None] or matches
    if len(matches) > 1:
        raise UsageError(f"{source}: may be {few([p.spec.name for p in matches])}: say which by `dataset=…`")
    return matches[0]


def fitting(pipeline: Pipeline, source: Path, progress: Progress | None = None) -> Fitted:
    """Return the pipeline as it fits a source, and the tree of that."""
    tree = open_tree(source, named=[file.name for file in pipeline.spec.sources], progress=progress)
    return fit_source(pipeline, tree, source)


def raw_statistics(fit: Fitted, runner: Runner, progress: Progress | None = None) -> BandStats:
    """Return the statistics of all records that a split may take: not those of another form or without a label.

    Raises BadRecord for the first that is wrong, SourceError where all are unused.
    """
    scanned = scan(fit.pipeline, fit.tree, runner=runner, progress=progress).records
    records = [record for record in scanned if record.unused is None]
    if not records:
        raise SourceError(f"expected records to count, found only unused ones: {scanned[0].unused}")
    pipeline, _ = with_absence(fit.pipeline, fit.tree, records)
    chunks = [records[i : i + CHUNK] for i in range(0, len(records), CHUNK)]
    spec = pipeline.spec
    parts: list[BandStats] = []
    for part in runner.map(partial(_tally, Raw(pipeline, fit.tree)), chunks):
        parts.append(part)
        if progress:
            progress("read", min(len(parts) * CHUNK, len(records)), len(records))
    return merge(parts, spec.units)


def _tally(raw: Raw, records: Sequence[Record]) -> BandStats:
    tally = Tally(raw.pipeline.spec.units)
    with raw.open() as reader:
        for record in records:
            pixels = reader.pixels(record, None)
            seen = survey(pixels.image, pixels.nodata)
            if seen.least <= LOWEST_FILL:
                seen = survey(remove_fill(pixels.image, raw.pipeline.spec.units)[0], pixels.nodata)
            tally.add(seen)
    return tally.finish()
