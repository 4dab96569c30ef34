"""samples.parquet: the statistics of every image and band, a row each, in the order of the packed index rows.

Statistics of a split, a class, a pass or a season are merged from these rows.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sar_data.sealed.index import describe_columns
from sar_data.sealed.parquet_file import read_columns
from sar_data.statistics.figures import DOMAINS, ENDS, FIGURES, QUANTILE_NAMES
from sar_data.statistics.stats import REASONS
from sar_data.statistics.thumbnail import CELLS, SIDE, STEPS, Thumbs

SAMPLES_NAME = "samples.parquet"
THUMBNAIL = "thumbnail"
LATER = (*ENDS, THUMBNAIL)  # columns that builds of this schema may lack
CLOSE = 1e-9  # relative: another machine's exp and log may differ in the last bits
NAMES = pa.dictionary(pa.int32(), pa.string())
MEANINGS = {
    "count": "valid pixels",
    "mean": "mean of the valid pixels, in the stored unit",
    "variance": "their variance, divided by the count",
    "min": "the smallest valid pixel",
    "max": "the largest valid pixel",
    "zeros": "valid pixels that are exactly 0",
    "at_min": "valid pixels that are the smallest one; null of a build that was sealed before these were counted",
    "at_max": "valid pixels that are the largest one; null likewise",
    "nodata": "pixels that the source marks as no data",
    "nan": "other pixels that are NaN",
    "inf": "pixels that are infinite",
    **{name: f"{name[1:]} % of the valid pixels are at most this, linear between pixels" for name in QUANTILE_NAMES},
}
IN_DOMAIN = {
    "count": "valid pixels that have a value in {}; null where the unit has no such domain",
    "mean": "mean of these values",
    "variance": "variance of these values, divided by the count",
}


def _kind(figure: str) -> pa.DataType:
    if figure in ("zeros", *ENDS, *REASONS) or figure.endswith("count"):
        return pa.int64()
    return pa.float32() if figure in ("min", "max", *QUANTILE_NAMES) else pa.float64()


def _meaning(figure: str) -> str:
    if figure in MEANINGS:
        return MEANINGS[figure]
    domain, _, name = figure.partition("_")
    return IN_DOMAIN[name].format(next(known for known in DOMAINS if known.lower() == domain))


def _field(name: str, kind: pa.DataType, meaning: str) -> pa.Field:
    return pa.field(name, kind, metadata={"description": meaning})


SAMPLES = pa.schema(
    [
        _field("key", pa.string(), "the sample's name, as in index.parquet"),
        _field("split", NAMES, "train, val or test"),
        _field("band", NAMES, "the band's name"),
        *(_field(figure, _kind(figure), _meaning(figure)) for figure in FIGURES),
        _field(
            THUMBNAIL,
            pa.binary(CELLS),
            f"int8 means of {SIDE} x {SIDE} cells, row by row, on the unit's axis, less their mean, {STEPS} steps to "
            "their spread; null where there is none",
        ),
    ]
)


def samples_table(packed: pa.Table, bands: Sequence[str], figures: npt.NDArray[np.float64], thumbs: Thumbs) -> pa.Table:
    """Return the table of packed index rows, their figures [row, band, FIGURES] and thumbnails [row, band, CELLS]."""
    rows = pa.array(np.repeat(np.arange(len(packed)), len(bands)))
    columns: list[Any] = [
        packed["key"].combine_chunks().take(rows),
        packed["split"].combine_chunks().dictionary_encode().take(rows),
        pa.DictionaryArray.from_arrays(pa.array(np.tile(np.arange(len(bands)), len(packed)), pa.int32()), list(bands)),
    ]
    flat = figures.reshape(-1, len(FIGURES))
    for values, field in zip(flat.T, list(SAMPLES)[len(columns) : -1], strict=True):
        known = ~np.isnan(values)
        values = np.where(known, np.maximum(values, 0) if field.name.endswith("variance") else values, 0)
        columns.append(pa.array(values, pa.float64(), mask=~known).cast(field.type, safe=False))
    columns.append(_thumbnail_column(thumbs))
    columns = [column.cast(field.type) for column, field in zip(columns, SAMPLES, strict=True)]
    return pa.Table.from_arrays(columns, schema=SAMPLES)


def _thumbnail_column(thumbs: Thumbs) -> pa.Array:
    """Return the column of thumbnails [row, band, CELLS], null where there is none."""
    flat = np.ascontiguousarray(thumbs).reshape(-1, CELLS)
    whole = pa.FixedSizeBinaryArray.from_buffers(pa.binary(CELLS), len(flat), [None, pa.py_buffer(flat.tobytes())])
    return pc.if_else(pa.array(flat.any(axis=1)), whole, pa.scalar(None, pa.binary(CELLS)))


def thumbs_of(rows: pa.Table, bands: int) -> Thumbs:
    """Return the thumbnails int8 [sample, band, CELLS] of rows of the table, all 0 where there is none."""
    whole = pc.fill_null(rows[THUMBNAIL].cast(pa.binary()), bytes(CELLS)).cast(pa.binary(CELLS)).combine_chunks()
    flat = np.frombuffer(whole.buffers()[1], np.int8, CELLS * len(whole), CELLS * whole.offset)
    return flat.reshape(-1, bands, CELLS)


def differing_keys(
    recorded: pa.Table, keys: Sequence[str], figures: npt.NDArray[np.float64], thumbs: Thumbs
) -> list[str]:
    """Return the keys whose figures [sample, band, FIGURES] and thumbnails are not those of their recorded rows."""
    bands = figures.shape[1]
    if len(recorded) != len(keys) * bands or recorded["key"].to_pylist() != [k for k in keys for _ in range(bands)]:
        return list(keys)
    same = np.ones(len(recorded), np.bool_)
    for name, values in zip(FIGURES, figures.reshape(-1, len(FIGURES)).T, strict=True):
        if name in ENDS and recorded[name].null_count == len(recorded):
            continue
        column = recorded[name].cast(pa.float64(), safe=False).to_numpy()
        close = 1e-6 if recorded.schema.field(name).type == pa.float32() else CLOSE
        same &= np.isclose(column, values, rtol=close, atol=close, equal_nan=True)
    if recorded[THUMBNAIL].null_count < len(recorded):  # older builds have none
        steps = np.abs(thumbs_of(recorded, bands).astype(np.int16) - thumbs).max(axis=2)
        same &= steps.ravel() <= 1  # another machine's last bits may round to the next step
    wrong = np.flatnonzero(~same.reshape(-1, bands).all(axis=1))
    return [keys[place] for place in wrong.tolist()]


def read_samples(build: Path, *, without: Collection[str] = ()) -> pa.Table | None:
    """Return the table of a build, None where it has none; raise BuildError where it cannot be read.

    Columns in `without` are not read: without thumbnails and keys it is much faster.
    """
    path = build / SAMPLES_NAME
    if not os.path.lexists(path):
        return None

    def current(table: pa.Table) -> pa.Table:
        for name in set(LATER).intersection(names) - set(table.column_names):  # an older build
            table = table.append_column(name, pa.nulls(len(table), SAMPLES.field(name).type))
        return table.select(names).cast(pa.schema([SAMPLES.field(name) for name in names]))

    names = [name for name in SAMPLES.names if name not in without]
    return read_columns(path, names, current, may_miss=LATER, dictionaries=["split", "band"])


def document() -> dict[str, Any]:
    """Return the table's Arrow schema as a JSON document for schemas/."""
    return {
        "title": SAMPLES_NAME,
        "description": "One row an image and band, in the order of the packed rows of index.parquet.",
        "fields": describe_columns(SAMPLES),
    }
