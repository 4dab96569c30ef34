"""A folder that `datasets.load_dataset` and the viewer of the Hugging Face hub take: Parquet files and a card.

data/SPLIT-….parquet has a row a sample: its image and mask as nested lists, which pandas, duckdb and polars read too, a
preview as PNG, labels, objects, and the columns of the index that describe a sample. README.md, the card, has the types
by which `datasets` makes arrays of lists, and names of classes.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sar_data.exporters.source import Row, Source, labels_of
from sar_data.raster.gdal import encode
from sar_data.record import Image, Mask
from sar_data.sealed.documents import TaskDocument
from sar_data.views.stretch import stretched, units_of

SPLITS = {"train": "train", "val": "validation", "test": "test"}
KEPT = ("objects", "group", "place", "time", "orbit_pass", "relative_orbit", "dates", "crs", "transform", "footprint")
KEPT += ("reference_frame", "attrs")
"""Columns of the index that a row has as they are."""
FILE_BYTES, GROUP_BYTES, GROUP_ROWS = 400 << 20, 32 << 20, 1000  # of a file, of a row group; what viewers ask for
LABELS = ("multiclass", "multilabel")
LICENCES = re.compile(r"cc-by(-nc)?(-sa|-nd)?-\d\.\d|cc0-1\.0|mit|apache-2\.0|cdla-permissive-\d\.\d")
TASKS = {"multiclass": "image-classification", "multilabel": "image-classification"}
TASKS |= {"segmentation": "image-segmentation", "detection": "object-detection"}
PREVIEW = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
Feature = str | dict[str, Any] | list[dict[str, Any]]


def write(source: Source, folder: Path) -> None:
    """Write the files of all splits and the card."""
    (folder / "data").mkdir()
    for split in source.splits:
        _write_split(source, split, folder / "data")
    (folder / "README.md").write_text(card(source), encoding="utf-8")


def _write_split(source: Source, split: str, folder: Path) -> None:
    """Write the files of a split, each of several row groups."""
    count, schema = len(source.rows(split)), schema_of(source)
    size = source.largest_bytes
    a_group = max(1, min(GROUP_ROWS, GROUP_BYTES // size))
    a_file = max(1, FILE_BYTES // size // a_group) * a_group
    names = [f"{SPLITS[split]}-{number:05d}-of-{-(-count // a_file):05d}.parquet" for number in range(-(-count // a_file))]
    samples = source.samples(split)
    for number, name in enumerate(names):
        rest = min(a_file, count - number * a_file)
        # Pixels of a radar do not repeat: a dictionary of their values would only be tried in vain.
        with pq.ParquetWriter(folder / name, schema, use_dictionary=False) as writer:
            while rest:
                part = [next(samples) for _ in range(min(a_group, rest))]
                writer.write_table(_table(source, part, schema))
                rest -= len(part)


def label_columns(source: Source) -> dict[str, TaskDocument]:
    """Return column → task of the labels of images: `label` or `labels` of the first task, the others' own names."""
    usual = {"multiclass": "label", "multilabel": "labels"}
    tasks = [(number, task) for number, task in enumerate(source.manifest.tasks) if task.kind in LABELS]
    return {usual[task.kind] if number == 0 else task.name: task for number, task in tasks}


def schema_of(source: Source) -> pa.Schema:
    """Return the columns of the files."""
    several = pa.list_(pa.int64())
    labels = [(name, pa.int64() if task.kind == "multiclass" else several) for name, task in label_columns(source).items()]
    image = pa.from_numpy_dtype(_pixel_type(source))
    for _ in source.layout.image_shape():
        image = pa.list_(image)
    masks = [("mask", pa.list_(pa.list_(pa.uint8())))] if source.layout.mask else []
    kept = [(name, source.index.schema.field(name).type) for name in KEPT]
    return pa.schema([("key", pa.string()), ("preview", PREVIEW), *labels, *kept, ("image", image), *masks])


def _pixel_type(source: Source) -> str:
    """Return the type of pixels; float16, which not every library has, becomes float32."""
    return "float32" if source.dtype == "float16" else source.dtype


def _table(source: Source, samples: Sequence[tuple[Row, Image, Mask | None]], schema: pa.Schema) -> pa.Table:
    """Return the rows of some samples."""
    rows = [row for row, _, _ in samples]
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in ("key", *KEPT)}
    for name, task in label_columns(source).items():
        labels = [labels_of(row, task) for row in rows]
        columns[name] = [numbers[0] for numbers in labels] if task.kind == "multiclass" else labels
    columns["preview"] = [{"bytes": preview(source, image), "path": f"{row['key']}.png"} for row, image, _ in samples]
    arrays = {name: pa.array(values, schema.field(name).type) for name, values in columns.items()}
    arrays["image"] = nested([image for _, image, _ in samples]).cast(schema.field("image").type)
    if source.layout.mask:
        arrays["mask"] = nested([mask for _, _, mask in samples if mask is not None])
    return pa.table([arrays[name] for name in schema.names], schema=schema)


def nested(arrays: Sequence[Image]) -> pa.Array:
    """Return arrays of one number of axes as one column of nested lists."""
    column = pa.array(np.concatenate([array.ravel() for array in arrays]))
    for axis in reversed(range(arrays[0].ndim)):
        lengths = np.concatenate([np.full(math.prod(array.shape[:axis]), array.shape[axis]) for array in arrays])
        column = pa.ListArray.from_arrays(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32), column)
    return column


def preview(source: Source, image: Image) -> bytes:
    """Return a picture of an image, of the first of several frames, stretched by its own values, as PNG."""
    first = image.reshape(-1, *image.shape[-3:])[0].astype(np.float32)
    (picture,), _ = stretched([first], units_of(source.manifest))
    return encode((picture.transpose(2, 0, 1) * 255).round().astype(np.uint8), "PNG")


def feature_of(kind: pa.DataType) -> Feature:
    """Return the type of a column as a card says it."""
    if pa.types.is_list(kind):
        inner = feature_of(kind.value_type)
        return {"list": inner}
    if pa.types.is_struct(kind):
        return [_entry(field.name, feature_of(field.type)) for field in kind]
    return {"float": "float32", "double": "float64"}.get(str(kind), str(kind))


def _entry(name: str, feature: Feature) -> dict[str, Any]:
    """Return a named feature."""
    is_list = isinstance(feature, dict) and "list" in feature
    return {"name": name, **(feature if is_list else {"dtype": feature})}  # type: ignore[dict-item]


def _features(source: Source) -> list[dict[str, Any]]:
    """Return the features of all columns, as a card says them: arrays where all images have one size."""
    schema, layout = schema_of(source), source.layout
    features: dict[str, Feature] = {field.name: feature_of(field.type) for field in schema if field.name != "preview"}
    features["preview"] = "image"
    for name, task in label_columns(source).items():
        named = {"class_label": {"names": {str(number): label for number, label in enumerate(task.classes)}}}
        features[name] = named if task.kind == "multiclass" else {"list": named}
    if layout.shape is not None:
        shapes = {"image": layout.image_shape(), **({"mask": layout.shape} if layout.mask else {})}
        kinds = {"image": _pixel_type(source), "mask": "uint8"}
        for name, shape in shapes.items():
            features[name] = {f"array{len(shape)}_d": {"shape": list(shape), "dtype": kinds[name]}}
    return [_entry(name, features[name]) for name in schema.names]


def card(source: Source) -> str:
    """Return the dataset card: what the hub and `datasets` read, then a page for people."""
    manifest = source.manifest
    licence = re.sub(r"\s+", "-", manifest.licence.lower())
    known = LICENCES.fullmatch(licence) is not None
    fields: dict[str, Any] = {
        "pretty_name": manifest.title,
        "license": licence if known else "other",
        **({} if known else {"license_name": re.sub(r"[^a-z0-9.]+", "-", licence).strip("-")}),
        "task_categories": list(dict.fromkeys(TASKS[task.kind] for task in manifest.tasks if task.kind in TASKS)),
        "tags": ["SAR", "remote sensing"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [
                    {"split": SPLITS[split], "path": f"data/{SPLITS[split]}-*.parquet"} for split in source.splits
                ],
            }
        ],
        "dataset_info": {"features": _features(source)},
    }
    # A line of JSON is YAML, too.
    head = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in fields.items()]
    counts = [f"| {SPLITS[split]} | {manifest.splits[split].count:,} |" for split in source.splits]
    figures = manifest.normalization
    bands = [
        f"| {band.name} | {band.unit} | {band.calibration} | "
        + (" | ".join(figures.digits(band.name)) if figures and band.name in figures.mean else " | ")
        + " |"
        for band in manifest.bands
    ]
    lines = ["---", *head, "---", "", f"# {manifest.title}", ""]
    lines += ["| split | samples |", "|---|---|", *counts, ""]
    lines += ["| band | unit | calibration | mean of train | std of train |", "|---|---|---|---|---|", *bands, ""]
    lines += [
        "`image` has the bands in this order, in these units, without normalization; missing pixels are NaN. `preview` is",
        "a stretched picture for the eye.",
        "",
        f"Licence: {manifest.licence}. Citation: {manifest.citation}",
        "",
        f"Exported by sar-data from the build {manifest.format}-{manifest.recipe_digest[:8]} of {manifest.dataset} "
        f"{manifest.version}, content digest `{manifest.content_digest}`.",
    ]
    return "\n".join(lines) + "\n"
