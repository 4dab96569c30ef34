"""The nearest neighbours of a sample by its features, as a contact sheet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sar_data.errors import UsageError
from sar_data.sealed.parquet_file import read_columns
from sar_data.stream.collection import open_collection
from sar_data.stream.selection import select
from sar_data.train.pictures import mosaic
from sar_data.train.pictures.stretch import stretch_images
from sar_data.train.settings import Settings

SHOWN = 12  # the sample itself among them


def draw(
    path: Path, features: Path, key: str, title: str, build: str, settings: Settings, units: Mapping[str, str]
) -> None:
    """Draw a sample and those whose features have the highest cosine to its own, best first, to the file `path`.

    `title` is that of the build, `units` are channel → unit.

    Raises UsageError for a key that the file does not have.
    """
    keys, splits, vectors = _read(features)
    if key not in keys:
        raise UsageError(f"`like={key}`: expected a key of {features}, found none of that name among {len(keys):,}")
    found = nearest(vectors, keys.index(key), SHOWN)
    images = [_image(build, splits[row], keys[row], settings, tuple(units)) for row, _ in found]
    pictures, note = stretch_images(images, units)
    cells = [
        mosaic.Cell([picture], [("key", keys[row]), ("key", f"{splits[row]}, cosine {share:.3f}")])
        for picture, (row, share) in zip(pictures, found, strict=True)
    ]
    mosaic.draw(path, cells, f"{title} · {settings.model} · {key} and its nearest of {len(keys):,}", note)


def nearest(vectors: npt.NDArray[Any], row: int, count: int) -> list[tuple[int, float]]:
    """Return the rows of [sample, width] of the highest cosine to one row, itself first, and their cosines."""
    length = np.linalg.norm(vectors.astype(np.float32), axis=1)
    cosine = vectors.astype(np.float32) @ vectors[row].astype(np.float32)
    cosine /= np.maximum(length * length[row], np.finfo(np.float32).tiny)
    order = np.argsort(-cosine, kind="stable")
    best = [row, *(int(one) for one in order if one != row)][:count]
    return [(one, float(cosine[one])) for one in best]


def _read(path: Path) -> tuple[list[str], list[str], npt.NDArray[Any]]:
    """Return keys, splits and features [sample, width]; raise BuildError for a file that `embed` did not write."""
    table = read_columns(path, ("key", "split", "features"), _checked)
    flat = table["features"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return table["key"].to_pylist(), table["split"].to_pylist(), flat.reshape(len(table), -1)


def _checked(table: pa.Table) -> pa.Table:
    """Return the table; raise ValueError where a key, a split or a vector is missing or of another type."""
    kind = table.schema.field("features").type
    if not pa.types.is_fixed_size_list(kind) or not pa.types.is_floating(kind.value_type):
        raise ValueError(f"expected features of one width, found {str(kind)[:80]}")
    if any(table[name].type != pa.string() for name in ("key", "split")):
        raise ValueError("expected texts in key and split, found others")
    if not len(table) or any(column.null_count for column in table.columns):
        raise ValueError("expected a vector of each key, found none")
    return table


def _image(build: str, split: str, key: str, settings: Settings, channels: tuple[str, ...]) -> npt.NDArray[np.float32]:
    """Return float32 [C, H, W] of a sample in physical units, NaN where masked."""
    plain: dict[str, Any] = {"bands": channels, "unit": settings.unit, "normalize": None, "fill": None}
    stored = open_collection(build, split=split, pad=settings.pad, crop=settings.crop, **plain)
    try:
        row = select(stored, keys=[key])
        found: npt.NDArray[np.float32] = stored.batch(row)["image"][0].copy()
        return found
    finally:
        stored.close()
