"""LMDB: one environment a split, key = sample key, value = safetensors {band: (H, W)} with bands in name order.

Images of several frames are (frame, H, W); a mask is the last tensor, "mask", uint8 (H, W).
The values equal those of rico-hdl byte for byte: an 8-byte length, a JSON header padded with spaces to a multiple of 8,
then the tensors (source: the safetensors format description). LMDB has one writer: workers write finished values to a
spool file, and the builder puts a whole shard into one transaction, in plan order.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import shutil
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sar_data.dtypes import STORED
from sar_data.errors import BuildError, TargetError
from sar_data.formats import lmdb_pages
from sar_data.formats.container import Entry, Fault, Format, Integers, Layout, Place, Reader, Shard, What, Written
from sar_data.record import Image, Mask
from sar_data.system.durable import explain_errors, publish
from sar_data.system.positioned import read
from sar_data.system.regular import open_regular

if TYPE_CHECKING:
    import lmdb

PAGE = 4096
MOST_KEY_BYTES = 511  # LMDB's compiled-in limit
TENSOR_NAMES = {name: f"{name[0].upper()}{8 * np.dtype(name).itemsize}" for name in STORED}  # as safetensors has them
MASK = "mask"


def make(compression: str | None) -> Lmdb:
    return Lmdb()


@lru_cache(maxsize=256)
def _header(bands: tuple[str, ...], shape: tuple[int, ...], dtype: str, mask: bool) -> bytes:
    plane, at = math.prod(shape) * np.dtype(dtype).itemsize, 0
    tensors: dict[str, Any] = {}
    for name in bands:
        tensors[name] = {"dtype": TENSOR_NAMES[dtype], "shape": list(shape), "data_offsets": [at, at + plane]}
        at += plane
    if mask:
        end = at + math.prod(shape[-2:])
        tensors[MASK] = {"dtype": "U8", "shape": list(shape[-2:]), "data_offsets": [at, end]}
    text = json.dumps(tensors, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def value_header(layout: Layout, shape: tuple[int, int] | None = None) -> bytes:
    """Return the bytes before the tensors, the same for every value of one (height, width)."""
    *frames, _, height, width = layout.image_shape(shape)
    return _header(tuple(sorted(layout.bands)), (*frames, height, width), layout.dtype, layout.mask)


def _length(values: memoryview) -> int:
    """Return the length in bytes of the first value; its header says where the last tensor ends."""
    size = 8 + int.from_bytes(values[:8], "little")
    return size + _tensor_bytes(bytes(values[8:size]))


@lru_cache(maxsize=256)
def _tensor_bytes(text: bytes) -> int:
    return max(int(tensor["data_offsets"][1]) for tensor in json.loads(text).values())


def _environment(build: Path, split: str, **options: Any) -> lmdb.Environment:
    import lmdb  # writing alone needs the library

    # No lock file: the builder holds the target's lock, and a sealed environment is never written.
    return lmdb.open(str(build / split), lock=False, **options)


class Lmdb(Format):
    name = "lmdb"
    spooled = True
    addressing = "key"
    left_by_readers = ("lock.mdb",)  # LMDB writes it where others open the environment with locks

    def refuse(self, key: str) -> str | None:
        size = len(key.encode())
        return f"expected a key of at most {MOST_KEY_BYTES} bytes, found {size}" if size > MOST_KEY_BYTES else None

    def start(self, build: Path, split: str) -> None:
        import lmdb

        path = build / split / "data.mdb"
        with explain_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                _environment(build, split).close()  # an empty split is an empty environment
            except lmdb.Error as error:
                raise TargetError(f"{path}: LMDB could not begin ({error}): is the disk full?") from error

    def file(self, shard: Shard, layout: Layout) -> str:
        return f"{shard.split}/data.mdb"

    def write(self, root: Path, layout: Layout, shard: Shard, entries: Iterable[Entry]) -> Written:
        order = [layout.bands.index(name) for name in sorted(layout.bands)]
        path = root / shard.name
        with explain_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        size = 0
        with publish(path, sync=False) as file:
            for entry in entries:
                if entry.image is None:
                    continue
                height, width = entry.image.shape[-2:]
                size += file.write(value_header(layout, (height, width)))
                for band in order:
                    size += file.write(np.ascontiguousarray(entry.image[..., band, :, :]).data)
                if entry.mask is not None:
                    size += file.write(entry.mask.data)
        return Written(size, [None] * shard.count, [None] * shard.count)

    def commit(self, build: Path, layout: Layout, shard: Shard, keys: Sequence[str | None], spool: Path) -> None:
        import lmdb

        path = build / self.file(shard, layout)
        with explain_errors(path), open(spool / shard.name, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            # Room for twice this shard after the current contents; it reserves addresses, not disk space.
            room = path.stat().st_size + 2 * (size + shard.count * 2 * PAGE) + (64 << 20)
            env = None
            try:
                env = _environment(build, shard.split, map_size=room)
                if shard.count and any(keys):
                    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as values, memoryview(values) as view:
                        self._put(env, view, [key for key in keys if key is not None])
            except lmdb.Error as error:
                # LMDB reports a full disk as an input/output error.
                raise TargetError(
                    f"{path}: LMDB could not commit shard {shard.name} ({error}). It needs "
                    f"{size / 1e6:.1f} MB, {shutil.disk_usage(path.parent).free / 1e6:.1f} are free. "
                    "Free some space and run the same command again: what is finished is kept."
                ) from error
            finally:
                if env is not None:
                    env.close()

    @staticmethod
    def _put(env: lmdb.Environment, values: memoryview, keys: list[str]) -> None:
        at = 0
        with env.begin(write=True) as transaction:
            for key in keys:
                end = at + _length(values[at:])
                with values[at:end] as value:
                    transaction.put(key.encode(), value)
                at = end

    def planes(self, layout: Layout) -> Integers:
        order = np.argsort(np.argsort(layout.bands))  # bands are in name order, all frames of a band together
        return order * layout.frames + np.arange(layout.frames)[:, None]

    def locate(self, file: Path, layout: Layout, keys: Sequence[str], sizes: Integers, what: What) -> Integers:
        shapes: list[tuple[int, int]] = [(height, width) for height, width in sizes.tolist()]
        heads = [value_header(layout, shape) for shape in shapes]
        length = np.array([len(head) for head in heads], np.int64)
        descriptor = open_regular(file)
        try:
            edges = np.cumsum([0, *(len(key.encode()) for key in keys)])
            text = np.frombuffer("".join(keys).encode(), np.uint8)
            values = lmdb_pages.find(descriptor, lmdb_pages.read_tree(file), text, edges)
            at = values[:, 0].copy()
            stored = np.empty(int(length.sum()), np.uint8)
            lost = read(np.full(len(heads), descriptor, np.int32), np.maximum(at, 0), length, stored)
        finally:
            os.close(descriptor)
        ends = np.cumsum(length)
        for i, (head, shape) in enumerate(zip(heads, shapes, strict=True)):
            whole = at[i] >= 0 and values[i, 1] == length[i] + layout.sample_bytes(shape) and i != lost
            if not whole or stored[ends[i] - length[i] : ends[i]].tobytes() != head:
                raise _wrong(file, keys[i], int(at[i]))
        skip = [layout.image_bytes(shape) if what == "mask" else 0 for shape in shapes]
        return at + length + np.array(skip, np.int64)

    def faults(self, build: Path, layout: Layout, split: str, slots: int, shards: int) -> list[Fault]:
        name = f"{split}/data.mdb"
        try:
            lmdb_pages.read_tree(build / name)
        except BuildError as error:
            return [Fault(name, "a whole environment", str(error))]
        return []

    def open(self, build: Path, layout: Layout, slots: dict[str, int]) -> Reader:
        return _Values(build, layout)


def _wrong(path: Path, key: str, at: int) -> BuildError:
    if at == lmdb_pages.ABSENT:
        return BuildError(f"{path}: expected a value under {key}, found none: this file is of another build")
    if at == lmdb_pages.DAMAGED:
        return BuildError(f"{path}: the page that leads to {key} is damaged. `verify(full=True)` lists what is wrong.")
    return BuildError(f"{path}: the value under {key} has another header or size than the manifest says")


class _Values:
    """Reads samples by key, through the pages of the file; each split's file is opened once."""

    def __init__(self, build: Path, layout: Layout) -> None:
        self._build, self._layout = build, layout
        self._open: dict[str, tuple[lmdb_pages.Tree, int]] = {}

    def _part(self, place: Place, skip: int, size: int) -> bytes:
        """Return `size` bytes of a value, `skip` bytes after its header; check the header."""
        path = self._build / place.split / "data.mdb"
        if place.split not in self._open:
            self._open[place.split] = lmdb_pages.read_tree(path), open_regular(path)
        tree, file = self._open[place.split]
        key, head = place.key.encode(), value_header(self._layout, place.shape)
        ((at, length),) = lmdb_pages.find(file, tree, np.frombuffer(key, np.uint8), np.array([0, len(key)])).tolist()
        if at == lmdb_pages.DAMAGED:
            raise BuildError(f"{path}: the page that leads to {place.key} is damaged")
        whole = len(head) + self._layout.sample_bytes(place.shape)
        if at == lmdb_pages.ABSENT or length != whole or os.pread(file, len(head), at) != head:
            flaw = "none" if at == lmdb_pages.ABSENT else "one with another header or size"
            raise BuildError(f"{path}: expected a value under {place.key}, found {flaw}")
        data = os.pread(file, size, at + len(head) + skip)
        if len(data) != size:
            raise BuildError(f"{path}: expected {size} bytes of {place.key}, found {len(data)}: it was cut off")
        return data

    def read(self, place: Place) -> Image:
        layout, names = self._layout, sorted(self._layout.bands)
        *frames, bands, height, width = layout.image_shape(place.shape)
        data = self._part(place, 0, layout.image_bytes(place.shape))
        planes = np.frombuffer(data, layout.dtype).reshape(bands, *frames, height, width)
        planes = planes[[names.index(band) for band in layout.bands]]  # a copy, in the bands' order
        return np.ascontiguousarray(planes.swapaxes(0, 1)) if frames else planes

    def mask(self, place: Place) -> Mask:
        shape = self._layout.image_shape(place.shape)[-2:]
        data = self._part(place, self._layout.image_bytes(place.shape), math.prod(shape))
        return np.frombuffer(data, np.uint8).reshape(shape)

    def close(self) -> None:
        for _, file in self._open.values():
            os.close(file)
        self._open.clear()
