"""Checks of an index against its manifest: no offset, size or label leads out of a shard or a list.

Readers of pixels turn the numbers of an index into addresses, so all of them are checked first, a column at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sar_data.errors import BuildError
from sar_data.formats.container import Grid, Layout, Shard
from sar_data.record import FARTHEST, Record
from sar_data.sealed.index import value_of
from sar_data.sealed.manifest import Manifest
from sar_data.spec import is_change

FARTHEST_BYTE = 1 << 62  # largest offset in a file of unknown size
FAR = 1 << 24  # pixels from an image's corner; rotated boxes and polygons may leave the image
PIXELS = f"objects within {FAR} pixels"
SIDES = "rotated boxes with sides above 0"
FIRST, LAST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def check_bounds(rows: pa.Table, manifest: Manifest, layout: Layout, split: str, where: object) -> None:
    """Raise BuildError where rows of one split, or their shards, contradict the manifest.

    `rows` has any columns of the index, with `key`; missing columns are not checked.
    """
    _check_shards(manifest, layout, split, where)
    _check(rows, chain(_places(rows, manifest, layout, split), _lists(rows), _records(rows, manifest)), where)


def check_unused(rows: pa.Table, manifest: Manifest, where: object) -> None:
    """Raise BuildError where the records of rows without a shard contradict the manifest."""
    _check(rows, _records(rows, manifest), where)


def record_flaw(record: Record) -> str | None:
    """Return the first value of a record that is out of the bounds of an index, as text; None where there is none."""
    times = [time for time in (record.time, *(date.time for date in record.dates)) if time is not None]
    if late := next((time for time in times if time.tzinfo and not FIRST <= time < LAST), None):
        return f"expected a time of {FIRST.year} to {LAST.year}, found {late}"
    for name, numbers in (("transform", record.transform), ("footprint", record.footprint)):
        # The sum is a fast first test: if it is in the bounds, each number is.
        if numbers and not sum(map(abs, numbers)) <= FARTHEST and not all(abs(n) <= FARTHEST for n in numbers):
            return f"expected a {name} of numbers up to {FARTHEST:g}, found {numbers}"
    if not all(side > 0 for item in record.objects if item.rotated for side in item.rotated[2:4]):
        return f"expected {SIDES}"
    outlines = ((*item.box, *(item.rotated or ()), *chain(*item.polygons)) for item in record.objects)
    return None if all(abs(number) <= FAR for numbers in outlines for number in numbers) else f"expected {PIXELS}"


def _check(rows: pa.Table, rules: Iterable[tuple[str, Any, str]], where: object) -> None:
    """Raise BuildError for the first row that breaks a rule (column, whether each row is right, what is expected)."""
    for name, right, expected in rules:
        wrong = pc.invert(pc.fill_null(right, False))
        if pc.any(wrong).as_py():
            key, value = (_shown(rows[column].filter(wrong)[0]) for column in ("key", name))
            raise BuildError(f"{where}: {key}: expected {expected}, found {name} {value}")


def _shown(value: pa.Scalar) -> str:
    try:
        return str(value.as_py())[:200]
    except (ValueError, OverflowError):  # a time outside of Python's range of dates
        return f"a {value.type} out of range"


def _check_shards(manifest: Manifest, layout: Layout, split: str, where: object) -> None:
    """Raise BuildError where a shard has another name, file or size than its container gives it."""
    container, document = manifest.container, manifest.splits[split]
    for number, shard in enumerate(document.shards):
        own = Shard(split, number, shard.count, document.shard_length, 0)
        if (shard.name, shard.file) != (own.name, container.file(own, layout)):
            raise BuildError(f"{where}: expected shard {own.name} in {container.file(own, layout)}, found {shard.file}")
        least, most = container.size(layout, own, "image")
        if not least <= shard.bytes <= (shard.bytes if most is None else most):
            raise BuildError(f"{where}: shard {shard.name}: expected {least} bytes, found {shard.bytes}")


def _places(rows: pa.Table, manifest: Manifest, layout: Layout, split: str) -> Iterator[tuple[str, Any, str]]:
    """Yield column, whether each row is right, and what is expected, for shards, offsets and sizes."""
    document, there = manifest.splits[split], set(rows.column_names)
    shards = len(document.shards)
    yield "shard", pc.less(rows["shard"], shards), f"one of {shards} shards of {split}"
    if not pc.all(pc.fill_null(pc.less(rows["shard"], shards), False)).as_py():
        return  # the other rules need the size of the shard
    if "position" in there:
        yield "position", pc.less(rows["position"], document.shard_length), f"a slot below {document.shard_length}"
    if "xxh3" in there:
        yield "xxh3", _is_hash(rows["xxh3"]), "a hash"
    if "mask_xxh3" in there:
        right = _is_hash if layout.mask else pc.is_null
        yield "mask_xxh3", right(rows["mask_xxh3"]), "a hash" if layout.mask else "no mask"
    if {"height", "width"} <= there:
        yield from _sizes(rows, layout, _bytes(rows, manifest, split))
    container = manifest.container
    if container.addressing != "offset":
        return
    image: Any = layout.image_bytes()
    pixels: Any = math.prod(layout.shape or ())
    if layout.shape is None:
        if not {"height", "width"} <= there:
            return
        pixels = pc.multiply(rows["height"].cast(pa.int64()), rows["width"].cast(pa.int64()))
        image = pc.multiply(pixels, layout.image_bytes((1, 1)))
    room = _bytes(rows, manifest, split)
    if "offset" in there:
        yield from _offsets("offset", rows, image, room, container.grid(layout, "image"))
    if "mask_offset" in there and not layout.mask:
        yield "mask_offset", pc.is_null(rows["mask_offset"]), "no mask"
    elif "mask_offset" in there:
        shard = Shard(split, 0, 0, document.shard_length, 0)
        if container.mask_file(shard, layout) != container.file(shard, layout):
            most = container.size(layout, shard, "mask")[1]
            room = pa.scalar(FARTHEST_BYTE if most is None else min(most, FARTHEST_BYTE))
        yield from _offsets("mask_offset", rows, pixels, room, container.grid(layout, "mask"))


def _is_hash(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return whether each text has the length of an xxh3_128: a message that says it stays short."""
    return pc.equal(pc.binary_length(column), 32)


def _bytes(rows: pa.Table, manifest: Manifest, split: str) -> pa.ChunkedArray:
    """Return the bytes of each row's shard."""
    return pc.take(pa.array([shard.bytes for shard in manifest.splits[split].shards], pa.int64()), rows["shard"])


def _sizes(rows: pa.Table, layout: Layout, room: Any) -> Iterator[tuple[str, Any, str]]:
    if layout.shape is not None:
        for name, most in zip(("height", "width"), layout.shape, strict=True):
            yield name, pc.less_equal(rows[name], most), f"at most {most} pixels"
        return
    pixels = pc.multiply(rows["height"].cast(pa.int64()), rows["width"].cast(pa.int64()))
    most = pc.divide(room, layout.image_bytes((1, 1)))
    yield "height", pc.less_equal(pixels, most), "an image that its shard has room for"


def _offsets(name: str, rows: pa.Table, size: Any, room: Any, grid: Grid) -> Iterator[tuple[str, Any, str]]:
    """Yield the rules for the offsets of payloads of `size` bytes in shards of `room` bytes."""
    last = pc.subtract(room, size)
    yield name, pc.less_equal(rows[name], last), "a payload inside of its shard"
    beyond = pc.subtract(rows[name], grid.first)
    whole = pc.multiply(pc.divide(beyond, grid.step), grid.step)
    right = pc.and_(pc.greater_equal(beyond, 0), pc.equal(whole, beyond))
    yield name, right, f"{grid.first} and a multiple of {grid.step}" if grid.first else f"a multiple of {grid.step}"
    if grid.slotted and "position" in rows.column_names:
        offset = pc.multiply(rows["position"].cast(pa.int64()), grid.step)
        yield name, pc.equal(offset, beyond), "the place of its position"


def _lists(rows: pa.Table) -> Iterator[tuple[str, Any, str]]:
    for name in {"labels", "label_indices", "masked"} & set(rows.column_names):  # null for unused rows alone
        yield name, pc.is_valid(rows[name]), "a list, which may be empty"


def _records(rows: pa.Table, manifest: Manifest) -> Iterator[tuple[str, Any, str]]:
    """Yield column, whether each row is right, and what is expected, for the fields of records."""
    there = set(rows.column_names)
    if "files" in there:
        yield "files", pc.greater(pc.list_value_length(rows["files"]), 0), "one file at least"
    for name, length in (("transform", 6), ("footprint", 4)):
        if name in there:
            yield name, _numbers(_whole(rows[name]), length), f"{length} numbers or null"
    if "label_indices" in there:
        classes = len(manifest.tasks[0].classes) if manifest.tasks else 0
        yield "label_indices", _each(_whole(rows["label_indices"]), 0, classes), f"classes below {classes}"
    for task in manifest.tasks if "targets" in there else ():
        labels = value_of(rows["targets"], task.name)
        yield "targets", _each(labels, 0, len(task.classes)), f"classes of {task.name} below {len(task.classes)}"
    if "objects" in there:
        yield from _objects(_whole(rows["objects"]), manifest)
    if "time" in there:
        yield "time", _in_time(rows["time"]), f"a time of {FIRST.year} to {LAST.year}"
    if "dates" in there:
        dates = _whole(rows["dates"])
        late = pc.invert(_in_time(pc.struct_field(pc.list_flatten(dates), "time")))
        yield "dates", _none_of(dates, late), f"times of {FIRST.year} to {LAST.year}"
        if is_change(manifest.tasks):
            yield "dates", pc.equal(pc.list_value_length(dates), manifest.frames), f"{manifest.frames} dates"


def _in_time(times: Any) -> Any:
    """Say of each time whether it is null or from FIRST to LAST."""
    first, last = (pa.scalar(time, pa.timestamp("us", "UTC")) for time in (FIRST, LAST))
    return pc.fill_null(pc.and_(pc.greater_equal(times, first), pc.less(times, last)), True)


def _numbers(lists: pa.Array, length: int) -> Any:
    """Say of each row whether its list is null, or has `length` numbers that are not out of range on Earth."""
    right = pc.fill_null(pc.equal(pc.list_value_length(lists), length), True)
    return pc.and_(right, _none_of(lists, pc.invert(pc.less_equal(pc.abs(pc.list_flatten(lists)), FARTHEST))))


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _each(lists: Any, low: int, high: int) -> pa.Array:
    """Say of each row whether all elements of its list are at least `low` and below `high`; true for a null list."""
    flat = pc.list_flatten(lists)
    return _none_of(lists, pc.or_(pc.less(flat, low), pc.greater_equal(flat, high)))


def _none_of(lists: Any, wrong: Any) -> pa.Array:
    """Say of each row whether none of its list's elements is `wrong`."""
    lost = pc.filter(pc.list_parent_indices(lists), pc.fill_null(wrong, True))
    return pa.array(~np.isin(np.arange(len(lists)), lost.to_numpy(zero_copy_only=False)))


def _objects(lists: pa.Array, manifest: Manifest) -> Iterator[tuple[str, Any, str]]:
    classes = next((len(task.classes) for task in manifest.tasks if task.kind == "detection"), 0)
    items = pc.list_flatten(lists)
    label, box, rotated, rings = (pc.struct_field(items, f) for f in ("label", "box", "rotated", "polygons"))
    outlines = pc.list_flatten(rings)
    odd = pc.not_equal(pc.bit_wise_and(pc.list_value_length(outlines), 1), 0)
    for wrong, expected in (
        (pc.or_(pc.less(label, 0), pc.greater_equal(label, classes)), f"labels below {classes}"),
        (pc.not_equal(pc.list_value_length(box), 4), "boxes of 4 numbers"),
        (pc.fill_null(pc.not_equal(pc.list_value_length(rotated), 5), False), "rotated boxes of 5 numbers"),
        (pc.invert(_none_of(rings, odd)), "outlines of x and y"),
        (pc.invert(_none_of(box, _far(box))), PIXELS),
        (pc.invert(_none_of(rotated, _far(rotated))), PIXELS),
        (pc.invert(_none_of(rotated, _empty(rotated))), SIDES),
        (pc.invert(_none_of(rings, pc.invert(_none_of(outlines, _far(outlines))))), PIXELS),
    ):
        yield "objects", _none_of(lists, wrong), expected


def _empty(rotated: Any) -> Any:
    """Say of each number of rotated boxes whether it is a side that is not above 0."""
    numbers = pc.list_flatten(rotated)
    side = pa.array(np.isin(np.arange(len(numbers)) % 5, (2, 3)))  # a rule before this one has their lengths
    return pc.and_(side, pc.invert(pc.greater(numbers, 0)))


def _far(lists: Any) -> Any:
    """Say of each number of lists whether it is too far from an image, or no number."""
    return pc.invert(pc.less_equal(pc.abs(pc.list_flatten(lists)), FAR))
