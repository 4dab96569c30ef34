"""What a report reads of the tables of a build: few columns of all samples, all figures of a fair draw of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sar_data.errors import BuildError
from sar_data.sealed.index import INDEX_NAME
from sar_data.sealed.index_bounds import check_bounds
from sar_data.sealed.index_file import read_index
from sar_data.sealed.leakage import INDEX_COLUMNS
from sar_data.sealed.opened import Build, layout_of
from sar_data.sealed.samples import THUMBNAIL, read_samples
from sar_data.spec import is_change
from sar_data.split.policy import SPLITS

Floats = npt.NDArray[np.float64]
COLUMNS = [
    *INDEX_COLUMNS,
    *("shard", "position", "offset", "height", "width", "mask_offset", "mask_xxh3"),
    *("labels", "orbit_pass", "relative_orbit"),
]
MOST_WHOLE = 50_000  # samples whose attributes and thumbnails are read; those of more take seconds
MOST_DRAWN = 5000  # samples whose distributions are merged


@dataclass(frozen=True)
class Rows:
    """Packed rows of the index, also by split, their rows of samples.parquet, None without one, and a draw of both."""

    index: pa.Table
    splits: dict[str, pa.Table]
    samples: pa.Table | None
    drawn: pa.Table
    drawn_samples: pa.Table | None
    bands: int


def figure(samples: pa.Table, bands: int, name: str) -> Floats:
    """Return a figure of the first of so many bands of every sample, NaN where there is none."""
    return np.asarray(samples[name].cast(pa.float64()).to_numpy(zero_copy_only=False)[::bands])


def read(build: Build) -> Rows:
    """Return the rows of a build; raise BuildError where its tables are none that a build has."""
    manifest, layout, path = build.manifest, layout_of(build.manifest), build.path / INDEX_NAME
    count = sum(split.count for split in manifest.splits.values())
    names = [*COLUMNS, *(["objects"] if any(task.kind == "detection" for task in manifest.tasks) else [])]
    names += ["dates"] if is_change(manifest.tasks) else []
    names += ["attrs"] if count <= MOST_WHOLE else []
    index = read_index(path, names, split_as_dictionary=True)
    index = index.slice(0, len(index) - index["shard"].null_count)
    splits = {name: _rows_of(index, name) for name in SPLITS}
    if sum(len(splits[name]) for name in manifest.splits) != len(index):
        raise BuildError(f"{path}: expected the packed rows of its splits first, found others: see `verify()`")
    for name in manifest.splits:
        check_bounds(splits[name], manifest, layout, name, path)
    step = max(1, -(-len(index) // MOST_DRAWN))  # samples lie in the order of a hash: every n-th is a fair draw
    drawn, bands = index.take(list(range(0, len(index), step))), len(layout.bands)
    samples = read_samples(build.path, without=["key", *([THUMBNAIL] if count > MOST_WHOLE else [])])
    if samples is not None and len(samples) != len(index) * bands:
        samples = None  # `verify` says so
    drawn_samples = None
    if samples is not None:  # a row an image and band, in the order of the index, which has the keys
        rows = np.arange(len(drawn) * bands)
        drawn_samples = samples.take(rows // bands * step * bands + rows % bands)
        drawn_samples = drawn_samples.append_column("key", drawn["key"].take(rows // bands))
    return Rows(index, splits, samples, drawn, drawn_samples, bands)


def places_of(index: pa.Table, split: str) -> npt.NDArray[np.int64]:
    """Return where the rows of a split are in an index."""
    names = index["split"].combine_chunks().dictionary_encode()  # numbers are compared much faster than words
    return np.flatnonzero(np.isin(names.indices, np.flatnonzero(np.array(names.dictionary) == split)))


def _rows_of(index: pa.Table, split: str) -> pa.Table:
    """Return the rows of a split; as a rule they lie together, and are not copied."""
    rows = places_of(index, split)
    first, count = (int(rows[0]), len(rows)) if len(rows) else (0, 0)
    if count and rows[-1] - rows[0] + 1 != count:
        return index.take(rows)
    return index.slice(first, count)
