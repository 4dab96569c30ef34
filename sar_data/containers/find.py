"""Which container of another program a tree holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from sar_data.containers.entry import Container
from sar_data.containers.lmdb_values import Place, first_values, hidden_keys, is_lmdb
from sar_data.containers.members import members
from sar_data.containers.pickle_lmdb import MAGIC, pickle_lmdb
from sar_data.containers.rows import rows_of
from sar_data.containers.safetensors_lmdb import LENGTH, LONGEST, SafetensorsLmdb
from sar_data.errors import BadRecord, SourceError
from sar_data.labels.discovery import walk
from sar_data.naming import few
from sar_data.spec import Tree

DEEPEST = 3  # folders between the source and a container
SHOWN = 16  # bytes of a value of another kind


@lru_cache(maxsize=4)
def find_container(tree: Tree, named: bool = True) -> Container | None:
    """Return the container in a tree, None where there is none; raise SourceError or BadRecord for an unknown kind.

    `named` says that the dataset is known by its name: then arrays with lists are a container, too.
    """
    if files := [path for path in walk(tree, below=DEEPEST) if is_lmdb(tree, path)]:
        return _lmdb(tree, files)
    return rows_of(tree) or members(tree, named=named)


def _lmdb(tree: Tree, files: list[str]) -> Container:
    """Return the container of LMDB environments of one kind."""
    kinds: dict[str, list[str]] = {}
    for path in files:
        if values := first_values(tree, path):
            kinds.setdefault(_kind(tree, path, values), []).append(path)
    if not kinds:
        raise SourceError(f"{few(files)}: expected an LMDB with samples, found an empty one")
    if len(kinds) > 1:
        shown = "; ".join(f"{kind} in {few(paths)}" for kind, paths in kinds.items())
        raise SourceError(f"expected LMDBs of one kind, found {shown}: name the folder of one as the source")
    ((kind, paths),) = kinds.items()
    if kind == "pickles":
        return pickle_lmdb(tree, paths)
    return SafetensorsLmdb(files=tuple(paths), hidden=hidden_keys(tree, paths))


def _kind(tree: Tree, path: str, values: Sequence[Place]) -> str:
    """Return the kind of most values that have one; raise BadRecord, with the first value, where none has."""
    heads = [tree.pread(path, place.start, SHOWN) for place in values]
    if kinds := Counter(kind for head in heads if (kind := _kind_of(head))):
        return kinds.most_common(1)[0][0]
    raise BadRecord(
        f"{path}, key {values[0].name}",
        f"expected a pickled tuple or safetensors, found a value that begins with {heads[0]!r}: save the samples as "
        ".npy, .png or .tif files and build them as data of your own",
    )


def _kind_of(head: bytes) -> str | None:
    # First safetensors: the length of their header may begin with the byte that a pickle begins with.
    if head[LENGTH : LENGTH + 1] == b"{" and int.from_bytes(head[:LENGTH], "little") <= LONGEST:
        return "safetensors"
    return "pickles" if head.startswith(MAGIC) else None
