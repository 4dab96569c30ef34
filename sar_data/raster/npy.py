"""Arrays of the npy format (NumPy Enhancement Proposal 1), never objects: nothing is unpickled."""

from __future__ import annotations

import io
import math

import numpy as np

from sar_data.errors import BadRecord
from sar_data.record import Image

MOST_BANDS = 8  # of three axes, the one that is that short holds the bands


def header(data: bytes, name: str) -> tuple[tuple[int, int, int], str]:
    """Return ((band, y, x), dtype) of an array from the head of its file; raise BadRecord."""
    shape, order, dtype, _ = _header(data, name)
    del order
    return _bands_first(shape, name)[0], dtype.name


def read(data: bytes, name: str) -> Image:
    """Return the array [band, y, x], native-endian; bands may come first or last. Raise BadRecord."""
    shape, fortran, dtype, start = _header(data, name)
    need = math.prod(shape) * dtype.itemsize
    if len(data) - start != need:
        raise BadRecord(name, f"expected {need:,} bytes of {shape} {dtype}, found {len(data) - start:,}")
    array: Image = np.frombuffer(data, dtype, offset=start).reshape(shape, order="F" if fortran else "C")
    _, axes = _bands_first(shape, name)
    array = array.transpose(axes) if axes else array[None]
    return np.ascontiguousarray(array, dtype.newbyteorder("="))


def _header(data: bytes, name: str) -> tuple[tuple[int, ...], bool, np.dtype[np.generic], int]:
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        parse = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, fortran, dtype = parse(stream)
    except (ValueError, KeyError, TypeError, SyntaxError) as error:
        raise BadRecord(name, f"expected a .npy array of version 1 or 2, found {data[:12]!r} ({error})") from None
    if dtype.kind not in "iuf":
        raise BadRecord(name, f"expected numbers, found an array of {dtype}")
    return shape, fortran, dtype, stream.tell()


def _bands_first(shape: tuple[int, ...], name: str) -> tuple[tuple[int, int, int], tuple[int, ...] | None]:
    """Return (band, y, x) and how the axes go there, None where there is no axis of bands."""
    if len(shape) == 2:
        return (1, *shape), None
    if len(shape) == 3 and shape[0] <= MOST_BANDS < min(shape[1:]):
        return (shape[0], shape[1], shape[2]), (0, 1, 2)
    if len(shape) == 3 and shape[2] <= MOST_BANDS < min(shape[:2]):
        return (shape[2], shape[0], shape[1]), (2, 0, 1)
    raise BadRecord(name, f"expected an array [y, x], [band, y, x] or [y, x, band], found {shape}")
