"""The compiled loops between stored bytes and a batch: gather, convert, normalise, in one pass over memory.

numpy needs a pass a step and the interpreter's lock between them; compiled, two threads move as much as the memory
gives (docs/performance.md).
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba.extending import overload

from sar_data.stream.native import carray, compiled, pointer

# The system's own pread: the interpreter's would take its lock twice a sample.
_pread: Any = numba.types.ExternalFunction(
    "pread", numba.types.intp(numba.types.int32, numba.types.intp, numba.types.intp, numba.types.int64)
)


def _number(stored: Any) -> Any:
    """Return a stored value as float32; uint16 are the bits of a float16, which compiled code does not know."""
    raise NotImplementedError


@overload(_number, strict=False)
def _as_float32(stored: Any) -> Any:
    if stored != numba.types.uint16:
        return lambda stored: np.float32(stored)

    def widen(stored: Any) -> Any:
        # The exponent moves to float32's bias by an exact product; all ones (infinity, NaN) are put in by hand.
        bits = np.uint32((stored & 0x7FFF) << 13)
        value = bits.view(np.float32) * np.float32(5.192296858534828e33)  # 2 ** 112
        if stored & 0x7C00 == 0x7C00:
            value = np.uint32(bits | 0x7F800000).view(np.float32)
        return -value if stored & 0x8000 else value

    return widen


@compiled
def _affine(first: Any, second: Any, paired: Any, terms: Any, fill: Any, missing: Any, out: Any) -> None:
    offset, scale = terms[0], terms[1]
    for p in range(len(out)):
        raw = _number(first[p])
        value = raw
        valid = raw != missing
        if paired:
            other = _number(second[p])
            valid = valid and other != missing
            value = raw - other
        value = (value - offset) * scale
        out[p] = value if valid and abs(value) < np.float32(np.inf) else fill


@compiled
def normalise(
    like: Any, addresses: Any, places: Any, first: Any, second: Any, terms: Any, fill: Any, missing: Any, out: Any
) -> None:
    """Fill out[places[i]] [channel, pixel] from the image at addresses[i], of the shape and type of `like`.

    Channel c is (band first[c] - terms[c, 0]) * terms[c, 1], or the same of the difference first[c] - second[c] where
    second[c] >= 0. What is `missing`, NaN or infinite becomes `fill`.
    """
    for i in range(len(addresses)):
        image = carray(pointer(addresses[i]), like.shape, like.dtype)
        for c in range(len(first)):
            paired = second[c] >= 0
            _affine(image[first[c]], image[max(second[c], 0)], paired, terms[c], fill, missing, out[places[i], c])


@compiled
def read(files: Any, offsets: Any, addresses: Any, lengths: Any) -> Any:
    """Read each sample from a file descriptor, at an offset, to an address.

    Returns -1, or the number of the first sample that is not there in full.
    """
    for i in range(len(files)):
        done = 0
        while done < lengths[i]:
            got = _pread(files[i], addresses[i] + done, lengths[i] - done, offsets[i] + done)
            if got <= 0:
                return i
            done += got
    return -1


@compiled
def copy(sources: Any, addresses: Any, lengths: Any) -> None:
    """Copy the bytes of each sample from one address to another."""
    for i in range(len(sources)):
        to = carray(pointer(addresses[i]), lengths[i], np.uint8)
        to[:] = carray(pointer(sources[i]), lengths[i], np.uint8)
