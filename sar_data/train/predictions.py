"""What a model answered, sample by sample: one row a key, gathered from all ranks, kept as predictions.parquet."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sar_data.errors import RunError, UsageError
from sar_data.system import durable
from sar_data.system.parquet import check_size
from sar_data.system.regular import open_regular

Array = npt.NDArray[Any]
NAME = "predictions.parquet"
BINS = 15  # of confidence (sar_data/train/metrics/calibration.py)
MOST_NAMES = 3  # of keys, in a message
APART = 0.01  # of the larger score: half precision rounds that much, another model differs by more


def labelled(target: Array, scores: Array) -> dict[str, pa.Array]:
    """Return the columns target and scores of a batch.

    `target` is integers [B], or [B, classes] of 0 and 1; `scores` are the logits as given, [B, classes]. Raises
    UsageError where shapes differ.
    """
    target, scores = np.asarray(target), np.asarray(scores)
    several = target.ndim == 2
    if scores.ndim != 2 or target.shape != (scores.shape if several else (len(scores),)):
        raise UsageError(
            "predictions: expected targets [B] or [B, classes] and scores [B, classes], "
            f"found {target.shape} and {scores.shape}"
        )
    column = _lists(target, np.int8) if several else pa.array(target.astype(np.int64))
    return {"target": column, "scores": _lists(scores, np.float32)}


def pixels(counts: npt.NDArray[np.int64], confidence: npt.NDArray[np.float64]) -> dict[str, pa.Array]:
    """Return the columns pixels and confidence of a batch of segmented images.

    `counts` are confusion counts [B, target, predicted], which lie row by row; `confidence` [B, 3 * BINS + 1] what
    `tallied` says of the pixels (sar_data/train/metrics/calibration.py).
    """
    flat = counts.reshape(len(counts), counts.shape[1] * counts.shape[2])
    return {"pixels": _lists(flat, np.int64), "confidence": _lists(confidence, np.float64)}


def changing(changed: Sequence[bool], count: int) -> dict[str, pa.Array]:
    """Return the column changed of a batch of `count` segmented images: whether each class is a change."""
    return {"changed": _lists(np.tile(np.array(changed), (count, 1)), np.int8)}


def lost(sums: Array) -> dict[str, pa.Array]:
    """Return the column loss of a batch, of the sums [B, K] of each sample's loss, which add up over samples."""
    return {"loss": _lists(sums, np.float64)}


def rows(
    keys: Sequence[str],
    columns: Mapping[str, pa.Array],
    *,
    weight: Array | None = None,
    groups: Sequence[str | None] | None = None,
    places: Sequence[str | None] | None = None,
) -> pa.Table:
    """Return the rows of one batch: key, the columns, and group and place of each sample, None where unknown.

    What has weight 0, which only pads the batch, is left out. Raises UsageError where lengths differ.
    """
    named, lying = ([None] * len(keys) if names is None else list(names) for names in (groups, places))
    lengths = {len(named), len(lying), *map(len, columns.values()), len(keys if weight is None else weight)}
    if lengths != {len(keys)}:
        raise UsageError(f"predictions: expected {len(keys)} values a column, one a key, found {sorted(lengths)}")
    ends = {"group": pa.array(named, pa.string()), "place": pa.array(lying, pa.string())}
    table = pa.table({"key": pa.array(keys, pa.string()), **columns, **ends})
    return table if weight is None else table.filter(pa.array(np.asarray(weight) > 0))


def gathered(parts: Iterable[pa.Table], expected: Iterable[str] | None = None) -> pa.Table:
    """Return one table of what all ranks saw: sorted by key, every key once.

    `expected` are the keys that must be there, in the order of evaluation, which the column `position` (int64) keeps;
    without it, position counts the sorted keys. Raises RunError for keys that are missing or strange, for a key that
    two parts answer differently, and for scores that are no numbers.
    """
    tables = list(parts)
    if not tables:
        raise UsageError("predictions: expected a part of every rank, found none")
    table = pa.concat_tables(
        [one.drop_columns(["position"]) if "position" in one.column_names else one for one in tables]
    )
    order = pc.sort_indices(table, sort_keys=[("key", "ascending")])  # stable, so that the first rank's row stays first
    table = table.take(order).combine_chunks()
    keys = np.array(table["key"].to_pylist(), dtype=object)
    again = np.concatenate([[False], keys[1:] == keys[:-1]]) if len(keys) else np.zeros(0, bool)
    for row in np.flatnonzero(again):
        _agree(table.slice(row - 1, 2).to_pylist())
    table = table.filter(pa.array(~again))
    if "scores" in table.column_names:
        _numbers(table)
    keys = keys[~again]
    position = np.arange(len(keys)) if expected is None else _positions(keys, list(expected))
    return table.append_column("position", pa.array(position, pa.int64()))


def scores(table: pa.Table) -> npt.NDArray[np.float32]:
    """Return the logits [sample, class] of a table."""
    return _matrix(table["scores"]).astype(np.float32)


def targets(table: pa.Table) -> npt.NDArray[np.int64]:
    """Return class numbers [sample], or zeros and ones [sample, class]."""
    column = table["target"]
    found = _matrix(column) if multilabel(table) else column.to_numpy()
    return np.asarray(found, np.int64)


def confusions(table: pa.Table) -> npt.NDArray[np.int64]:
    """Return the confusion counts [sample, target, predicted] of segmented images."""
    flat = _matrix(table["pixels"])
    classes = math.isqrt(flat.shape[1])
    return flat.reshape(len(flat), classes, classes).astype(np.int64)


def confidences(table: pa.Table) -> npt.NDArray[np.float64]:
    """Return the sums [sample, 3 * BINS + 1] of the pixels of segmented images; RunError of an earlier version's."""
    if "confidence" not in table.column_names:
        raise RunError("predictions: expected the confidence of pixels, found those of a version that did not keep it")
    return _matrix(table["confidence"])


def changes(table: pa.Table) -> npt.NDArray[np.bool_] | None:
    """Return whether each class is a change [class]; None of masks that show no change, and of no sample."""
    return _matrix(table["changed"].slice(0, 1))[0] > 0 if "changed" in table.column_names and len(table) else None


def loss_sums(table: pa.Table) -> npt.NDArray[np.float64] | None:
    """Return the sums [K] of the loss over all samples; None of no sample, and of a version that did not keep them."""
    return _matrix(table["loss"]).sum(axis=0) if len(table) and "loss" in table.column_names else None


def kind_of(table: pa.Table) -> str:
    """Return the kind of task that a table's columns are of: multiclass, multilabel, segmentation or detection."""
    if "pixels" in table.column_names:
        return "segmentation"
    if "true_boxes" in table.column_names:
        return "detection"
    return "multilabel" if multilabel(table) else "multiclass"


def told_apart(table: pa.Table) -> pa.Table:
    """Return a table of samples of several builds, whose keys are NAME/KEY, with the column `build`."""
    names = [key.partition("/")[0] for key in table["key"].to_pylist()]
    return table.append_column("build", pa.array(names, pa.string()).dictionary_encode())


def of_build(table: pa.Table, name: str) -> pa.Table:
    """Return the rows of one of several builds, by the keys that they have in it."""
    part = table.filter(pc.equal(table["build"].cast(pa.string()), name)).drop_columns(["build"])
    keys = [key.partition("/")[2] for key in part["key"].to_pylist()]
    return part.set_column(part.schema.get_field_index("key"), "key", pa.array(keys, pa.string()))


def multilabel(table: pa.Table) -> bool:
    """Say whether a sample may have several classes."""
    return bool(pa.types.is_list(table.schema.field("target").type))


def write(path: Path, splits: Mapping[str, pa.Table], classes: Sequence[str]) -> None:
    """Write gathered tables to one Parquet file, with the column `split` and, as metadata, the classes' names."""
    tables = [
        table.append_column("split", pa.array([name] * len(table), pa.string()).dictionary_encode())
        for name, table in splits.items()
    ]
    sink = io.BytesIO()
    whole = pa.concat_tables(tables).replace_schema_metadata({"classes": "\n".join(classes)})
    pq.write_table(whole, sink, compression="zstd")
    durable.write(path, sink.getvalue())


def read(path: Path) -> tuple[dict[str, pa.Table], tuple[str, ...]]:
    """Return the tables of a predictions.parquet by split, and the classes' names; raise RunError where it is none."""
    try:
        with os.fdopen(open_regular(path), "rb") as source:
            check_size(source, os.fstat(source.fileno()).st_size)
            with pq.ParquetFile(source) as file:  # read_table would import pandas
                table = file.read()
        table.validate(full=True)
        classes = tuple((table.schema.metadata or {})[b"classes"].decode().split("\n"))
        check_columns(table, len(classes), needed=("key", "split"))
        names = table["split"].unique().to_pylist()
    except Exception as error:  # of a decoder that is not ours, on bytes of anyone: it raises what it likes
        raise RunError(f"{path}: expected the predictions of a run, cannot read them: {error}"[:600]) from error
    return {name: table.filter(pc.equal(table["split"], name)).drop_columns(["split"]) for name in names}, classes


def check_columns(table: pa.Table, classes: int, *, needed: Collection[str]) -> None:
    """Raise ValueError for columns that no run leaves: two of a name, values that are null, rows of other lengths."""
    if len(set(table.column_names)) < len(table.column_names):
        raise ValueError(f"expected every column once, found {', '.join(table.column_names)}")
    for name in ("key", "group", "place"):
        if name in table.column_names and table[name].type not in (pa.string(), pa.null()):
            raise ValueError(f"{name}: expected text in each row, found {str(table[name].type)[:80]}")
    lengths = {"key": 0, "split": 0, "target": classes, "scores": classes, "pixels": classes**2}
    for name, length in (lengths | {"confidence": 3 * BINS + 1, "changed": classes}).items():
        column = table[name] if name in table.column_names else None
        if column is None and name not in needed:
            continue
        if column is None or column.null_count:
            raise ValueError(f"{name}: expected a value in each row, found none")
        if pa.types.is_list(column.type):
            if (
                set(pc.unique(pc.list_value_length(column)).to_pylist()) - {length}
                or pc.list_flatten(column).null_count
            ):
                raise ValueError(f"{name}: expected {length} numbers in each row, found others")
        elif name == "target" and not pc.all(pc.and_(pc.greater_equal(column, 0), pc.less(column, classes))).as_py():
            raise ValueError(f"target: expected classes below {classes}, found others")


def _lists(rows: Array, dtype: Any) -> pa.Array:
    count, width = rows.shape
    offsets = pa.array(np.arange(count + 1, dtype=np.int32) * np.int32(width))
    return pa.ListArray.from_arrays(offsets, pa.array(np.ascontiguousarray(rows, dtype).reshape(-1)))


def _matrix(column: pa.ChunkedArray) -> Array:
    """Return [row, width] of lists of one length; raise RunError where they differ."""
    lengths = pc.unique(pc.list_value_length(column)).to_pylist()
    if len(lengths) > 1:
        raise RunError(f"predictions: expected rows of one length, found {sorted(lengths)}: classes differ")
    flat: Array = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(column), lengths[0] if lengths else 0)


def _agree(rows: list[dict[str, Any]]) -> None:
    """Raise RunError where two rows of a key differ by more than rounding."""
    first, second = rows
    for name, value in first.items():
        other = second[name]
        if name == "scores":
            a, b = np.asarray(value, np.float64), np.asarray(other, np.float64)
            same = a.shape == b.shape and bool((np.abs(a - b) <= APART * np.maximum(np.abs(a).max(initial=1), 1)).all())
        else:
            same = value == other
        if not same:
            raise RunError(
                f"{first['key']}: two ranks disagree on its {name}: {str(value)[:60]} and {str(other)[:60]}. "
                "Ranks must evaluate the same weights on the same build"
            )


def _numbers(table: pa.Table) -> None:
    """Raise RunError where a score is NaN or infinite."""
    wrong = np.flatnonzero(~np.isfinite(scores(table)).all(axis=1))
    if len(wrong):
        names = ", ".join(table["key"].take(pa.array(wrong[:MOST_NAMES])).to_pylist())
        raise RunError(f"scores: expected numbers, found NaN or infinity for {len(wrong)} samples, such as {names}")


def _positions(keys: Array, expected: list[str]) -> npt.NDArray[np.int64]:
    """Return where each key comes in evaluation; raise RunError unless the keys are those expected."""
    place = {key: i for i, key in enumerate(expected)}
    missing, strange = sorted(place.keys() - set(keys)), sorted(set(keys) - place.keys())
    for what, names in (("are missing", missing), ("are not of the split", strange)):
        if names:
            raise RunError(
                f"predictions: expected {len(place)} keys, found {len(keys)}: {len(names)} {what}, "
                f"such as {', '.join(names[:MOST_NAMES])}"
            )
    return np.array([place[key] for key in keys], np.int64)
