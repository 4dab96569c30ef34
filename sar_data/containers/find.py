"""Which container of another program a tree holds."""

from __future__ import annotations

from functools import lru_cache

from sar_data.containers.entry import Container
from sar_data.containers.lmdb_values import hidden_keys, is_lmdb, places
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
        first = next((place for place in places(tree, path) if not place.hidden), None)
        if first is not None:
            head = tree.pread(path, first.start, SHOWN)
            kinds.setdefault(_kind(head, f"{path}, key {first.name}"), []).append(path)
    if not kinds:
        raise SourceError(f"{few(files)}: expected an LMDB with samples, found an empty one")
    if len(kinds) > 1:
        shown = "; ".join(f"{kind} in {few(paths)}" for kind, paths in kinds.items())
        raise SourceError(f"expected LMDBs of one kind, found {shown}: name the folder of one as the source")
    ((kind, paths),) = kinds.items()
    if kind == "pickles":
        return pickle_lmdb(tree, paths)
    return SafetensorsLmdb(files=tuple(paths), hidden=hidden_keys(tree, paths))


def _kind(head: bytes, where: str) -> str:
    # First safetensors: the length of their header may begin with the byte that a pickle begins with.
    if head[LENGTH : LENGTH + 1] == b"{" and int.from_bytes(head[:LENGTH], "little") <= LONGEST:
        return "safetensors"
    if head.startswith(MAGIC):
        return "pickles"
    raise BadRecord(
        where,
        f"expected a pickled tuple or safetensors, found a value that begins with {head!r}: save the samples as .npy, "
        ".png or .tif files and build them as data of your own",
    )
