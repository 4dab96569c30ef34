"""The compiled loops between stored bytes and a batch: gather, convert, normalize, in one pass over memory.

numpy needs a pass a step and the interpreter's lock between them; compiled, two threads move as much as the memory
gives (docs/performance.md).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from sar_data.dtypes import STORED
from sar_data.errors import BuildError
from sar_data.stream.kernels.memory import MEMORY, Integers, Memory, address, fits, matches, outside
from sar_data.system.native import DONE, MISMATCH, carray, compile_loop, inline, pointer, run, type_of

Floats = npt.NDArray[np.float32]
# An empty array of each stored type, by which a loop is chosen; float16 goes by its bits.
MOST = 1 << 56
KINDS = {np.dtype(kind): np.empty(0, "uint16" if kind == "float16" else kind) for kind in STORED}


class Channels(NamedTuple):
    """Channel c is (plane first[c] - terms[c, 0]) * terms[c, 1], or the same of first[c] - second[c] if that is not -1.

    `terms` is float32 [channel, 2]. What is `missing`, NaN or infinite becomes `fill`.
    """

    first: Integers
    second: Integers
    terms: npt.NDArray[np.float32]
    fill: np.float32
    missing: np.float32


ROWS = np.empty(0, np.int64)
CHANNELS = type_of(Channels(ROWS, ROWS, np.empty((0, 2), np.float32), np.float32(0), np.float32(0)))


def gather(
    memory: Memory, stored: npt.DTypeLike, planes: int, places: Integers, channels: Channels, out: Floats
) -> None:
    """Fill out[places[i]] [channel, pixel] from image i, of `planes` planes of the type `stored`.

    Raises BuildError for an image that does not lie in its block as a whole, and for arrays that do not fit together.
    """
    kind = np.dtype(stored)
    if kind not in KINDS:
        raise BuildError(f"stored: expected {', '.join(map(str, KINDS))}, found {kind}")
    loop = _halves if kind == np.float16 else _gather
    stopped = run(loop, KINDS[kind], planes, memory, places, channels, out)
    if stopped != DONE:
        raise outside(memory, stopped, planes * out.shape[2] * kind.itemsize, places, len(out))


@inline
def _agree(planes: Any, memory: Any, places: Any, channels: Any, out: Any) -> Any:
    """Say whether the arrays have a row for each channel and sample, and channels are of planes that there are."""
    first, second, terms, _, _ = channels
    if planes < 1 or planes > MOST // max(out.shape[2], 1):  # their bytes can be counted
        return False
    if not matches(memory, places) or len(second) != len(first) or terms.shape != (len(first), 2):
        return False
    for c in range(len(first)):
        if first[c] < 0 or first[c] >= planes or second[c] >= planes:
            return False
    return out.shape[1] == len(first)


@inline
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


@inline
def _image(image: Any, first: Any, second: Any, terms: Any, fill: Any, missing: Any, out: Any) -> None:
    for c in range(len(first)):
        _affine(image[first[c]], image[max(second[c], 0)], second[c] >= 0, terms[c], fill, missing, out[c])


def _signature(kind: Any) -> Any:
    return numba.i8(kind[::1], numba.i8, MEMORY, numba.i8[::1], CHANNELS, numba.f4[:, :, ::1])


@compile_loop(*(_signature(kind) for kind in (numba.f4, numba.u2, numba.i2, numba.u1)))
def _gather(like: Any, planes: Any, memory: Any, places: Any, channels: Any, out: Any) -> Any:
    if not _agree(planes, memory, places, channels, out):
        return MISMATCH
    size = planes * out.shape[2] * like.itemsize
    first, second, terms, fill, missing = channels
    for i in range(len(places)):
        if not fits(memory, i, size, places[i], len(out)):
            return i
        image = carray(pointer(address(memory, i)), (planes, out.shape[2]), like.dtype)
        _image(image, first, second, terms, fill, missing, out[places[i]])
    return DONE


@inline
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


@compile_loop(_signature(numba.u2))
def _halves(like: Any, planes: Any, memory: Any, places: Any, channels: Any, out: Any) -> Any:
    """Do as `_gather` for float16, whose bits are taken for uint16."""
    if not _agree(planes, memory, places, channels, out):
        return MISMATCH
    image = np.empty((planes, out.shape[2]), np.float32)
    first, second, terms, fill, missing = channels
    for i in range(len(places)):
        if not fits(memory, i, image.size * 2, places[i], len(out)):
            return i
        _widen(carray(pointer(address(memory, i)), image.size, like.dtype), image.ravel())
        _image(image, first, second, terms, fill, missing, out[places[i]])
    return DONE
