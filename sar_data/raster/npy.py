"""Arrays of the npy format (NumPy Enhancement Proposal 1), never objects: nothing is unpickled."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sar_data.errors import BadRecord, Reading
from sar_data.raster.file_parts import HEAD_BYTES, FileParts
from sar_data.record import Image
from sar_data.spec import Tree

MAX_HEADER = HEAD_BYTES  # bytes: numpy writes 128, and accepts at most 10,000
MAX_BANDS = 8  # of three axes, one this short is the axis of bands


def header(tree: Tree, path: str) -> tuple[tuple[int, int, int], str]:
    """Return ((band, y, x), dtype) of an array, without its elements; raise BadRecord."""
    return header_of(FileParts.at(tree, path), path)


def header_of(file: FileParts, name: str) -> tuple[tuple[int, int, int], str]:
    """Return the same of a file in parts."""
    shape, _, dtype, _ = _header(file, name)
    return _bands_first(shape, name)[0], dtype.name


def read(data: bytes, name: str) -> Image:
    """Return the array [band, y, x], native-endian; bands may come first or last. Raise BadRecord."""
    array = _array(data, FileParts.of(data), name)
    return np.ascontiguousarray(array, array.dtype.newbyteorder("="))


def stored_header(tree: Tree, path: str) -> tuple[tuple[int, ...], str]:
    """Return shape and dtype of an array along the axes of the file, without its elements; raise BadRecord."""
    shape, _, dtype, _ = _header(FileParts.at(tree, path), path)
    return shape, dtype.name


def read_stored(data: bytes, name: str) -> Image:
    """Return the array along the axes of the file, native-endian; raise BadRecord."""
    array = _elements(data, FileParts.of(data), name)
    return np.ascontiguousarray(array, array.dtype.newbyteorder("="))


def map_file(path: Path) -> Image:
    """Return the array [band, y, x] of a file, of which only what is looked at is read; raise BadRecord."""
    with path.open("rb") as file:
        head = file.read(MAX_HEADER)
    return _array(np.memmap(path, np.uint8, mode="r") if head else head, FileParts.of(head), str(path))


def _array(data: bytes | npt.NDArray[np.uint8], parts: FileParts, name: str) -> Image:
    array = _elements(data, parts, name)
    _, axes = _bands_first(array.shape, name)
    return array.transpose(axes) if axes else array[None]


def _elements(data: bytes | npt.NDArray[np.uint8], parts: FileParts, name: str) -> Image:
    shape, fortran, dtype, start = _header(parts, name)
    need = math.prod(shape) * dtype.itemsize
    if len(data) - start != need:
        raise BadRecord(name, f"expected {need:,} bytes of {shape} {dtype}, found {len(data) - start:,}")
    return np.frombuffer(data, dtype, offset=start).reshape(shape, order="F" if fortran else "C")


def _header(file: FileParts, name: str) -> tuple[tuple[int, ...], bool, np.dtype[np.generic], int]:
    stream = io.BytesIO(file.part(0, MAX_HEADER))
    with Reading(name, "a .npy array of version 1 or 2"):
        version = np.lib.format.read_magic(stream)
        parse = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, fortran, dtype = parse(stream)
    if dtype.kind not in "iufcb" or dtype.subdtype is not None:
        raise BadRecord(name, f"expected numbers, found an array of {dtype}")
    if any(side < 1 for side in shape):
        raise BadRecord(name, f"expected an array with elements, found one of {shape}")
    return shape, fortran, dtype, stream.tell()


def _bands_first(shape: tuple[int, ...], name: str) -> tuple[tuple[int, int, int], tuple[int, ...] | None]:
    """Return (band, y, x) and the permutation of the axes, None for an array without an axis of bands."""
    if len(shape) == 2:
        return (1, *shape), None
    if len(shape) == 3 and shape[0] <= MAX_BANDS < min(shape[1:]):
        return (shape[0], shape[1], shape[2]), (0, 1, 2)
    if len(shape) == 3 and shape[2] <= MAX_BANDS < min(shape[:2]):
        return (shape[2], shape[0], shape[1]), (2, 0, 1)
    raise BadRecord(name, f"expected an array [y, x], [band, y, x] or [y, x, band], found {shape}")
