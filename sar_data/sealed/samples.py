"""samples.parquet: what the pixels of every image and band tell, a row each, in the order of the packed index rows.

Statistics of a split, a class, a pass or a season are merges of these rows: counts add up, means and variances combine.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sar_data.sealed.index import described
from sar_data.sealed.parquet_file import read_columns
from sar_data.statistics.figures import DOMAINS, FIGURES, QUANTILE_NAMES
from sar_data.statistics.stats import REASONS

SAMPLES_NAME = "samples.parquet"
CLOSE = 1e-9  # relative: another machine's exp and log may differ in the last bits
NAMES = pa.dictionary(pa.int32(), pa.string())
MEANINGS = {
    "count": "valid pixels",
    "mean": "mean of the valid pixels, in the stored unit",
    "variance": "their variance, divided by the count",
    "min": "the smallest valid pixel",
    "max": "the largest valid pixel",
    "zeros": "valid pixels that are exactly 0",
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
    if figure in ("zeros", *REASONS) or figure.endswith("count"):
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
    ]
)


def samples_table(packed: pa.Table, bands: Sequence[str], figures: npt.NDArray[np.float64]) -> pa.Table:
    """Return the table of packed index rows and their figures [row, band, FIGURES]."""
    rows = pa.array(np.repeat(np.arange(len(packed)), len(bands)))
    columns: list[Any] = [
        packed["key"].combine_chunks().take(rows),
        packed["split"].combine_chunks().dictionary_encode().take(rows),
        pa.DictionaryArray.from_arrays(pa.array(np.tile(np.arange(len(bands)), len(packed)), pa.int32()), list(bands)),
    ]
    flat = figures.reshape(-1, len(FIGURES))
    for values, field in zip(flat.T, list(SAMPLES)[len(columns) :], strict=True):
        known = ~np.isnan(values)
        values = np.where(known, np.maximum(values, 0) if field.name.endswith("variance") else values, 0)
        columns.append(pa.array(values, pa.float64(), mask=~known).cast(field.type, safe=False))
    columns = [column.cast(field.type) for column, field in zip(columns, SAMPLES, strict=True)]
    return pa.Table.from_arrays(columns, schema=SAMPLES)


def differing(recorded: pa.Table, keys: Sequence[str], bands: int, figures: npt.NDArray[np.float64]) -> list[str]:
    """Return the keys whose figures [sample, band, FIGURES] are not those of the recorded rows of these samples."""
    if len(recorded) != len(keys) * bands or recorded["key"].to_pylist() != [k for k in keys for _ in range(bands)]:
        return list(keys)
    same = np.ones(len(recorded), np.bool_)
    for name, values in zip(FIGURES, figures.reshape(-1, len(FIGURES)).T, strict=True):
        column = recorded[name].cast(pa.float64(), safe=False).to_numpy()
        close = 1e-6 if recorded.schema.field(name).type == pa.float32() else CLOSE
        same &= np.isclose(column, values, rtol=close, atol=close, equal_nan=True)
    wrong = np.flatnonzero(~same.reshape(-1, bands).all(axis=1))
    return [keys[place] for place in wrong.tolist()]


def read_samples(build: Path) -> pa.Table | None:
    """Return the table of a build, None where it has none; raise BuildError where it cannot be read."""
    path = build / SAMPLES_NAME
    if not os.path.lexists(path):
        return None
    return read_columns(path, SAMPLES.names, lambda table: table.cast(SAMPLES), dictionaries=["split", "band"])


def document() -> dict[str, Any]:
    """Return the table's Arrow schema as a JSON document for schemas/."""
    return {
        "title": SAMPLES_NAME,
        "description": "One row an image and band, in the order of the packed rows of index.parquet.",
        "fields": described(SAMPLES),
    }
