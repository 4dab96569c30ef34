"""A folder that `datasets.load_dataset` and the viewer of the Hugging Face hub take: Parquet files and a card.

data/SPLIT-….parquet has a row a sample: its image and mask as nested lists, which pandas, duckdb and polars read too, a
preview as PNG, labels, objects, and the columns of the index that describe a sample.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sar_data.exporters.hf_card import SPLITS, card
from sar_data.exporters.hf_columns import KEPT, label_columns, schema_of
from sar_data.exporters.source import Row, Source, labels_of
from sar_data.raster.gdal import encode
from sar_data.record import Image, Mask
from sar_data.views.stretch import stretch, units_of

FILE_BYTES, GROUP_BYTES, GROUP_ROWS = 400 << 20, 32 << 20, 1000  # of a file, of a row group: what a viewer loads


def write(source: Source, folder: Path) -> None:
    """Write the files of all splits and the card."""
    (folder / "data").mkdir()
    for split in source.splits:
        _write_split(source, split, folder / "data")
    (folder / "README.md").write_text(card(source), encoding="utf-8")


def _write_split(source: Source, split: str, folder: Path) -> None:
    """Write the files of a split, each of several row groups."""
    schema, samples, rest = schema_of(source), source.samples(split), len(source.rows(split))
    a_group = max(1, min(GROUP_ROWS, GROUP_BYTES // source.largest_bytes))
    a_file = a_group * max(1, FILE_BYTES // source.largest_bytes // a_group)
    files = -(-rest // a_file)
    for number in range(files):
        path = folder / f"{SPLITS[split]}-{number:05d}-of-{files:05d}.parquet"
        # Values of pixels do not repeat: a dictionary of them would only be tried in vain.
        with pq.ParquetWriter(path, schema, use_dictionary=False) as writer:
            for start in range(0, min(a_file, rest), a_group):
                part = [next(samples) for _ in range(min(a_group, min(a_file, rest) - start))]
                writer.write_table(_table(source, part, schema))
        rest -= a_file


def _table(source: Source, samples: Sequence[tuple[Row, Image, Mask | None]], schema: pa.Schema) -> pa.Table:
    """Return the rows of some samples."""
    rows = [row for row, _, _ in samples]
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in ("key", *KEPT)}
    for name, task in label_columns(source).items():
        labels = [labels_of(row, task) for row in rows]
        columns[name] = [next(iter(row), None) for row in labels] if task.kind == "multiclass" else labels
    columns["preview"] = [{"bytes": _preview(source, image), "path": f"{row['key']}.png"} for row, image, _ in samples]
    arrays = {name: pa.array(values, schema.field(name).type) for name, values in columns.items()}
    arrays["image"] = nest([image for _, image, _ in samples]).cast(schema.field("image").type)
    if source.layout.mask:
        arrays["mask"] = nest([mask for _, _, mask in samples if mask is not None])
    return pa.table([arrays[name] for name in schema.names], schema=schema)


def nest(arrays: Sequence[Image]) -> pa.Array:
    """Return arrays of one number of axes as a column of nested lists."""
    column = pa.array(np.concatenate([array.ravel() for array in arrays]))
    for axis in reversed(range(arrays[0].ndim)):
        lengths = np.concatenate([np.full(math.prod(array.shape[:axis]), array.shape[axis]) for array in arrays])
        column = pa.ListArray.from_arrays(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32), column)
    return column


def _preview(source: Source, image: Image) -> bytes:
    """Return a picture of an image, of the first of several frames, stretched by its own values, as PNG."""
    first = image.reshape(-1, *image.shape[-3:])[0].astype(np.float32)
    (picture,), _ = stretch([first], units_of(source.manifest))
    return encode((picture.transpose(2, 0, 1) * 255).round().astype(np.uint8), "PNG")
