"""LMDB of pickled tuples: bytes and shape of an image, and the bytes of its classes, under decimal keys.

Three layouts circulate (containers/layouts.py): two of FG-MAE's BigEarthNet, one of SSL4EO-S12. The number of parts
says which one a file has. A bare whole number in the place of the target's bytes is the class.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sar_data.containers.entry import Entry, Head
from sar_data.containers.layouts import KEYS_FILE, PICKLES, PickleLayout
from sar_data.containers.lmdb_values import Place, first_values, hidden_keys, places
from sar_data.containers.pickled import Span, Value, parse
from sar_data.errors import BadRecord
from sar_data.labels.splits import split_of
from sar_data.naming import few
from sar_data.record import Sample
from sar_data.spec import Tree
from sar_data.text import decode

MAGIC = b"\x80"
MOST_AXES = 4
MOST_TARGET = 1 << 16  # bytes
DTYPES = {1: "uint8", 4: "float32", 8: "float64"}
LEAST = 1e-30  # whole numbers that are read as floats are far below it, and no backscatter is
NPY = "Save the images as .npy files, which say their type"


@dataclass(frozen=True, slots=True, kw_only=True)
class PickleLmdb:
    """The environments of one layout, and their keys that are no samples."""

    files: tuple[str, ...]
    layout: PickleLayout
    hidden: tuple[str, ...] = ()
    kind = "lmdb-pickle"
    classes = ()

    @property
    def expected(self) -> tuple[str, ...]:
        return self.layout.bands

    def sentence(self) -> str:
        parts = ", ".join(part.replace("_", " ") for part in self.layout.parts)
        left = f"; keys that are no samples: {few(self.hidden)}" if self.hidden else ""
        return f"LMDB of pickled tuples ({parts}), the layout {self.layout.name}, in {few(self.files)}{left}"

    def entries(self, tree: Tree, bands: Sequence[str]) -> list[Entry]:  # noqa: ARG002 -- a tuple has no names of bands
        entries = []
        for path in self.files:
            split, values = split_of(path), [place for place in places(tree, path) if not place.hidden]
            names = _names(tree, split, len(values))
            for place in values:
                name = names.get(place.name, place.name)
                entries.append(Entry(name=name, split=split, files=(path,), start=place.start, size=place.size))
        return entries

    def head(self, tree: Tree, entry: Entry) -> Head:
        shape, image, target = self._parts(tree, entry)
        dtype = _dtype(shape, image.size, entry)
        labels = None if target is None else _labels(tree, target, entry)
        axes = self.layout.axes if len(shape) == len(self.layout.axes) else ""
        return Head(shape=shape, dtype=dtype, axes=axes, labels=labels)

    def read(self, tree: Tree, entry: Entry) -> Sample:
        shape, image, _ = self._parts(tree, entry)
        data = tree.pread(entry.files[0], entry.start + image.start, image.size)
        dtype = np.dtype(_dtype(shape, len(data), entry)).newbyteorder("<")
        pixels = np.frombuffer(data, dtype).reshape(shape)
        if dtype.kind == "f" and 0 < (most := float(np.fmax.reduce(np.abs(pixels), axis=None))) < LEAST:
            raise BadRecord(
                entry.where, f"expected {dtype.name}, found at most {most:.0e}: whole numbers, likely. {NPY}"
            )
        return Sample(image=pixels)

    def _parts(self, tree: Tree, entry: Entry) -> tuple[tuple[int, ...], Span, Value | None]:
        """Return the shape, the place of the image in the value, and the target; raise BadRecord for other parts."""
        path, start = entry.files[0], entry.start
        values = parse(lambda at, size: tree.pread(path, start + at, size), entry.size, entry.where)
        if len(values) != len(self.layout.parts):
            expected = (
                f"expected {len(self.layout.parts)} parts ({', '.join(self.layout.parts)}), as in the first value"
            )
            raise BadRecord(entry.where, f"{expected}, found {len(values)}")
        parts = dict(zip(self.layout.parts, values, strict=True))
        shape, image = parts["shape"], parts["image"]
        if not isinstance(image, Span):
            raise BadRecord(entry.where, f"expected the bytes of an image, found {image!r:.80}")
        sides = [side for side in shape if isinstance(side, int)] if isinstance(shape, tuple) else []
        if not isinstance(shape, tuple) or len(sides) != len(shape) or not 2 <= len(sides) <= MOST_AXES:
            raise BadRecord(entry.where, f"expected a shape of 2 to {MOST_AXES} numbers, found {shape!r:.80}")
        if any(side < 1 for side in sides):
            raise BadRecord(entry.where, f"expected an image with pixels, found the shape {shape}")
        return tuple(sides), image, parts.get("target")


def _names(tree: Tree, split: str | None, count: int) -> dict[str, str]:
    """Return key → name by the list of names that our export writes, {} where there is none of so many lines."""
    path = KEYS_FILE.format(split=split)
    if path not in tree.files():
        return {}
    lines = decode(tree.read(path)).splitlines()
    return {str(number): line for number, line in enumerate(lines)} if len(lines) == count else {}


def _dtype(shape: tuple[int, ...], size: int, entry: Entry) -> str:
    """Return the type of an image by its bytes a number, which the layouts do not say; raise BadRecord for others."""
    count = math.prod(shape)
    each, rest = divmod(size, count)
    if rest or each not in DTYPES:
        sizes = f"{count:,} numbers of uint8, float32 or float64, as the shape {shape} says"
        raise BadRecord(entry.where, f"expected {sizes}, found {size:,} bytes. {NPY}")
    return DTYPES[each]


def _labels(tree: Tree, target: Value, entry: Entry) -> tuple[str, ...] | bytes:
    if isinstance(target, int):
        return (str(target),)
    if isinstance(target, str):
        return (target,)
    if not isinstance(target, Span) or target.size > MOST_TARGET:
        raise BadRecord(entry.where, f"expected the bytes of a target, or a whole number, found {target!r:.80}")
    return tree.pread(entry.files[0], entry.start + target.start, target.size)


def pickle_lmdb(tree: Tree, files: Sequence[str]) -> PickleLmdb:
    """Return the container of files whose values are pickles; raise BadRecord or SourceError for another layout."""
    flaws = []
    for place in first_values(tree, files[0]):
        try:
            layout = _layout(tree, files[0], place)
        except BadRecord as flaw:  # metadata of another kind, likely
            flaws.append(flaw)
        else:
            return PickleLmdb(files=tuple(files), layout=layout, hidden=hidden_keys(tree, files))
    raise flaws[0]


def _layout(tree: Tree, path: str, place: Place) -> PickleLayout:
    where = f"{path}, key {place.name}"
    values = parse(lambda at, size: tree.pread(path, place.start + at, size), place.size, where)
    if (layout := PICKLES.get(len(values))) is None:
        known = "; ".join(f"({', '.join(other.parts)})" for other in PICKLES.values())
        raise BadRecord(where, f"expected a tuple of one of the parts {known}, found {len(values)} parts")
    return layout
