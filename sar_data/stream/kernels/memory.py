"""Memory that compiled loops look into by its address: blocks with their bounds, and where in them samples begin.

Every loop is entered through the one public function of its module. Arrays of another type or order than the loop was
compiled for are refused by its signature; the loop itself compares the arrays' lengths with each other, and each sample
with the bounds of its block, before it looks at a byte. So no caller can have it read or write anything else.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sar_data.errors import BuildError
from sar_data.system.native import inline, type_of

Integers = npt.NDArray[np.int64]


class Memory(NamedTuple):
    """Block j is `size[j]` bytes at the address `base[j]`; sample i begins at byte offset[i] of block[i].

    Whoever makes one keeps its blocks in place until it has been used.
    """

    base: Integers
    size: Integers
    block: Integers
    offset: Integers


MEMORY = type_of(Memory(*[np.empty(0, np.int64)] * 4))


def inside(array: npt.NDArray[Any], offset: Integers) -> Memory:
    """Return samples that begin at some bytes of a C-contiguous array, which the caller keeps."""
    base, size = np.array([array.ctypes.data], np.int64), np.array([array.nbytes], np.int64)
    return Memory(base, size, np.zeros(len(offset), np.int64), offset)


def stored_bytes(memory: Memory, sample: int, size: int) -> npt.NDArray[np.uint8]:
    """Return `size` bytes of a sample where they are, read-only; raise BuildError where they leave its block."""
    block, offset = int(memory.block[sample]), int(memory.offset[sample])
    room = int(memory.size[block]) if 0 <= block < len(memory.size) else -1
    if size < 0 or not 0 <= offset <= room - size:
        raise BuildError(f"sample {sample}: expected {size} bytes inside of {room}, found byte {offset}")
    bytes_there: Any = (ctypes.c_char * size).from_address(int(memory.base[block]) + offset)
    return np.frombuffer(bytes_there, np.uint8)


def outside(memory: Memory, sample: int, size: int, places: Integers, out: int) -> BuildError:
    """Return the error for the sample at which a loop stopped."""
    block = int(memory.block[sample])
    room = int(memory.size[block]) if 0 <= block < len(memory.size) else 0
    return BuildError(
        f"sample {sample} of a batch: expected {size} bytes inside of {room} and a place below {out}, found byte "
        f"{memory.offset[sample]} and place {places[sample]}"
    )


@inline
def matches(memory: Any, places: Any) -> Any:
    """Say whether there is a block, an offset and a place for each sample."""
    return len(memory.base) == len(memory.size) and len(memory.block) == len(memory.offset) == len(places)


@inline
def fits(memory: Any, sample: Any, size: Any, place: Any, out: Any) -> Any:
    """Say whether so many bytes of a sample lie in its block, and its place in the batch."""
    block, offset = memory.block[sample], memory.offset[sample]
    if block < 0 or block >= len(memory.size) or place < 0 or place >= out:
        return False
    return offset >= 0 and size <= memory.size[block] and offset <= memory.size[block] - size


@inline
def address(memory: Any, sample: Any) -> Any:
    return memory.base[memory.block[sample]] + memory.offset[sample]
