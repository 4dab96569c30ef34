"""Images in the rows of a Parquet file, as data hubs publish them: a column of bytes and names, and one of labels."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from sar_data.errors import BadRecord, Reading
from sar_data.sources.tree import RecordingTree
from sar_data.spec import Tree
from sar_data.system.parquet import check_size

IMAGE, LABEL = "image", "label"
MAGIC = b"PAR1"
BATCH_ROWS = 64  # rows
CACHED_GROUPS = (
    32  # row groups cached per process: rows are read in any order, and a group of 1,000 patches takes 34 MB
)


class Row(NamedTuple):
    """The name of a row's image, "" where it has none, and its label, by name where the file has names."""

    name: str
    label: str


class TreeFile(io.RawIOBase):
    """A file of a tree, read at any position."""

    def __init__(self, tree: Tree, path: str) -> None:
        self._tree, self._path, self._at, self._size = tree, path, 0, tree.size(path)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        data = self._tree.pread(self._path, self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def read_rows(tree: Tree, path: str) -> list[Row]:
    """Return name and label of every row, without the images; raise BadRecord for a file of another form."""
    with Reading(path, f"Parquet with the columns {IMAGE} (bytes and path) and {LABEL}"):
        check_size(pa.PythonFile(TreeFile(tree, path), mode="r"), tree.size(path), (IMAGE, LABEL))
        file = _file(tree, path)
        table = file.read(columns=[f"{IMAGE}.path", LABEL])
        names = _label_names(file.schema_arrow.metadata or {})
        paths = table[IMAGE].combine_chunks().field("path").to_pylist()
        labels = table[LABEL].to_pylist()
        labels_as_text = (str(label) if not names or isinstance(label, str) else names[label] for label in labels)
        return [Row((name or "").rpartition("/")[2], label) for name, label in zip(paths, labels_as_text, strict=True)]


def images(tree: Tree, path: str) -> Iterator[bytes]:
    """Yield the bytes of every row's image, b"" where it has none, in batches; raise BadRecord.

    For all rows: `image_bytes` reads one of them.
    """
    with Reading(path, f"Parquet with images in the column {IMAGE}"):
        for batch in _file(tree, path).iter_batches(batch_size=BATCH_ROWS, columns=[f"{IMAGE}.bytes"]):
            for image in batch.column(0).field("bytes"):
                yield image.as_py() or b""


def _label_names(metadata: dict[bytes, bytes]) -> list[str]:
    """Return the label names of the hub's metadata, in the order of their numbers."""
    features = json.loads(metadata.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    return list(features.get(LABEL, {}).get("names") or ())


def image_bytes(tree: Tree, path: str, row: int) -> bytes:
    """Return the bytes of a row's image; raise BadRecord where there are none."""
    if tree.pread(path, 0, len(MAGIC)) != MAGIC:  # through the tree that records which files were read
        raise BadRecord(path, f"expected a Parquet file, which begins with {MAGIC!r}, found another one")
    below = tree.tree if isinstance(tree, RecordingTree) else tree
    with Reading(path, f"an image in row {row}"):
        for number, first in enumerate(starts := _starts(below, path)):
            if first <= row < (starts[number + 1] if number + 1 < len(starts) else row + 1):
                data = _group(below, path, number)[row - first].as_py()
        if not data:
            raise BadRecord(path, f"expected an image in row {row}, found none")
        return bytes(data)


def _file(tree: Tree, path: str) -> pq.ParquetFile:
    return pq.ParquetFile(pa.PythonFile(TreeFile(tree, path), mode="r"))


@lru_cache(maxsize=8)
def _starts(tree: Tree, path: str) -> list[int]:
    metadata = _file(tree, path).metadata
    counts = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    return [sum(counts[:i]) for i in range(len(counts))]


@lru_cache(maxsize=CACHED_GROUPS)
def _group(tree: Tree, path: str, number: int) -> pa.Array:
    table = _file(tree, path).read_row_group(number, columns=[f"{IMAGE}.bytes"])
    return table[IMAGE].combine_chunks().field("bytes")
