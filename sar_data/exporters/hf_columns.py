"""Columns of the Parquet files for the Hugging Face hub: their Arrow types, and the types that a card says."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from sar_data.exporters.source import Source
from sar_data.sealed.documents import TaskDocument

KEPT = (
    *("objects", "group", "place", "time", "orbit_pass", "relative_orbit", "dates", "crs", "transform", "footprint"),
    *("reference_frame", "attrs"),
)
"""Columns of the index that a row has as they are."""
LABEL_COLUMNS = {"multiclass": "label", "multilabel": "labels"}
PREVIEW = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
Feature = str | dict[str, Any] | list[dict[str, Any]]


def label_columns(source: Source) -> dict[str, TaskDocument]:
    """Return column → task of the labels of images: `label` or `labels` of the first task, the others' own names."""
    tasks = [(number, task) for number, task in enumerate(source.manifest.tasks) if task.kind in LABEL_COLUMNS]
    return {LABEL_COLUMNS[task.kind] if number == 0 else task.name: task for number, task in tasks}


def pixel_type(source: Source) -> str:
    """Return the type of pixels; float16, which not every library has, becomes float32."""
    return "float32" if source.layout.dtype == "float16" else source.layout.dtype


def schema_of(source: Source) -> pa.Schema:
    """Return the columns; images are lists of lists, which every library of tables reads."""
    labels = [
        (name, pa.int64() if task.kind == "multiclass" else pa.list_(pa.int64()))
        for name, task in label_columns(source).items()
    ]
    image = pa.from_numpy_dtype(pixel_type(source))
    for _ in source.layout.image_shape():
        image = pa.list_(image)
    masks = [("mask", pa.list_(pa.list_(pa.uint8())))] if source.layout.mask else []
    kept = [(name, source.index.schema.field(name).type) for name in KEPT]
    return pa.schema([("key", pa.string()), ("preview", PREVIEW), *labels, *kept, ("image", image), *masks])


def features_of(source: Source) -> list[dict[str, Any]]:
    """Return the types by which `datasets` decodes previews, names classes and makes arrays of images of one size."""
    schema, layout = schema_of(source), source.layout
    features: dict[str, Feature] = {field.name: _feature(field.type) for field in schema if field.name != "preview"}
    features["preview"] = "image"
    for name, task in label_columns(source).items():
        named = {"class_label": {"names": {str(number): label for number, label in enumerate(task.classes)}}}
        features[name] = named if task.kind == "multiclass" else {"list": named}
    if layout.shape is not None:
        features["image"] = _array(layout.image_shape(), pixel_type(source))
    if layout.shape is not None and layout.mask:
        features["mask"] = _array(layout.shape, "uint8")
    return [_entry(name, features[name]) for name in schema.names]


def _feature(kind: pa.DataType) -> Feature:
    """Return the type of a column in the words of `datasets`."""
    if pa.types.is_list(kind):
        return {"list": _feature(kind.value_type)}
    if pa.types.is_struct(kind):
        return [_entry(field.name, _feature(field.type)) for field in kind]
    return {"float": "float32", "double": "float64"}.get(str(kind), str(kind))


def _array(shape: tuple[int, ...], dtype: str) -> Feature:
    return {f"array{len(shape)}_d": {"shape": list(shape), "dtype": dtype}}


def _entry(name: str, feature: Feature) -> dict[str, Any]:
    """Return a feature with its name: a list stands beside the name, any other type under `dtype`."""
    if isinstance(feature, dict) and "list" in feature:
        return {"name": name, **feature}
    return {"name": name, "dtype": feature}
