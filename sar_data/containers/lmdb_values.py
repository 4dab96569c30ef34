"""All keys of an LMDB file with the places of their values, by our own walk of its pages.

The lmdb library maps a file and follows its numbers, so that a damaged file ends the process. Here pages are read one
by one, and each number is checked before it is followed. The layout is that of sar_data/formats/lmdb_pages.py.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from itertools import islice, pairwise
from typing import NamedTuple

from sar_data.errors import BadRecord, BuildError, SourceError
from sar_data.formats.lmdb_pages import BEGINNING, BIG, BRANCH, DEEPEST, HEAD, LEAF, MAGIC, tree_of
from sar_data.formats.lmdb_pages import Tree as Pages
from sar_data.spec import Tree

SUFFIXES = (".mdb", ".lmdb")  # of files: data.mdb in the folder of an environment, or a file that is one
LOCK = "lock.mdb"
NODE = struct.Struct("<HHHH")  # low and high half of a length or a page, flags, length of the key
SEVERAL = 0x02 | 0x04  # flags of nodes: a database of its own, or several values of one key
MAGIC_AT = 16
LONGEST_KEY = 511  # bytes, of LMDB as it is built by default
HIDDEN = b"__"  # begins and ends keys of the file itself, such as __len__
OWN = frozenset({"keys", "len", "length", "meta", "metadata", "num_samples"})  # other usual keys of it, with _ for -
TRIED = 64  # values that say of which kind a file is: metadata of another kind may be among them


class Place(NamedTuple):
    """A key, and where its value lies in the file."""

    key: bytes
    start: int
    size: int

    @property
    def name(self) -> str:
        """The key as text."""
        return self.key.decode("utf-8", "backslashreplace")

    @property
    def hidden(self) -> bool:
        """Whether the key is of the file itself and not of a sample."""
        is_marked = self.key.startswith(HIDDEN) and self.key.endswith(HIDDEN)
        return is_marked or self.name.lower().replace("-", "_") in OWN


def is_lmdb(tree: Tree, path: str) -> bool:
    """Say by its name and its first bytes whether a file is an LMDB environment."""
    name = path.rpartition("/")[2]
    if not name.endswith(SUFFIXES) or name == LOCK:
        return False
    return tree.head(path, MAGIC_AT + 4)[MAGIC_AT:] == MAGIC.to_bytes(4, "little")


@lru_cache(maxsize=64)
def places(tree: Tree, path: str) -> tuple[Place, ...]:
    """Return all keys of a file in their order, read once a process; raise SourceError, which names the file.

    Only the pages of keys are read: of 590,326 patches some 4,000.
    """
    try:
        pages = tree_of(tree.head(path, BEGINNING), tree.size(path), path)
    except (BuildError, BadRecord) as error:
        raise SourceError(str(error)) from None
    values: list[Place] = []
    seen: set[int] = set()
    stack = [(pages.root, 0)] if pages.root >= 0 else []
    while stack:
        number, depth = stack.pop()
        if depth > DEEPEST or not 0 <= number < pages.pages or number in seen:
            raise _damage(path, number)
        seen.add(number)
        data = tree.pread(path, number * pages.page, pages.page)
        if len(data) < pages.page:
            raise _damage(path, number)
        try:
            below = _read_page(data, number, pages, values)
        except (struct.error, ValueError):
            raise _damage(path, number) from None
        stack += [(child, depth + 1) for child in reversed(below)]
    _check_apart(path, values)
    return tuple(values)


def first_values(tree: Tree, path: str) -> list[Place]:
    """Return the first samples of a file, which say of which kind it is."""
    return list(islice((place for place in places(tree, path) if not place.hidden), TRIED))


def hidden_keys(tree: Tree, paths: Sequence[str]) -> tuple[str, ...]:
    """Return the keys of some files that are no samples, sorted."""
    return tuple(sorted({place.name for path in paths for place in places(tree, path) if place.hidden}))


def _check_apart(path: str, values: Sequence[Place]) -> None:
    """Raise SourceError where keys are equal or share bytes: a small file could have values without end."""
    if len({place.key for place in values}) < len(values):
        raise SourceError(f"{path}: expected different keys, found some twice: copy the file again")
    ordered = sorted(values, key=lambda place: (place.start, place.size))
    for before, place in pairwise(ordered):
        if before.start + before.size > place.start:
            raise SourceError(
                f"{path}: expected values of their own, found that keys {before.name:.80} and {place.name:.80} share "
                "bytes: copy the file again"
            )


def _read_page(data: bytes, number: int, pages: Pages, values: list[Place]) -> list[int]:
    """Append the values of a leaf, or return the pages below a branch; raise ValueError or struct.error for others."""
    flags, lower = struct.unpack_from("<HH", data, 10)
    count = (lower - HEAD) >> 1
    if not flags & (LEAF | BRANCH) or count < 1 or HEAD + 2 * count > pages.page:
        raise ValueError("flags")
    below = []
    room = pages.page - HEAD - 2 * count  # for the nodes, each of which has bytes of its own
    for at in struct.unpack_from(f"<{count}H", data, HEAD):
        low, high, kind, size = NODE.unpack_from(data, at)
        key, begin = data[at + NODE.size : at + NODE.size + size], at + NODE.size + size
        room -= NODE.size + size
        if size > LONGEST_KEY or room < 0:
            raise ValueError("keys")
        if flags & BRANCH:
            below.append(low | high << 16 | kind << 32)
            continue
        length = low | high << 16
        if kind & SEVERAL or begin > pages.page:
            raise ValueError("several databases")
        start = number * pages.page + begin
        if kind & BIG:
            start = struct.unpack_from("<Q", data, begin)[0] * pages.page + HEAD
        elif begin + length > pages.page:
            raise ValueError("length")
        if start + length > pages.pages * pages.page:
            raise ValueError("length")
        values.append(Place(key, start, length))
    return below


def _damage(path: str, number: int) -> SourceError:
    return SourceError(
        f"{path}: expected pages of one LMDB database, found page {number} damaged, or of a database inside: "
        "copy the file again, or dump it by the program that wrote it"
    )
