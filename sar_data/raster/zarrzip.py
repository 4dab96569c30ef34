"""Arrays of zarr v2 in a zip file, read in parts: the directory, small arrays, and of large ones what is asked for.

Layout after the zarr v2 specification; chunks are stored or deflated members, compressed by blosc, zlib or not at all.
Codecs are picked from those two by name: a file can ask for no other, least of all for pickle.
"""

from __future__ import annotations

import io
import itertools
import math
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sar_data.errors import BadRecord, Reading
from sar_data.spec import Tree
from sar_data.system import strict_json

Array = npt.NDArray[Any]
MAX_BYTES = 1 << 28  # of one chunk; a larger one is refused
MAX_AXES, MAX_CHUNKS = 16, 1 << 16


class _File(io.RawIOBase):
    """A file of a tree, for zipfile, which seeks in it."""

    def __init__(self, tree: Tree, path: str) -> None:
        self.tree, self.path, self.at, self.size = tree, path, 0, tree.size(path)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: self.size}[whence]
        if self.at < 0:
            raise OSError("a place before the file")
        return self.at

    def tell(self) -> int:
        return self.at

    def read(self, size: int | None = -1) -> bytes:
        count = self.size - self.at if size is None or size < 0 else size
        data = self.tree.pread(self.path, self.at, max(0, min(count, self.size - self.at)))
        self.at += len(data)
        return data


@dataclass(frozen=True, slots=True)
class _ArrayForm:
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: str
    codec: str | None
    text: bool
    fill: Any
    separator: str


class ZarrZip:
    """A zip of zarr v2 arrays at a path of a tree; raise BadRecord, naming it, for what is no such whole file."""

    def __init__(self, tree: Tree, path: str) -> None:
        self.path = path
        with Reading(path, "a whole zip file"):
            self._zip = zipfile.ZipFile(_File(tree, path))
            self._names = frozenset(self._zip.namelist())

    def has(self, name: str) -> bool:
        """Say whether there is an array of that name."""
        return f"{name}/.zarray" in self._names

    def shape(self, name: str) -> tuple[int, ...]:
        """Return an array's shape."""
        return self._form(name).shape

    def read(self, name: str, first: int | None = None) -> Array:
        """Return an array as it is stored, or only its element `first` along the first axis."""
        form = self._form(name)
        if first is not None and not 0 <= first < (form.shape or (0,))[0]:
            raise BadRecord(self.path, f"{name}: expected an element below {(form.shape or (0,))[0]}, found {first}")
        ranges = [range(-(-size // chunk)) for size, chunk in zip(form.shape, form.chunks, strict=True)]
        if first is not None:
            ranges[0] = range(first // form.chunks[0], first // form.chunks[0] + 1)
        start = ranges[0].start * form.chunks[0] if ranges else 0
        shape = (min(form.chunks[0], form.shape[0] - start), *form.shape[1:]) if first is not None else form.shape
        if math.prod(shape) * np.dtype(form.dtype).itemsize > MAX_BYTES or math.prod(map(len, ranges)) > MAX_CHUNKS:
            raise BadRecord(self.path, f"{name}: expected an array to hold in memory, found one of {shape}")
        out: Array = np.empty(shape, object if form.text else form.dtype)
        for place in itertools.product(*ranges):
            corner = [p * chunk for p, chunk in zip(place, form.chunks, strict=True)]
            if corner:
                corner[0] -= start
            target = tuple(slice(c, c + n) for c, n in zip(corner, form.chunks, strict=True))
            chunk = self._chunk(f"{name}/{form.separator.join(map(str, place)) or '0'}", form)
            out[target] = chunk[tuple(slice(n) for n in out[target].shape)]  # chunks at an edge are padded
        return out if first is None else out[first - start]

    def texts(self, name: str) -> Sequence[str]:
        """Return an array of names as text; whole numbers become themselves."""
        with Reading(self.path, f"an array {name} of names"):
            values = self.read(name).ravel().tolist()
            return [value.decode() if isinstance(value, bytes) else str(value) for value in values]

    def _member(self, name: str, most: int) -> bytes:
        if name not in self._names:
            raise BadRecord(self.path, f"expected the member {name}, found none")
        with Reading(self.path, f"a whole member {name}"):
            info = self._zip.getinfo(name)
            if info.file_size > most:
                raise BadRecord(self.path, f"{name}: expected at most {most:,} bytes, found {info.file_size:,}")
            with self._zip.open(info) as file:
                data = file.read(most)
        return data

    def _form(self, name: str) -> _ArrayForm:
        raw = self._member(f"{name}/.zarray", 1 << 16)
        with Reading(self.path, f"a zarr v2 array {name} of blosc or zlib chunks"):
            facts = strict_json.loads(raw)
            filters = [f["id"] for f in facts.get("filters") or ()]
            codec = facts["compressor"] and facts["compressor"]["id"]
            shape, chunks = (tuple(map(int, facts[key])) for key in ("shape", "chunks"))
            text = facts["dtype"] == "|O" and filters == ["vlen-utf8"]
            dtype = "|O" if text else np.dtype(str(facts["dtype"])).str
            sound = len(shape) == len(chunks) <= MAX_AXES and all(
                0 <= n <= MAX_BYTES and 0 < step <= MAX_BYTES for n, step in zip(shape, chunks, strict=False)
            )
            if facts["zarr_format"] != 2 or facts["order"] != "C" or not sound or (filters and not text):
                raise ValueError(f"another form: {raw[:120]!r}")
            if codec not in (None, "blosc", "zlib") or (np.dtype(dtype).kind not in "biufcmMSU" and not text):
                raise ValueError(f"codec {codec}, dtype {facts['dtype']}")
        return _ArrayForm(
            shape, chunks, dtype, codec, text, facts.get("fill_value"), str(facts.get("dimension_separator", "."))
        )

    def _chunk(self, name: str, form: _ArrayForm) -> Array:
        size = math.prod(form.chunks) * (64 if form.text else np.dtype(form.dtype).itemsize)
        if size > MAX_BYTES:
            raise BadRecord(self.path, f"{name}: expected chunks of at most {MAX_BYTES:,} bytes, found {form.chunks}")
        with Reading(self.path, f"a chunk {name} of {form.chunks} {form.dtype}"):
            if name not in self._names:  # zarr omits chunks that contain only the fill value
                if form.fill is None or form.text:
                    raise ValueError("none, nor a fill value")
                return np.full(form.chunks, form.fill, form.dtype)
            data = _decode(self._member(name, size + (1 << 16)), form.codec, size)
            if form.text:
                return _decode_strings(data, math.prod(form.chunks)).reshape(form.chunks)
            if len(data) != size:
                raise ValueError(f"expected {size:,} bytes, found {len(data):,}")
            array: Array = np.frombuffer(data, form.dtype).reshape(form.chunks)
            return array


def _decode_strings(data: bytes, count: int) -> Array:
    """Return `count` texts; the library would trust any number in the data, and allocate memory for it."""
    if (declared := int.from_bytes(data[:4], "little")) != count:
        raise ValueError(f"expected {count} texts, found {declared}")
    from numcodecs import VLenUTF8

    values: Array = VLenUTF8().decode(data)
    return values


def _decode(data: bytes, codec: str | None, most: int) -> bytes:
    """Return the decompressed chunk; raise ValueError where it has more than `most` bytes."""
    if codec == "zlib":
        stream = zlib.decompressobj()
        decompressed = stream.decompress(data, most + 1)
        if len(decompressed) <= most and not stream.eof:
            raise ValueError(f"a zlib stream without an end, of {len(decompressed):,} bytes")
        return decompressed
    if codec is None:
        return data
    if len(data) < 16 or int.from_bytes(data[4:8], "little") > most:
        raise ValueError(f"a blosc header that promises more than {most:,} bytes, or none")
    from numcodecs import blosc

    return bytes(blosc.decompress(data))
