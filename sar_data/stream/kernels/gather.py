"""The compiled loops between stored bytes and a batch: gather, convert, normalize, in one pass over memory.

numpy needs a pass a step and the interpreter's lock between them; compiled, two threads move as much as the memory
gives (docs/performance.md).
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from sar_data.system.native import carray, compiled, inlined, pointer

# The system's own pread: the interpreter's would take its lock twice a sample.
_pread: Any = numba.types.ExternalFunction(
    "pread", numba.types.intp(numba.types.int32, numba.types.intp, numba.types.intp, numba.types.int64)
)
STORED = ("f4", "u2", "i2", "u1")
SIGNATURE = "void({}[::1], i8, i8[::1], i8[::1], i8[::1], i8[::1], f4[:, ::1], f4, f4, f4[:, :, ::1])"


@inlined
def _affine(a: Any, b: Any, paired: Any, terms: Any, fill: Any, missing: Any, out: Any) -> None:
    offset, scale = terms[0], terms[1]
    for p in range(len(out)):
        value = np.float32(a[p])
        valid = value != missing
        if paired:
            other = np.float32(b[p])
            valid = valid and other != missing
            value = value - other
        value = (value - offset) * scale
        out[p] = value if valid and abs(value) < np.float32(np.inf) else fill


@inlined
def _one(image: Any, first: Any, second: Any, terms: Any, fill: Any, missing: Any, out: Any) -> None:
    for c in range(len(first)):
        _affine(image[first[c]], image[max(second[c], 0)], second[c] >= 0, terms[c], fill, missing, out[c])


@compiled(*(SIGNATURE.format(kind) for kind in STORED))
def normalize(
    like: Any,
    planes: Any,
    addresses: Any,
    places: Any,
    first: Any,
    second: Any,
    terms: Any,
    fill: Any,
    missing: Any,
    out: Any,
) -> None:
    """Fill out[places[i]] [channel, pixel] from the image at addresses[i], of `planes` and of the type of `like`.

    Channel c is (plane first[c] - terms[c, 0]) * terms[c, 1], or the same of the difference first[c] - second[c] where
    second[c] >= 0. What is `missing`, NaN or infinite becomes `fill`.
    """
    for i in range(len(addresses)):
        image = carray(pointer(addresses[i]), (planes, out.shape[2]), like.dtype)
        _one(image, first, second, terms, fill, missing, out[places[i]])


@inlined
def _widen(bits: Any, out: Any) -> None:
    """Turn the bits of float16, a type that compiled code does not know, into float32.

    The exponent moves to float32's bias by an exact product; all ones (infinity, NaN) are put in by hand.
    """
    for p in range(len(out)):
        shifted = np.uint32((bits[p] & 0x7FFF) << 13)
        value = np.uint32(shifted).view(np.float32) * np.float32(5.192296858534828e33)  # 2 ** 112
        if bits[p] & 0x7C00 == 0x7C00:
            value = np.uint32(shifted | 0x7F800000).view(np.float32)
        out[p] = -value if bits[p] & 0x8000 else value


@compiled(SIGNATURE.format("u2"))
def normalize_halves(
    like: Any,
    planes: Any,
    addresses: Any,
    places: Any,
    first: Any,
    second: Any,
    terms: Any,
    fill: Any,
    missing: Any,
    out: Any,
) -> None:
    """Do as `normalize` for float16, whose bits are taken for uint16."""
    image = np.empty((planes, out.shape[2]), np.float32)
    for i in range(len(addresses)):
        _widen(carray(pointer(addresses[i]), image.size, like.dtype), image.ravel())
        _one(image, first, second, terms, fill, missing, out[places[i]])


@compiled("i8(i4[::1], i8[::1], i8[::1], i8[::1])")
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


@compiled("void(i8[::1], i8[::1], i8[::1])")
def copy(sources: Any, addresses: Any, lengths: Any) -> None:
    """Copy the bytes of each sample from one address to another."""
    for i in range(len(sources)):
        to = carray(pointer(addresses[i]), lengths[i], np.uint8)
        to[:] = carray(pointer(sources[i]), lengths[i], np.uint8)
