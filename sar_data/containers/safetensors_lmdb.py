"""LMDB of safetensors: under the name of a patch a tensor for each band, called by the band (rico-hdl, ConfigILM).

One environment may hold patches of several satellites; those without the bands that are asked for are left out. What
a patch shows stands in a table beside it (containers/side_table.py). Source: the description of safetensors: 8 bytes
with the length of a JSON object, the object, then the tensors.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from sar_data.containers.entry import Entry, Head
from sar_data.containers.lmdb_values import Place, places
from sar_data.errors import BadRecord, SourceError
from sar_data.labels.splits import split_of
from sar_data.naming import few
from sar_data.record import Sample
from sar_data.spec import Tree
from sar_data.system import strict_json

LENGTH = 8  # bytes of the length of the JSON object
LONGEST = 1 << 20  # bytes of it
METADATA, MASK = "__metadata__", "mask"
DTYPES = {"F64": "f8", "F32": "f4", "F16": "f2", "I32": "i4", "I16": "i2", "U32": "u4", "U16": "u2", "U8": "u1"}
POLARIZATIONS = frozenset({"VV", "VH", "HH", "HV"})
Tensors = Mapping[str, tuple[str, tuple[int, ...], int, int]]
"""Name → dtype, shape, and the first and last byte after the header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetensorsLmdb:
    """The environments, whose samples may be of several satellites."""

    files: tuple[str, ...]
    hidden: tuple[str, ...] = ()
    kind = "lmdb-safetensors"
    expected = ()
    classes = ()

    def sentence(self) -> str:
        left = f"; keys that are no samples: {few(self.hidden)}" if self.hidden else ""
        return f"LMDB of safetensors, a tensor a band, in {few(self.files)}{left}"

    def entries(self, tree: Tree, bands: Sequence[str]) -> list[Entry]:
        entries = [_entry(path, place) for path in self.files for place in places(tree, path) if not place.hidden]
        named: dict[int, frozenset[str]] = {}
        for entry in entries:  # patches of one satellite have values of one size: of each size one header is read
            if entry.size not in named:
                with suppress(BadRecord):
                    named[entry.size] = frozenset(_tensors(tree, entry)[0])
        counts = Counter(named[entry.size] for entry in entries if entry.size in named)
        asked = frozenset(bands) or self._usual(counts)
        # Values that are no safetensors stay among the samples: `head` says what is wrong with each.
        return [entry for entry in entries if asked <= named.get(entry.size, asked)]

    @staticmethod
    def _usual(counts: Counter[frozenset[str]]) -> frozenset[str]:
        """Return the tensors that samples have, of several kinds of samples the polarizations; raise SourceError."""
        kinds = {names & POLARIZATIONS or names for names in counts} or {frozenset[str]()}
        radar = {names for names in kinds if names & POLARIZATIONS}
        if len(radar or kinds) == 1:
            return next(iter(radar or kinds))
        shown = few([few(sorted(names)) for names in kinds])
        raise SourceError(f"expected samples of the same bands, found those of {shown}: name some by `bands=…`")

    def head(self, tree: Tree, entry: Entry) -> Head:
        tensors, _ = _tensors(tree, entry)
        images = {name: tensor for name, tensor in tensors.items() if name != MASK}
        kinds = {(dtype, shape) for dtype, shape, *_ in images.values()}
        if len(kinds) != 1:
            raise BadRecord(entry.where, f"expected bands of one shape and dtype, found {few(sorted(map(str, kinds)))}")
        dtype, shape = next(iter(kinds))
        name = np.dtype(DTYPES[dtype]).name
        if len(images) == 1 and len(shape) > 2:  # one tensor of all bands
            return Head(shape=shape, dtype=name)
        axes = "bfyx" if len(shape) == 3 else "byx"
        return Head(shape=(len(images), *shape), dtype=name, axes=axes, bands=tuple(images))

    def read(self, tree: Tree, entry: Entry) -> Sample:
        tensors, begin = _tensors(tree, entry)
        data = tree.pread(entry.files[0], entry.start + begin, entry.size - begin)
        arrays = {
            name: np.frombuffer(data[start:stop], np.dtype(DTYPES[dtype]).newbyteorder("<")).reshape(shape)
            for name, (dtype, shape, start, stop) in tensors.items()
        }
        mask = arrays.pop(MASK, None)
        images = list(arrays.values())
        return Sample(image=images[0] if len(images) == 1 and images[0].ndim > 2 else np.stack(images), mask=mask)


def _entry(path: str, place: Place) -> Entry:
    return Entry(name=place.name, split=split_of(path), files=(path,), start=place.start, size=place.size)


def _tensors(tree: Tree, entry: Entry) -> tuple[Tensors, int]:
    """Return the tensors of a value, which fill it one after another, and where they begin; else raise BadRecord."""
    path, where = entry.files[0], entry.where
    size = int.from_bytes(tree.pread(path, entry.start, LENGTH), "little")
    if not 2 <= size <= min(LONGEST, entry.size - LENGTH):
        raise BadRecord(where, f"expected safetensors, which begin with the length of their header, found {size}")
    try:
        header = strict_json.loads(tree.pread(path, entry.start + LENGTH, size))
        tensors = {name: _tensor(tensor) for name, tensor in header.items() if name != METADATA}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadRecord(where, f"expected a header of safetensors, found another one ({error!r:.160})") from None
    end = 0
    for name, (dtype, shape, start, stop) in sorted(tensors.items(), key=lambda item: item[1][2:]):
        need = math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize
        if start != end or stop - start != need or not need:
            raise BadRecord(
                where, f"expected {need} bytes of {name:.40} {shape} from byte {end}, found bytes {start} to {stop}"
            )
        end = stop
    if end != (room := entry.size - LENGTH - size):
        raise BadRecord(where, f"expected {room} bytes of tensors, found {end}")
    if not tensors:
        raise BadRecord(where, "expected a tensor a band, found none")
    return tensors, LENGTH + size


def _tensor(tensor: Mapping[str, Any]) -> tuple[str, tuple[int, ...], int, int]:
    dtype, shape, (start, stop) = tensor["dtype"], tensor["shape"], tensor["data_offsets"]
    if dtype not in DTYPES:
        raise ValueError(f"expected a dtype of {', '.join(DTYPES)}, found {dtype!r:.20}")
    if any(type(number) is not int or number < 0 for number in (*shape, start, stop)):
        raise ValueError("expected whole numbers as shape and offsets")
    if len(shape) not in (2, 3, 4):
        raise ValueError(f"expected 2 to 4 axes, found {len(shape)}")
    return dtype, tuple(shape), start, stop
