"""WebDataset: reproducible ustar shards, KEY.image.npy, KEY.mask.npy where there are masks, and KEY.json a sample.

This module writes the tar itself, because the offsets of its members must be known: the index has them, so that a
loader reads payloads without parsing a tar. mtime, uid and gid are 0.
Source: POSIX.1-1988 ustar; the npy format, version 1.0 (NumPy Enhancement Proposal 1).
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path

import numpy as np

from sar_data.errors import BuildError
from sar_data.formats.container import Entry, Fault, Format, Grid, Layout, Place, Reader, Shard, What, Written
from sar_data.formats.raw import read_bytes
from sar_data.record import Image, Mask, Record
from sar_data.system import strict_json
from sar_data.system.direct import publish_direct
from sar_data.system.regular import open_regular

BLOCK = 512
NAME_BYTES = 100  # ustar's name field
STEP = 64  # a payload follows a tar's header of BLOCK bytes and an npy's of a multiple of this
SHAPE = re.compile(rb"'shape': \(([1-9]\d{0,9}(?:, [1-9]\d{0,9})+)\), }")
NO_MEMBER = (None, "", None, None)
NPY_MAGIC, NPY_ROOM = b"\x93NUMPY\1\0", 21


def make(compression: str | None) -> WebDataset:
    return WebDataset()


def header(name: str, size: int) -> bytes:
    """Return the ustar header of a regular file: mode 0644, owner, group and time 0."""
    encoded = name.encode()
    fields = (encoded.ljust(100, b"\0"), b"0000644\0", b"0000000\0", b"0000000\0", b"%011o\0" % size, b"00000000000\0")
    rest = b"0" + bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\0" + b"0000000\0" + bytes(167)
    start = b"".join(fields)
    return start + b"%06o\0 " % (sum(start) + sum(rest) + 8 * 32) + rest


def members(path: Path, size: int) -> Iterator[tuple[str, int, bytes]]:
    """Yield name, offset and contents of a shard's members, in order; raise BuildError for any other tar.

    `size` is that of the shard. Each header must be as `header` writes it: no links, no sparse or compressed members,
    no member that is longer than the file.
    """
    descriptor = open_regular(path, size)
    with os.fdopen(descriptor, "rb", buffering=1 << 20) as file:
        at = 0
        while (block := file.read(BLOCK)) != bytes(BLOCK):
            name, length = _parse_header(path, at, block)
            at += BLOCK
            if length > size - at:
                raise BuildError(f"{path}: {name}: expected {length} bytes at {at}, found a file of {size}")
            data = file.read(length)
            file.read(-length % BLOCK)
            yield name, at, data
            at += length + -length % BLOCK


def _parse_header(path: Path, at: int, block: bytes) -> tuple[str, int]:
    """Return name and size of the member that a header block describes."""
    try:
        name, length = block[:NAME_BYTES].rstrip(b"\0").decode(), int(block[124:135], 8)
        if block == header(name, length):
            return name, length
    except ValueError:
        pass
    raise BuildError(f"{path}: expected a member's header at byte {at}, found another or none")


def member_array(name: str, data: bytes, shape: tuple[int, ...] | None, axes: int, dtype: str) -> Image:
    """Return the array of an .npy member, whose header must be as `npy_header` writes it for this shape and type.

    Without `shape`, any shape of `axes` axes is accepted. Nothing is unpickled. Raises BuildError for other arrays.
    """
    if shape is None:
        shape = _npy_shape(data)
    head = npy_header(shape, dtype) if len(shape) == axes else b""
    if not head or data[: len(head)] != head or len(data) != len(head) + _bytes(shape, dtype):
        raise BuildError(f"{name}: expected a C-ordered {dtype} array of {shape or axes}, found another or a cut one")
    return np.frombuffer(data, dtype, offset=len(head)).reshape(shape)


def _bytes(shape: tuple[int, ...], dtype: str) -> int:
    return math.prod(shape) * np.dtype(dtype).itemsize


def _npy_shape(data: bytes) -> tuple[int, ...]:
    """Return the shape in an npy header, () where there is none; the caller compares the whole header."""
    match = SHAPE.search(data, 0, 1 << 10)
    return tuple(int(side) for side in match[1].split(b", ")) if match else ()


@lru_cache(maxsize=256)
def npy_header(shape: tuple[int, ...], dtype: str) -> bytes:
    """Return the npy header of a stored array, as numpy 2 writes it: padded to a multiple of 64 bytes.

    numpy does not write it, because sealed headers are compared with it and an older numpy pads differently.
    """
    text = f"{{'descr': {np.dtype(dtype).str!r}, 'fortran_order': False, 'shape': {shape!r}, }}"
    text += " " * (NPY_ROOM - len(repr(shape[0])))
    size = len(text) + 1
    size += -(size + len(NPY_MAGIC) + 2) % STEP
    return NPY_MAGIC + size.to_bytes(2, "little") + text.ljust(size - 1).encode() + b"\n"


def card(record: Record, layout: Layout) -> bytes:
    """Return KEY.json: labels and all other fields that readers of a tar need."""
    task, classes = next(iter(layout.classes.items()), ("", ()))
    indices = record.labels.get(task, ())
    objects = {"objects": [asdict(item) for item in record.objects]} if record.objects else {}
    return json.dumps(
        {
            "key": record.key,
            "bands": layout.bands,
            "units": layout.units,
            "labels": [classes[i] for i in indices],
            "label_indices": indices,
            "targets": dict(record.labels),
            **objects,
            "group": record.group,
            "time": record.time and record.time.isoformat(),
            "orbit_pass": record.orbit_pass,
            "relative_orbit": record.relative_orbit,
            "crs": record.crs,
            "transform": record.transform,
            "attrs": dict(record.attrs),
        },
        ensure_ascii=False,
    ).encode()


def _members_of(place: Place, layout: Layout) -> dict[str, int | None]:
    """Return the members of a sample in their order, with the offset of the contents of each, None where unknown."""
    shape = layout.image_shape(place.shape)
    begins = {"image.npy": (place.offset, npy_header(shape, layout.dtype))}
    if place.mask_xxh3:
        begins["mask.npy"] = (place.mask_offset, npy_header(shape[-2:], "uint8"))
    known = {name: None if offset is None else offset - len(head) for name, (offset, head) in begins.items()}
    return {f"{place.key}.{name}": begin for name, begin in (known | {"json": None}).items()}


def _compare_member(name: str, offset: int | None, other: str, begin: int) -> tuple[str, str] | None:
    """Return what is expected and what is found, where a member has another name or offset."""
    if name != other:
        return name or "no more members", other or "the end of the archive"
    return None if offset in (None, begin) else (f"{name} at byte {offset}", f"it at byte {begin}")


def _compare_card(name: str, data: bytes, record: Record | None, layout: Layout) -> tuple[str, str] | None:
    """Return the first field of a card that differs from the index; a field that only one has is not compared."""
    if record is None or not name.endswith(".json"):
        return None
    try:
        document = strict_json.loads(data)
    except ValueError as error:
        return f"{name}, a card in JSON", str(error)
    known = json.loads(card(record, layout))
    if not isinstance(document, dict) or document.get("key") != record.key:
        return f"{name} of this key", f"{data[:80]!r}"
    other = next((field for field, value in document.items() if field in known and value != known[field]), None)
    return None if other is None else (f"{name}: {other} {known[other]!r:.120}", f"{document[other]!r:.120}")


def _padding(size: int) -> bytes:
    return bytes(-size % BLOCK)


class WebDataset(Format):
    name = "webdataset"
    described = True

    def refuse(self, key: str) -> str | None:
        if "." in key or "/" in key:
            return "expected a key without dots and slashes, to which webdataset gives a meaning"
        size = len(f"{key}.image.npy".encode())
        return f"expected a member name of at most {NAME_BYTES} bytes, found {size}" if size > NAME_BYTES else None

    def file(self, shard: Shard, layout: Layout) -> str:
        return f"{shard.name}.tar"

    def write(self, root: Path, layout: Layout, shard: Shard, entries: Iterable[Entry]) -> Written:
        at, gap, offsets, mask_offsets = 0, b"", list[int | None](), list[int | None]()
        name = self.file(shard, layout)
        with publish_direct(root / name) as file:

            def member(name: str, array: Image) -> int:
                """Append an array; return where its payload begins."""
                nonlocal at, gap
                npy = npy_header(array.shape, array.dtype.name)
                size = len(npy) + array.nbytes
                begin = at + file.write(gap + header(name, size) + npy)
                at, gap = begin + file.write(array.data), _padding(size)
                return begin

            for entry in entries:
                key = entry.record.key
                offsets.append(None if entry.image is None else member(f"{key}.image.npy", entry.image))
                mask_offsets.append(None if entry.mask is None else member(f"{key}.mask.npy", entry.mask))
                if entry.image is not None:
                    data = card(entry.record, layout)
                    at += file.write(gap + header(f"{key}.json", len(data)) + data + _padding(len(data)))
                    gap = b""
            at += file.write(bytes(2 * BLOCK))
        return Written(at, offsets, mask_offsets, {name: file.sha256})

    def grid(self, layout: Layout, what: What) -> Grid:
        return Grid(step=STEP)

    def sequential_faults(
        self, file: Path, layout: Layout, places: Sequence[Place], records: Sequence[Record]
    ) -> list[tuple[str | None, Fault]]:
        expected = [
            (place.key, name, offset, record)
            for place, record in sorted(zip(places, records, strict=True), key=lambda pair: pair[0].position)
            for name, offset in _members_of(place, layout).items()
        ]
        at, faults = 0, list[tuple[str | None, Fault]]()
        try:
            size = file.stat().st_size
            for member, other in zip_longest(expected, members(file, size)):
                (key, name, offset, record), (other_name, begin, data) = member or NO_MEMBER, other or ("", at, b"")
                at = begin + len(data) + -len(data) % BLOCK
                fault = _compare_member(name, offset, other_name, begin) or _compare_card(name, data, record, layout)
                if fault:
                    faults.append((key, Fault("members", *fault)))
                if fault and name != other_name:
                    return faults  # all later members differ too
        except (BuildError, OSError) as error:
            return [*faults, (None, Fault("members", "headers that a reader of tars can follow", str(error)))]
        if size != at + 2 * BLOCK:
            faults.append(
                (None, Fault("members", f"the end of the archive at byte {at}", f"{size - at} bytes behind it"))
            )
        return faults

    def open(self, build: Path, layout: Layout, slots: dict[str, int]) -> Reader:
        return _Tar(build, layout)


class _Tar:
    """Reads samples by their offset in the index, and checks the headers before it."""

    def __init__(self, build: Path, layout: Layout) -> None:
        self._build, self._layout = build, layout

    def _member(self, place: Place, name: str, offset: int | None, shape: tuple[int, ...], dtype: str) -> Image:
        path = self._build / place.split / f"{place.shard:06d}.tar"
        npy, size = npy_header(shape, dtype), _bytes(shape, dtype)
        head = header(f"{place.key}.{name}", len(npy) + size) + npy
        data = read_bytes(path, None if offset is None else offset - len(head), len(head) + size)
        if not data.startswith(head):
            raise BuildError(f"{path}: expected the headers of {place.key}.{name} before byte {offset}, found others")
        return np.frombuffer(data, dtype, offset=len(head)).reshape(shape)

    def read(self, place: Place) -> Image:
        shape = self._layout.image_shape(place.shape)
        return self._member(place, "image.npy", place.offset, shape, self._layout.dtype)

    def mask(self, place: Place) -> Mask:
        shape = self._layout.image_shape(place.shape)[-2:]
        return self._member(place, "mask.npy", place.mask_offset, shape, "uint8")

    def close(self) -> None:
        return None
