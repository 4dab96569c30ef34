"""Files of a source that belong to no record, counted by kind, so that none is lost silently."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sar_data.errors import BadRecord, SourceError
from sar_data.sources.filter import true_path
from sar_data.sources.placeholder import HEAD, detect_placeholder
from sar_data.sources.tree import NOT_A_FILE
from sar_data.spec import Tree

IMAGES = frozenset(["tif", "tiff", "jpg", "jpeg", "png", "npy"])
LABELS = frozenset(["xml", "json", "geojson", "txt", "csv", "parquet"])
ABOUT = ("readme", "licence", "license", "citation", "changelog", "metadata", "dataset_infos")  # documents for people
UNREADABLE = "files that cannot be read"
MAX_DEPTH = 16  # folders
Listing = tuple[frozenset[str], frozenset[str]]
"""Names of files and of folders."""


@dataclass(slots=True)
class FileKind:
    """The number of files of a kind, and the first of them by path."""

    count: int = 0
    first: str = ""

    def add(self, path: str) -> None:
        self.count += 1
        self.first = min(self.first or path, path)


@dataclass(slots=True)
class UnclaimedFiles:
    """The files of a source that belong to no record, by kind."""

    kinds: dict[str, FileKind] = field(default_factory=dict)

    def add(self, kind: str, path: str) -> None:
        self.kinds.setdefault(kind, FileKind()).add(path)

    def sentences(self) -> list[str]:
        """Return a sentence for each kind."""
        return [
            f"in no record: {name}: {kind.count:,}, such as {kind.first}" for name, kind in sorted(self.kinds.items())
        ]


def find_unclaimed(tree: Tree, claimed: Collection[str], lists: Collection[str] = ()) -> UnclaimedFiles:
    """Return the files of a tree other than those in `claimed` (true paths) and `lists` (names).

    Only names, sizes and the heads of small files are read, never pixels.
    """
    unclaimed = UnclaimedFiles()
    for path, name in _walk(tree, unclaimed):
        if name not in lists and true_path(tree, path) not in claimed and (kind := _kind(tree, path, name.lower())):
            unclaimed.add(kind, path)
    return unclaimed


@contextmanager
def count_in_error(tree: Tree) -> Iterator[None]:
    """Add to the error about a placeholder how many such files the source has."""
    try:
        yield
    except BadRecord as error:
        kind = _kind(tree, error.path, "")
        count = find_unclaimed(tree, ()).kinds.get(kind or "", FileKind()).count
        if kind == UNREADABLE or count < 2:
            raise
        raise BadRecord(error.path, f"{error.reason} (the source has {count:,} {kind})") from error


def _kind(tree: Tree, path: str, name: str) -> str | None:
    """Return the kind of an unclaimed file, None where it need not be reported."""
    try:
        size = tree.size(path)
        other = detect_placeholder(tree.head(path, HEAD), size) if size < HEAD else None
    except BadRecord as error:
        if error.reason == NOT_A_FILE:
            return "pipes, devices and links that are not followed"
        return "links to nowhere" if "found a link" in error.reason else UNREADABLE
    stem, _, ending = name.rpartition(".")
    if other or stem.startswith(ABOUT) or ending not in IMAGES | LABELS:
        return other.kind if other else None
    return "images" if ending in IMAGES else "files that may be labels"


def _walk(
    tree: Tree, unclaimed: UnclaimedFiles, path: str = "", above: tuple[Listing, ...] = ()
) -> Iterator[tuple[str, str]]:
    """Yield path and name of every file; a folder that cannot be listed is added to `unclaimed`."""
    try:
        listing = frozenset(tree.files(path)), frozenset(tree.folders(path))
    except SourceError:
        unclaimed.add("folders that cannot be listed", path)
        return
    if (listing[1] and listing in above) or len(above) > MAX_DEPTH:  # a link to a folder above itself
        return
    yield from ((path + name, name) for name in listing[0])
    for name in listing[1]:
        yield from _walk(tree, unclaimed, f"{path}{name}/", (*above, listing))
