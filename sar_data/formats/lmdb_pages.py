"""Byte offsets of values in a sealed LMDB file, so that they are read like other raw payloads.

LMDB's own library does not check a file: a short or manipulated file ends the process. The library also opens a file
only once a process, does not survive a fork, and takes the interpreter's lock for every value. A sealed file never
changes, and a key is at the end of a path of few pages. The layout is that of LMDB 0.9 (data version 1): mdb.c, the
structures MDB_page, MDB_node, MDB_db and MDB_meta. Pages are read, not mapped, and every number in them is checked
before it is used, so that no file can cause an access outside of it.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sar_data.errors import BuildError
from sar_data.system.native import compile_loop, inline, pread
from sar_data.system.regular import open_regular

Integers = npt.NDArray[np.int64]
MAGIC, VERSION = 0xBEEFC0DE, 1
# The header of a page, then MDB_meta, which has two databases; the second is the main one.
META = struct.Struct("<16x II QQ 48x IHHQQQQQ QQ")
HEAD = 16  # bytes of a page's header
BRANCH, LEAF, BIG = 0x01, 0x02, 0x01  # flags of pages; BIG of a node whose value has its own pages
DEEPEST = 32
ABSENT, DAMAGED = -1, -2
SMALLEST, LARGEST = 512, 1 << 16  # bytes of a page
BEGINNING = LARGEST + META.size  # bytes that have both meta pages, of the largest size, too
NO_ROOT = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Tree:
    """The main database of a sealed file: page size and count, and the number of its root page (-1: empty)."""

    page: int
    pages: int
    root: int


def read_tree(path: Path) -> Tree:
    """Return the tree of a file's newest meta page; raise BuildError where it is not an LMDB file, or too short."""
    file = open_regular(path)
    try:
        return tree_of(os.pread(file, BEGINNING, 0), os.fstat(file).st_size, str(path))
    except OSError as error:
        raise BuildError(f"{path}: expected an LMDB file, cannot read it: {error}") from error
    finally:
        os.close(file)


def tree_of(start: bytes, size: int, path: str) -> Tree:
    """Return the tree of a file of `size` bytes by its first BEGINNING ones; raise BuildError as `read_tree` does."""
    try:
        page = struct.unpack_from("<I", start, 40)[0]  # the first database's md_pad is the page size
        metas = [META.unpack_from(start, at) for at in (0, page)]
    except struct.error as error:
        raise BuildError(f"{path}: expected an LMDB file, cannot read it: {error}") from error
    magic, version, *_, root, last, _ = max(metas, key=lambda meta: meta[-1])
    if (magic, version) != (MAGIC, VERSION) or page < SMALLEST:
        raise BuildError(f"{path}: expected LMDB's data version {VERSION}, found another file: was it damaged?")
    if (last + 1) * page > size:
        raise BuildError(f"{path}: expected {(last + 1) * page} bytes, found {size}: it was cut off, copy it again")
    return Tree(page, last + 1, -1 if root == NO_ROOT else min(root, last + 1))


def find(file: int, tree: Tree, text: npt.NDArray[np.uint8], edges: Integers) -> Integers:
    """Return int64 [key, 2]: offset (or ABSENT, DAMAGED) and length of the value of each key.

    Keys are text[edges[i] : edges[i + 1]]; `file` is the open file of `tree`. No offset and length lead out of the
    file's pages. Raises BuildError for keys that are not in `text`.
    """
    text, edges = np.array(text, np.uint8), np.array(edges, np.int64)  # copies: the loop takes no read-only arrays
    if len(edges) < 1 or edges[0] < 0 or edges[-1] > len(text) or (np.diff(edges) < 0).any():
        raise BuildError(f"keys: expected edges that ascend from 0 to {len(text)}, found others")
    values = np.empty((len(edges) - 1, 2), np.int64)
    _find(file, np.array([tree.page, tree.pages, tree.root], np.int64), text, edges, values)
    return values


@inline
def _u16(data: Any, at: Any) -> Any:
    return np.int64(data[at]) | np.int64(data[at + 1]) << 8


@inline
def _compare(data: Any, at: Any, size: Any, key: Any) -> Any:
    """Compare a node's key with `key`: below 0, 0 or above 0, as memcmp with the shorter key first."""
    for i in range(min(size, len(key))):
        if data[at + i] != key[i]:
            return np.int64(data[at + i]) - np.int64(key[i])
    return size - np.int64(len(key))


@inline
def _load(file: Any, number: Any, data: Any) -> Any:
    """Read a whole page; return whether the file has it."""
    done = 0
    while done < len(data):
        got = pread(file, data.ctypes.data + done, len(data) - done, number * len(data) + done)
        if got <= 0:
            return False
        done += got
    return True


@inline
def _search(data: Any, count: Any, leaf: Any, key: Any) -> Any:
    """Return the node of a page to follow, or ABSENT, DAMAGED: the last node whose key is not above `key`.

    The first key of a branch counts as below all keys; in a leaf the node must have this key.
    """
    page = len(data)
    low, high, equal = (0 if leaf else 1), count, False
    while low < high:
        middle = (low + high) >> 1
        node = _u16(data, HEAD + 2 * middle)
        if node + 8 > page or node + 8 + _u16(data, node + 6) > page:
            return DAMAGED
        order = _compare(data, node + 8, _u16(data, node + 6), key)
        if order == 0:
            equal = True
            low = middle + 1
            break
        if order < 0:
            low = middle + 1
        else:
            high = middle
    return ABSENT if low == 0 or (leaf and not equal) else low - 1


@inline
def _value(data: Any, start: Any, pages: Any, at: Any) -> Any:
    """Return offset and length in the file of a value; its node is at `at` in the page that begins at `start`."""
    page = len(data)
    length = _u16(data, at) | _u16(data, at + 2) << 16
    inside = at + 8 + _u16(data, at + 6)
    if not _u16(data, at + 4) & BIG:
        return (start + inside, length) if inside + length <= page else (DAMAGED, 0)
    if inside + 8 > page:
        return DAMAGED, 0
    number = np.int64(0)
    for i in range(8):
        number |= np.int64(data[inside + i]) << (8 * i)
    if number < 0 or number >= pages or number * page + HEAD + length > pages * page:
        return DAMAGED, 0
    return number * page + HEAD, length


@inline
def _descend(file: Any, tree: Any, levels: Any, numbers: Any, key: Any) -> Any:
    """Return offset and length of a key's value; `levels` are the pages read last, `numbers` their numbers."""
    page, pages, number = tree[0], tree[1], tree[2]
    if number < 0:
        return ABSENT, 0
    for level in range(len(numbers)):
        if number < 0 or number >= pages:
            return DAMAGED, 0
        data = levels[level]
        if numbers[level] != number:
            numbers[level] = number if _load(file, number, data) else -1
            if numbers[level] < 0:
                return DAMAGED, 0
        flags, count = _u16(data, 10), (_u16(data, 12) - HEAD) >> 1
        leaf = flags & LEAF != 0
        if (not leaf and flags & BRANCH == 0) or count < 1 or count > (page - HEAD) >> 1:
            return DAMAGED, 0
        node = _search(data, count, leaf, key)
        if node < 0:
            return node, 0
        at = _u16(data, HEAD + 2 * node)
        if at + 8 > page:
            return DAMAGED, 0
        if leaf:
            return _value(data, number * page, pages, at)
        number = _u16(data, at) | _u16(data, at + 2) << 16 | _u16(data, at + 4) << 32
    return DAMAGED, 0


@compile_loop("void(i4, i8[::1], u1[::1], i8[::1], i8[:, ::1])")
def _find(file: Any, tree: Any, text: Any, edges: Any, values: Any) -> None:
    levels, numbers = np.empty((DEEPEST, tree[0]), np.uint8), np.full(DEEPEST, -1)
    for i in range(len(values)):
        values[i, 0], values[i, 1] = _descend(file, tree, levels, numbers, text[edges[i] : edges[i + 1]])
