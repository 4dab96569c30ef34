"""Scan and read the samples of a container, as the pipelines of datasets do."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np

from sar_data.containers.axes import Axes, axes_of, same
from sar_data.containers.entry import Container, Entry, Head, Labels, below
from sar_data.containers.exported import FACTS, LABELS, facts_of
from sar_data.containers.layouts import DATES_FIELD
from sar_data.containers.looked import arrange
from sar_data.containers.side_table import SideTable, side_table
from sar_data.containers.tasks import TaskPlan, class_of, indices
from sar_data.errors import BadRecord, SourceError
from sar_data.naming import few
from sar_data.raster.tiff import footprint_of
from sar_data.record import IGNORE, Date, Image, Mask, Object, Objects, Record, Sample, SourceFile
from sar_data.spec import MASKED, Task, Tree

UNLABELLED = "without a label"
ATTR = "container_key"
_ODD = re.compile(r"[^\w-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What scan and read need. `asked` are bands that samples must have, where a container has names of bands.

    `bands` are the names in the container, () where it has none, and `order` the places of the build's bands there.
    `bands`, `axes` and `dtype` are those of every image, `first` is the sample that says so in errors. `size` is
    (height, width) of all images, None where they differ. `tasks` are those that are there, `columns` the names of
    all tasks and other columns of a table that are read. float32 `becomes` float16 where the build has this type.
    `named` is the function of a dataset that knows what a key tells.
    """

    container: Container
    asked: tuple[str, ...]
    bands: tuple[str, ...]
    axes: Axes
    order: tuple[int, ...]
    dtype: str
    size: tuple[int, int] | None
    first: str
    tasks: tuple[TaskPlan, ...] = ()
    columns: tuple[str, ...] = ()
    becomes: str | None = None
    named: Callable[[str], Record | None] | None = None


def key_of(name: str) -> str:
    """Return the key of a build for one of a container: what stands in a path or a suffix becomes a line."""
    return _ODD.sub("_", name).strip("_") or "_"


@dataclass(frozen=True, slots=True, eq=False)
class Keyed:
    """The samples by their keys in the build, words about these where they are not the container's, and the table."""

    entries: Mapping[str, Entry]
    changes: str
    table: SideTable | None
    others: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of columns of single tasks, and others that are read."""
        more = next((entry.more for entry in self.entries.values()), ())
        return (*(self.table.columns if self.table else ()), *(name for name, _ in more))


@lru_cache(maxsize=4)
def key_samples(tree: Tree, container: Container, asked: tuple[str, ...], columns: tuple[str, ...] = ()) -> Keyed:
    """Return the samples of a container by their keys, listed once a process; `columns` are others of its table."""
    entries = container.entries(tree, asked)
    keys, changes = _keys(entries)
    names = [entry.name for entry in entries if entry.name]
    table, others = side_table(tree, names, container.files, columns) if names else (None, ())
    return Keyed(MappingProxyType(dict(zip(keys, entries, strict=True))), changes, table, others)


def _keys(entries: Sequence[Entry]) -> tuple[list[str], str]:
    """Return a key for each sample, and words about them where they are not those of the container.

    Keys that stand in several files get the split or the file before them; samples without a key their number there.
    """
    names = [key_of(entry.name) if entry.name else "" for entry in entries]
    if len(set(names)) == len(names) and "" not in names:
        changed = [entry.name for entry, name in zip(entries, names, strict=True) if entry.name != name]
        odd = f"keys: {len(changed):,} such as {changed[0]!r:.60} became {key_of(changed[0])!r:.60}" if changed else ""
        return names, odd
    splits = [entry.split or "row" for entry in entries]
    files = [key_of(entry.files[0].rpartition(".")[0] or entry.files[0]) for entry in entries]
    rows = [f"{row:06d}" for row in _rows(entries)]
    ways = {
        "the same in several splits: each has its split before it": (splits, names),
        "the same in several files: each has its file before it": (files, names),
        "missing or not unique: each sample has its number in its split": (splits, rows),
    }
    for words, (before, after) in ways.items():
        keys = [f"{first}_{second}" for first, second in zip(before, after, strict=True)]
        if "" not in after and len(set(keys)) == len(keys):
            return keys, f"keys: {words}, such as {keys[0]}"
    raise SourceError(f"expected samples with different keys, found {few(keys)}")


def _rows(entries: Sequence[Entry]) -> Iterator[int]:
    counts = Counter[str | None]()
    for entry in entries:
        yield counts[entry.split]
        counts[entry.split] += 1


def units(tree: Tree, plan: Plan) -> list[str]:
    """Return the keys of the samples."""
    return list(_samples(tree, plan).entries)


def _samples(tree: Tree, plan: Plan) -> Keyed:
    return key_samples(tree, plan.container, plan.asked, plan.columns)


def scan(tree: Tree, unit: str, plan: Plan) -> Iterator[Record]:
    """Yield the record of one sample, by its head and its row of the table beside the container."""
    samples = _samples(tree, plan)
    entry, table = samples.entries[unit], samples.table
    head = plan.container.head(tree, entry)
    axes = axes_of(head, plan.axes.bands, entry.where)
    same(axes, plan.axes, entry.where, plan.first)
    if head.bands != plan.bands:  # `read` takes bands by their places
        expected, actual = (few(names) if names else "none" for names in (plan.bands, head.bands))
        raise BadRecord(entry.where, f"expected the bands' names {expected}, as {plan.first} has, found {actual}")
    if head.dtype != plan.dtype:
        raise BadRecord(entry.where, f"expected {plan.dtype} pixels, as {plan.first} has, found {head.dtype}")
    if plan.size not in (None, axes.size):
        height, width = axes.size
        raise BadRecord(entry.where, f"expected {plan.size} pixels, as {plan.first} has, found {(height, width)}")
    split = table.split_of(entry.name) if table is not None and table.split else entry.split
    objects = _objects(plan, head.objects, entry.where)
    places = {
        part.task.name: indices(part, _label_of(part, entry, head, table), entry.where)
        for part in plan.tasks
        if part.task.kind in LABELS
    }
    unused = UNLABELLED if places and all(place is None for place in places.values()) else None
    boxes = tuple(sorted({item.label for item in objects}))
    if table is not None and entry.name not in table.rows:
        unused = f"not in {table.path}"
    known = (plan.named(unit) if plan.named else None) or Record(key=unit, files=())
    yield replace(
        known,
        key=unit,
        files=tuple(SourceFile(path, tree.size(path)) for path in entry.files),
        labels={
            part.task.name: boxes if part.task.kind == "detection" else places.get(part.task.name) or ()
            for part in plan.tasks
        },
        objects=objects,
        **_facts(plan, entry, head, table),
        official=split,
        shape=None if plan.size else axes.size,
        unused=unused or known.unused,
        attrs={**known.attrs, **({ATTR: entry.name} if entry.name not in ("", unit) else {})},
        crs=head.crs or known.crs,
        transform=head.transform or known.transform,
        footprint=footprint_of(head.crs, head.transform, axes.size) or known.footprint,
    )


def _label_of(part: TaskPlan, entry: Entry, head: Head, table: SideTable | None) -> Labels:
    """Return what a container says of a sample's labels in a task, None where it says nothing."""
    if part.column:
        named = dict(entry.more)
        if part.column in named or table is None:
            return named.get(part.column)
        return table.labels_of(entry.name, part.column)
    stored = head.labels if entry.labels is None else entry.labels
    return table.labels_of(entry.name) if stored is None and table is not None else stored


def _facts(plan: Plan, entry: Entry, head: Head, table: SideTable | None) -> dict[str, Any]:
    """Return what else an export says of a sample; dates of a change that nothing tells are numbers."""
    facts = dict(head.facts)
    if table is not None:
        facts |= facts_of({name: table.value(entry.name, name) for name in FACTS}, entry.where)
    if DATES_FIELD not in facts and any(part.task.kind == "change" for part in plan.tasks):
        facts[DATES_FIELD] = tuple(Date(role=str(number + 1)) for number in range(plan.axes.frames))
    if (dates := facts.get(DATES_FIELD)) and len(dates) != plan.axes.frames:
        raise BadRecord(entry.where, f"expected a date of each of {plan.axes.frames} images, found {len(dates)}")
    return facts


def _objects(plan: Plan, stored: tuple[Object, ...] | None, where: str) -> tuple[Object, ...]:
    """Return the objects of a sample as the classes of their task number them, none where no task has boxes."""
    part = next((part for part in plan.tasks if part.task.kind == "detection"), None)
    if part is None or not stored:
        return ()
    places = {item.label: class_of(str(item.label), part.task.classes, part.numbered) for item in stored}
    if strange := [label for label, place in places.items() if place is None]:
        names = few([part.numbered[label] if label < len(part.numbered) else str(label) for label in strange])
        raise BadRecord(where, f"expected objects of the classes {few(part.task.classes)}, found {names}")
    numbered = [replace(item, label=places[item.label] or 0) for item in stored]
    return Objects(numbered, stored.dropped) if isinstance(stored, Objects) else tuple(numbered)


def read(tree: Tree, record: Record, plan: Plan) -> Sample:
    """Return the image [band, y, x], or [frame, band, y, x] of several frames, with the bands in the build's order."""
    entry = _samples(below(tree), plan).entries[record.key]
    source = tree
    if plan.container.files:  # tables of these are kept between samples, so that their tree must stay the same
        tree.pread(entry.files[0], 0, 1)  # through the tree that records which files were read
        source = below(tree)
    sample = plan.container.read(source, entry)
    image = arrange(sample.image, plan.axes)[:, list(plan.order)]
    if plan.becomes is not None:
        image = _narrow(image, plan.becomes, entry.where)
    masked = next((part.task for part in plan.tasks if part.task.kind in MASKED), None)
    mask = _mask(sample.mask, entry.where, masked) if masked else None
    nodata = tuple(sample.nodata[band] for band in plan.order) if sample.nodata else ()
    image = np.ascontiguousarray(image if plan.axes.frames > 1 else image[0])
    return replace(sample, image=image, mask=mask, nodata=nodata)


def _narrow(image: Image, dtype: str, where: str) -> Image:
    """Return pixels in a type of fewer bytes; raise BadRecord where it does not have the same values."""
    with np.errstate(over="ignore"):
        narrow = image.astype(dtype)
    if not np.array_equal(narrow, image, equal_nan=True):
        raise BadRecord(where, f"expected values of {dtype}, found others")
    return narrow


def _mask(mask: Mask | None, where: str, task: Task) -> Mask:
    if mask is None:
        raise BadRecord(where, "expected a mask with the image, found none")
    if mask.ndim == 3 and 1 in (mask.shape[0], mask.shape[-1]):
        mask = mask[0] if mask.shape[0] == 1 else mask[..., 0]
    strange = set(np.unique(mask).tolist()) - {*range(len(task.classes)), IGNORE}
    if strange:
        raise BadRecord(
            where, f"expected mask values below {len(task.classes)} or {IGNORE}, found {few(sorted(strange))}"
        )
    return np.ascontiguousarray(mask.astype(np.uint8))
