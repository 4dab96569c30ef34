"""Find values in a sealed LMDB file: their byte offsets, so that they are read like any other raw payload.

LMDB's own library opens a file once a process, must not be carried over a fork, and takes the interpreter's lock for
every value. A sealed file never changes, and finding a key in it is a walk down a few pages. The layout is that of
LMDB 0.9 (data version 1): mdb.c, the structures MDB_page, MDB_node, MDB_db and MDB_meta. Every number read is checked
against the file's size before it is followed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sar_data.errors import BuildError
from sar_data.system.native import carray, compiled, inlined, pointer

MAGIC, VERSION = 0xBEEFC0DE, 1
# A page's header, then MDB_meta, of whose two databases the second is the main one.
META = struct.Struct("<16x II QQ 48x IHHQQQQQ QQ")
HEAD = 16  # bytes of a page's header
BRANCH, LEAF, BIG = 0x01, 0x02, 0x01  # flags of pages, and of a node whose value has pages of its own
DEEPEST = 32
ABSENT, DAMAGED = -1, -2
SMALLEST = 512  # bytes a page may have
NO_ROOT = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Tree:
    """The main database of a sealed file: page size and count, and the number of its root page (-1: empty)."""

    page: int
    pages: int
    root: int


def tree(path: Path) -> Tree:
    """Read a file's newest meta page; raise BuildError where it is no LMDB file, or shorter than it says."""
    try:
        size = path.stat().st_size
        with open(path, "rb", buffering=0) as file:
            start = file.read(1 << 17)
        page = struct.unpack_from("<I", start, 40)[0]  # the first database's md_pad is the page size
        metas = [META.unpack_from(start, at) for at in (0, page)]
    except (OSError, struct.error) as error:
        raise BuildError(f"{path}: expected an LMDB file, cannot read it: {error}") from error
    magic, version, *_, root, last, _ = max(metas, key=lambda meta: meta[-1])
    if (magic, version) != (MAGIC, VERSION) or page < SMALLEST:
        raise BuildError(f"{path}: expected LMDB's data version {VERSION}, found another file: was it damaged?")
    if (last + 1) * page > size:
        raise BuildError(f"{path}: expected {(last + 1) * page} bytes, found {size}: it was cut off, copy it again")
    return Tree(page, last + 1, -1 if root == NO_ROOT else root)


@inlined
def _u16(data: Any, at: Any) -> Any:
    return np.int64(data[at]) | np.int64(data[at + 1]) << 8


@inlined
def _compare(data: Any, at: Any, size: Any, key: Any) -> Any:
    """Compare a node's key with `key`: below 0, 0 or above 0, as memcmp with the shorter key first."""
    for i in range(min(size, len(key))):
        if data[at + i] != key[i]:
            return np.int64(data[at + i]) - np.int64(key[i])
    return size - np.int64(len(key))


@inlined
def _descend(data: Any, page: Any, pages: Any, root: Any, key: Any) -> Any:
    """Return offset and length of a key's value."""
    if root < 0:
        return ABSENT, 0
    number = root
    for _ in range(DEEPEST):
        if number < 0 or number >= pages:
            return DAMAGED, 0
        start = number * page
        flags, count = _u16(data, start + 10), (_u16(data, start + 12) - HEAD) >> 1
        leaf = flags & LEAF != 0
        if (not leaf and flags & BRANCH == 0) or count < 1 or count > (page - HEAD) >> 1:
            return DAMAGED, 0
        # The last node whose key is not above the wanted one; a branch's first key counts as below all.
        low, high, equal = (0 if leaf else 1), count, False
        while low < high:
            middle = (low + high) >> 1
            node = _u16(data, start + HEAD + 2 * middle)
            if node + 8 > page or node + 8 + _u16(data, start + node + 6) > page:
                return DAMAGED, 0
            order = _compare(data, start + node + 8, _u16(data, start + node + 6), key)
            if order == 0:
                equal = True
                low = middle + 1
                break
            if order < 0:
                low = middle + 1
            else:
                high = middle
        if low == 0 or (leaf and not equal):
            return ABSENT, 0
        at = start + _u16(data, start + HEAD + 2 * (low - 1))
        if at + 8 > start + page:
            return DAMAGED, 0
        lower = _u16(data, at) | _u16(data, at + 2) << 16
        if not leaf:
            number = lower | _u16(data, at + 4) << 32
            continue
        at_value = at + 8 + _u16(data, at + 6)
        if _u16(data, at + 4) & BIG:
            if at_value + 8 > start + page:
                return DAMAGED, 0
            number = np.int64(0)
            for i in range(8):
                number |= np.int64(data[at_value + i]) << (8 * i)
            if number < 0 or number >= pages:
                return DAMAGED, 0
            at_value = number * page + HEAD
        if at_value + lower > pages * page:
            return DAMAGED, 0
        return at_value, lower
    return DAMAGED, 0


@compiled("void(i8, i8, i8, i8, u1[::1], i8[::1], i8[::1], i8[::1])")
def find(address: Any, page: Any, pages: Any, root: Any, text: Any, edges: Any, values: Any, lengths: Any) -> None:
    """Fill the offsets (or ABSENT, DAMAGED) and lengths of the values of the keys text[edges[i] : edges[i + 1]]."""
    data = carray(pointer(address), pages * page, np.uint8)
    for i in range(len(values)):
        values[i], lengths[i] = _descend(data, page, pages, root, text[edges[i] : edges[i + 1]])
