"""One LMDB over all splits and a table beside it, as ConfigILM's dataset of BigEarthNet v2 reads them.

images.lmdb has, under the name of each patch, safetensors of one tensor [y, x] a band. The table has one row a patch,
with the names of its classes in the order of the alphabet; the split is `validation`, not val. Patches with snow or
clouds are in this table, too: their flags alone decide what the reader takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sar_data.containers.layouts import CONFIGILM_COLUMNS, CONFIGILM_SPLITS, CONFIGILM_TABLE
from sar_data.exporters.lmdb_file import write_environment
from sar_data.exporters.source import Row, Source, labels_of
from sar_data.formats.lmdb import value_header
from sar_data.sealed.documents import TaskDocument

IMAGES = "images.lmdb"
EXTRA_TABLE = "metadata_for_patches_with_snow_cloud_or_shadow.parquet"  # which the reader asks for, too; it has no row
HEADER = 1 << 12  # bytes that the names of tensors take at most
FLAGS = ("contains_seasonal_snow", "contains_cloud_or_shadow")
TYPES = {"labels": pa.list_(pa.string()), **dict.fromkeys(FLAGS, pa.bool_())}
SCHEMA = pa.schema([(name, TYPES.get(name, pa.string())) for name in CONFIGILM_COLUMNS])


def write(source: Source, folder: Path) -> None:
    """Write images and tables; raise UsageError for a build without classes, or of several frames a sample."""
    task = source.task("multilabel", "multiclass")
    source.check_single()
    items = (item for split in source.splits for item in _items(source, split))
    write_environment(folder / IMAGES, items, len(source.index), source.largest_bytes + HEADER)
    rows = [_table_row(row, task) for row in source.index.select(["key", "split", "targets", "attrs"]).to_pylist()]
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), folder / CONFIGILM_TABLE)
    pq.write_table(SCHEMA.empty_table(), folder / EXTRA_TABLE)


def _items(source: Source, split: str) -> Iterator[tuple[str, bytes]]:
    """Yield key and value of each sample; bands lie in the order of their names, as safetensors sorts them."""
    layout = source.layout
    order = [layout.bands.index(name) for name in sorted(layout.bands)]
    for row, image, mask in source.samples(split):
        head = value_header(layout, (image.shape[-2], image.shape[-1]))
        value = head + np.ascontiguousarray(image[order]).tobytes() + (b"" if mask is None else mask.tobytes())
        yield row["key"], value


def _table_row(row: Row, task: TaskDocument) -> Row:
    """Return a patch's row of the table; what the build does not know is empty, and a flag that it does not know false.

    Flags are attributes of samples, as the variant "all" of BigEarthNet v2.0 takes them from the published table.
    """
    attrs = {attr["name"]: attr["value"] for attr in row["attrs"] or ()}
    return {
        "patch_id": attrs.get("s2_name", row["key"]),
        "labels": sorted(task.classes[label] for label in labels_of(row, task)),
        "split": CONFIGILM_SPLITS[row["split"]],
        "country": attrs.get("country", ""),
        "s1_name": row["key"],
        "s2v1_name": "",
        **{flag: attrs.get(flag) == "true" for flag in FLAGS},
    }
