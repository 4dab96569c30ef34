"""Rows of Arrow and Parquet files as samples: `datasets` on disk (save_to_disk) and the Parquet files of a hub.

An image is a cell: the bytes of a file, bytes and path, or lists of lists of numbers. Its label, key and split are
other cells, by their usual names; a split is also the name of a file or folder. Names of classes stand in the metadata.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from sar_data.containers import encoded
from sar_data.containers.entry import Entry, Head, Labels
from sar_data.containers.exported import FACTS, export_document, facts_of
from sar_data.containers.layouts import IMAGE_FIELDS, KEY_FIELDS, LABEL_FIELDS, SPLIT_FIELDS
from sar_data.containers.object_rows import is_objects, objects_of
from sar_data.containers.row_files import SUFFIXES, cells, column, groups
from sar_data.containers.side_table import field_of, split_word
from sar_data.errors import BadRecord, SourceError
from sar_data.labels.discovery import walk
from sar_data.labels.splits import split_of
from sar_data.labels.words import words_of
from sar_data.naming import few
from sar_data.record import Image, Sample
from sar_data.spec import Tree
from sar_data.system import strict_json

MASK = "mask"
POLARIZATIONS = ("VV", "VH", "HH", "HV")
SKIPPED = ("cache-", "tmp")  # beginnings of files in which `datasets` keeps what it computed


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The files and the columns that are used: `images` is one of all bands, or one a band, called by the band.

    `axes` are those of an image in our own export, where `more` are the columns of further tasks with their classes and
    `facts` those that say more of a sample.
    """

    files: tuple[str, ...]
    images: tuple[str, ...]
    key: str | None = None
    label: str | None = None
    split: str | None = None
    mask: str | None = None
    boxes: str | None = None
    more: tuple[tuple[str, tuple[str, ...]], ...] = ()
    axes: str = ""
    facts: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    expected = ()

    @property
    def kind(self) -> str:
        return "parquet" if self.files[0].endswith(".parquet") else "arrow"

    def sentence(self) -> str:
        used = {"key": self.key, "label": self.label, "split": self.split, "mask": self.mask}
        used |= {"list of boxes": self.boxes}
        words = ", ".join(f"{name} is the {role}" for role, name in used.items() if name)
        images = f"{few(self.images)} {'is the image' if len(self.images) == 1 else 'are the bands'}"
        return f"{self.kind.capitalize()}, a row a sample, in {few(self.files)}; {images}{', ' if words else ''}{words}"

    def entries(self, tree: Tree, bands: Sequence[str]) -> list[Entry]:  # noqa: ARG002 -- all rows have all columns
        return [entry for path in self.files for entry in _entries(tree, path, self)]

    def head(self, tree: Tree, entry: Entry) -> Head:
        labels = entry.labels
        if len(self.images) > 1:
            image = self.read(tree, entry).image
            return Head(shape=image.shape, dtype=image.dtype.name, axes="byx", bands=self.images, labels=labels)
        (cell,) = cells(tree, entry.files[0], self.images, entry.start)
        if (data := _bytes(cell)) is not None:
            head = encoded.head_of(data, entry.where, labels)
        else:
            image = _array(cell, entry.where)
            head = Head(shape=image.shape, dtype=image.dtype.name, axes=self.axes, labels=labels)
        if self.facts:
            values = [cell.as_py() for cell in cells(tree, entry.files[0], self.facts, entry.start)]
            head = replace(head, facts=facts_of(dict(zip(self.facts, values, strict=True)), entry.where))
        if self.boxes is None:
            return head
        (drawn,) = cells(tree, entry.files[0], (self.boxes,), entry.start)
        return replace(head, objects=objects_of(drawn.as_py(), (head.shape[-2], head.shape[-1]), entry.where))

    def read(self, tree: Tree, entry: Entry) -> Sample:
        path, where = entry.files[0], entry.where
        samples = [_sample(cell, where) for cell in cells(tree, path, self.images, entry.start)]
        mask = None
        if self.mask is not None:
            mask = _sample(cells(tree, path, (self.mask,), entry.start)[0], where).image
            mask = mask[0] if mask.ndim == 3 and len(mask) == 1 else mask
        if len(samples) == 1:
            return Sample(image=samples[0].image, mask=mask, nodata=samples[0].nodata, fallbacks=samples[0].fallbacks)
        planes = [sample.image.reshape(-1, *sample.image.shape[-2:]) for sample in samples]
        if len({plane.shape for plane in planes}) > 1 or len(planes[0]) != 1:
            raise BadRecord(where, f"expected a band of one size in each of {few(self.images)}, found others")
        return Sample(image=np.concatenate(planes), mask=mask)


@lru_cache(maxsize=64)
def _entries(tree: Tree, path: str, rows: Rows) -> tuple[Entry, ...]:
    count = groups(tree, path).rows
    keys, labels, splits = (
        column(tree, path, name) if name else [None] * count for name in (rows.key, rows.label, rows.split)
    )
    more = [(name, classes, column(tree, path, name)) for name, classes in rows.more]
    if rows.key is None and len(rows.images) == 1:
        keys = _paths(tree, path, rows.images[0], count)
    return tuple(
        Entry(
            name="" if keys[row] is None else str(keys[row]),
            split=split_of(path) if splits[row] is None else split_word(str(splits[row]), f"{path}, row {row}"),
            files=(path,),
            start=row,
            labels=_labels(labels[row], rows.classes, f"{path}, row {row}"),
            more=tuple((name, _labels(values[row], classes, f"{path}, row {row}")) for name, classes, values in more),
        )
        for row in range(count)
    )


def _labels(value: Any, classes: Sequence[str], where: str) -> Labels:
    if isinstance(value, int) and value < 0:  # `datasets` writes -1 where there is none
        return None
    if any(map(str.isdecimal, classes)):  # where names are numbers, a number in a cell is a place among them
        value = _name_places(value, classes)
    return words_of(value, where)


def _name_places(value: Any, classes: Sequence[str]) -> Any:
    if isinstance(value, list):
        return [_name_places(item, classes) for item in value]
    return classes[value] if type(value) is int and 0 <= value < len(classes) else value


def _paths(tree: Tree, path: str, image: str, count: int) -> list[str | None]:
    """Return the name of each row's file without its suffix, where cells have one."""
    kind = groups(tree, path).schema.field(image).type
    if not pa.types.is_struct(kind) or kind.get_field_index("path") < 0:
        return [None] * count
    names = column(tree, path, image, "path")
    paths = [name.replace("\\", "/") if isinstance(name, str) else "" for name in names]
    return [(name := path.rpartition("/")[2]).rpartition(".")[0] or name or None for path in paths]


def _bytes(cell: pa.Scalar) -> bytes | None:
    """Return the bytes of a file in a cell, None for a cell of numbers."""
    if isinstance(cell, pa.StructScalar):
        cell = cell["bytes"]
    if isinstance(cell, pa.BinaryScalar | pa.LargeBinaryScalar):
        return cell.as_py() or b""
    return None


def _sample(cell: pa.Scalar, where: str) -> Sample:
    data = _bytes(cell)
    return Sample(image=_array(cell, where)) if data is None else encoded.read(data, where)


def _array(cell: pa.Scalar, where: str) -> Image:
    """Return the numbers of nested lists as an array; raise BadRecord where they are ragged or none."""
    values, shape = cell.values if isinstance(cell, pa.ListScalar) else None, list[int]()
    if values is None:
        raise BadRecord(where, "expected an image, found none")
    shape.append(len(values))
    while (
        pa.types.is_list(values.type) or pa.types.is_large_list(values.type) or pa.types.is_fixed_size_list(values.type)
    ):
        inner = values.flatten()
        count, rest = divmod(len(inner), max(1, len(values)))
        if rest or values.null_count or any(size != count for size in values.value_lengths().to_pylist()):
            raise BadRecord(where, "expected rows of one length, found several")
        shape.append(count)
        values = inner
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type) or pa.types.is_boolean(values.type)):
        raise BadRecord(where, f"expected numbers, found {values.type}")
    array = values.to_numpy(zero_copy_only=False)
    if not array.size or not 2 <= len(shape) <= 4:
        raise BadRecord(where, f"expected an image of 2 to 4 axes, found the shape {tuple(shape)}")
    return np.asarray(array).reshape(shape)


def rows_of(tree: Tree) -> Rows | None:
    """Return the container of the Arrow or Parquet files whose rows have images, None for a tree without such files.

    Raises SourceError where their columns differ.
    """
    columns: dict[tuple[Any, ...], list[str]] = {}
    classes: tuple[str, ...] = ()
    exported = export_document(tree)
    tasks = exported.labels if exported else ()
    for path in walk(tree):
        name = path.rpartition("/")[2]
        if not name.endswith(SUFFIXES) or name.startswith(SKIPPED):
            continue
        try:
            schema = groups(tree, path).schema
        except BadRecord:
            if name.endswith(".parquet"):  # a table of another tool
                continue
            raise
        if images := _images(schema, path):
            rest = [name for name in schema.names if name not in images]
            chosen: dict[str, Any] = {role: field_of(rest, names, path) for role, names in ROLES.items()}
            chosen["more"] = tuple(
                (name, names) for name, names in tasks if name in rest and name not in chosen.values()
            )
            chosen["boxes"] = next((field.name for field in schema if is_objects(field.type)), None)
            columns.setdefault((images, *chosen.values()), []).append(path)
            classes = classes or _classes(tree, path, schema, chosen["label"])
    if not columns:
        return None
    if len(columns) > 1:
        shown = "; ".join(f"{few([*names[0]])} in {few(paths)}" for names, paths in columns.items())
        raise SourceError(f"expected files of the same columns, found {shown}: name the folder of one kind")
    (((images, *chosen_columns), paths),) = columns.items()
    axes = "" if exported is None else "fbyx" if exported.frames > 1 else "byx"
    names = groups(tree, paths[0]).schema.names
    facts = tuple(name for name in FACTS if exported and name in names)
    if exported and not classes and chosen_columns[list(ROLES).index("label")] is not None:
        classes = next((names for _, names in exported.labels), ())
    parts = dict(zip((*ROLES, "more", "boxes"), chosen_columns, strict=True))
    return Rows(files=tuple(paths), images=images, classes=classes, axes=axes, facts=facts, **parts)


ROLES: Mapping[str, tuple[str, ...]] = {
    "key": KEY_FIELDS,
    "label": LABEL_FIELDS,
    "split": SPLIT_FIELDS,
    "mask": (MASK, "segmentation", "annotation"),
}


def _images(schema: pa.Schema, path: str) -> tuple[str, ...]:
    """Return the columns with images: the most likely name, else a column a polarization, else the first of files."""
    possible = [field.name for field in schema if _is_image(field.type)]
    if (name := field_of(possible, IMAGE_FIELDS, path)) is not None:
        return (name,)
    if bands := tuple(filter(None, (field_of(possible, (band.lower(),), path) for band in POLARIZATIONS))):
        return bands
    return tuple(name for name in possible if pa.types.is_struct(schema.field(name).type))[:1]


def _is_image(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if pa.types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return True
    return bool(_is_list(kind) and _is_list(kind.value_type))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _classes(tree: Tree, path: str, schema: pa.Schema, label: str | None) -> tuple[str, ...]:
    """Return the names of a label's numbers, by the metadata of `datasets` in the schema or beside the file."""
    documents = [(schema.metadata or {}).get(b"huggingface", b"{}")]
    beside = f"{path.rpartition('/')[0]}/dataset_info.json".removeprefix("/")
    with suppress(BadRecord):
        documents.append(tree.head(beside, 1 << 20))
    for document in documents:
        try:
            facts = strict_json.loads(document)
            feature = facts.get("info", facts).get("features", {}).get(label) or {}
            feature = feature.get("feature", feature)
            return tuple(map(str, feature["names"]))
        except (AttributeError, KeyError, TypeError, ValueError):
            continue
    return ()
