"""LMDB: one environment a split, key = sample key, value = safetensors {band: (H, W)} with bands in name order.

The values are byte-equal to those rico-hdl writes: an 8-byte length, a JSON header padded with spaces to a
multiple of 8, then the tensors (source: the safetensors format description). LMDB has one writer: workers spool
finished values to a scratch file, and the builder puts a whole shard in one transaction, in plan order.
"""

from __future__ import annotations

import json
import mmap
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import lmdb
import numpy as np

from sar_data.durable import explained, publish
from sar_data.errors import BuildError, TargetError
from sar_data.formats.container import Entry, Layout, Place, Reader, Written
from sar_data.plan import Shard
from sar_data.record import Image

PAGE = 4096
MOST_KEY_BYTES = 511  # LMDB's compiled-in limit
TENSOR_NAMES = {"float32": "F32", "float16": "F16", "int16": "I16"}


def make(compression: str | None) -> Lmdb:
    return Lmdb()


def value_header(layout: Layout) -> bytes:
    """Return the bytes before the tensors, the same for every value of a build."""
    size = layout.image_bytes // len(layout.bands)
    tensors = {
        name: {
            "dtype": TENSOR_NAMES[layout.dtype],
            "shape": list(layout.shape),
            "data_offsets": [i * size, (i + 1) * size],
        }
        for i, name in enumerate(sorted(layout.bands))
    }
    text = json.dumps(tensors, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _environment(build: Path, split: str, **options: Any) -> lmdb.Environment:
    # No lock file: the builder holds the target's lock, and a sealed environment is never written.
    return lmdb.open(str(build / split), lock=False, **options)


class Lmdb:
    name = "lmdb"
    version = 1
    compression: str | None = None
    multiple = 1
    spooled = True

    def refuse(self, key: str) -> str | None:
        size = len(key.encode())
        return f"expected a key of at most {MOST_KEY_BYTES} bytes, found {size}" if size > MOST_KEY_BYTES else None

    def start(self, build: Path, split: str) -> None:
        path = build / split / "data.mdb"
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                _environment(build, split).close()  # an empty split is an empty environment
            except lmdb.Error as error:
                raise TargetError(f"{path}: LMDB could not begin ({error}): is the disk full?") from error

    def file(self, shard: Shard) -> str:
        return f"{shard.split}/data.mdb"

    def write(self, root: Path, layout: Layout, shard: Shard, entries: Iterable[Entry]) -> Written:
        head = value_header(layout)
        order = [layout.bands.index(name) for name in sorted(layout.bands)]
        path = root / shard.name
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        size = 0
        with publish(path, sync=False) as file:
            for entry in entries:
                if entry.image is None:
                    continue
                size += file.write(head) + sum(file.write(entry.image[band].data) for band in order)
        return Written(size, [None] * shard.count)

    def commit(self, build: Path, layout: Layout, shard: Shard, keys: Sequence[str | None], spool: Path) -> None:
        length = len(value_header(layout)) + layout.image_bytes
        path = build / self.file(shard)
        with explained(path), open(spool / shard.name, "rb") as file:
            # Twice the need of this shard on top of what is there: a sparse promise, not disk space.
            room = path.stat().st_size + 2 * shard.count * (length + 2 * PAGE) + (64 << 20)
            env = None
            try:
                env = _environment(build, shard.split, map_size=room)
                if shard.count and any(keys):
                    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as values, memoryview(values) as view:
                        self._put(env, view, length, [key for key in keys if key is not None])
            except lmdb.Error as error:
                # LMDB reports a full disk as an input/output error.
                raise TargetError(
                    f"{path}: LMDB could not commit shard {shard.name} ({error}). It needs "
                    f"{shard.count * length / 1e6:.1f} MB, {shutil.disk_usage(path.parent).free / 1e6:.1f} are free. "
                    "Free some space and run the same command again: what is finished is kept."
                ) from error
            finally:
                if env is not None:
                    env.close()

    @staticmethod
    def _put(env: lmdb.Environment, values: memoryview, length: int, keys: list[str]) -> None:
        with env.begin(write=True) as transaction:
            for i, key in enumerate(keys):
                with values[i * length : (i + 1) * length] as value:
                    transaction.put(key.encode(), value)

    def finish(self, build: Path, layout: Layout, split: str, slots: int, keys: Sequence[str | None]) -> None:
        return None

    def open(self, build: Path, layout: Layout, slots: dict[str, int]) -> Reader:
        return _Environments(build, layout)


class _Environments:
    """Reads samples by key; an environment is opened once a split."""

    def __init__(self, build: Path, layout: Layout) -> None:
        self._build, self._layout = build, layout
        self._open: dict[str, lmdb.Environment] = {}
        self._head = value_header(layout)

    def read(self, place: Place) -> Image:
        try:
            if place.split not in self._open:
                self._open[place.split] = _environment(self._build, place.split, readonly=True, readahead=False)
            with self._open[place.split].begin(buffers=True) as transaction:
                value = transaction.get(place.key.encode())
                if value is None or bytes(value[: len(self._head)]) != self._head:
                    found = "none" if value is None else "one with another header"
                    raise BuildError(f"{self._build / place.split}: expected a value under {place.key}, found {found}")
                shape = (len(self._layout.bands), *self._layout.shape)
                tensors = np.frombuffer(value, self._layout.dtype, offset=len(self._head)).reshape(shape)
                names = sorted(self._layout.bands)
                return tensors[[names.index(band) for band in self._layout.bands]]
        except (lmdb.Error, ValueError) as error:
            if isinstance(error, BuildError):
                raise
            raise BuildError(f"{self._build / place.split}: {place.key} cannot be read: {error}") from error

    def close(self) -> None:
        for env in self._open.values():
            env.close()
        self._open.clear()
