"""What every reader of a container returns: entries without their pixels, what their heads say, and samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sar_data.record import Object, Sample
from sar_data.sources.tree import RecordingTree
from sar_data.spec import Tree

Labels = tuple[str, ...] | bytes | None
"""Names or numbers of classes, the bytes of an array of them, or None where a sample has no labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One sample of a container, before its pixels are read.

    `name` is its key there, "" where it has none; `split` is train, val or test, None where nothing says it. `files`
    are the paths of its files, the one with its image first; `start` and `size` are its place there, in bytes or in
    rows, as its container means them. `labels` has what is known without the entry itself, `more` the labels of further
    tasks by their names.
    """

    name: str
    split: str | None
    files: tuple[str, ...]
    start: int = 0
    size: int = 0
    labels: Labels = None
    more: tuple[tuple[str, Labels], ...] = ()

    @property
    def where(self) -> str:
        """The entry in an error: its file and its key, or its row."""
        return f"{self.files[0]}, {f'key {self.name}' if self.name else f'row {self.start}'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What is known of an image without its pixels: the axes as they are stored, in words such as yxb, fbyx or yx.

    `shape` is along these axes; `bands` are the names of the bands in their order, () where the container has none.
    `axes` is "" where only the shape can tell. `objects` are numbered by the classes of the container, of the dataset
    where it has none; None where it says nothing of them. `facts` are other fields of
    a record, `crs` and `transform` its own.
    """

    shape: tuple[int, ...]
    dtype: str
    axes: str = ""
    bands: tuple[str, ...] = ()
    labels: Labels = None
    objects: tuple[Object, ...] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    crs: str | None = None
    transform: tuple[float, float, float, float, float, float] | None = None


class Container(Protocol):
    """A frozen value that a worker can have, too: it knows the files and reads them through a tree.

    `kind` is a word for the manifest, `sentence` says what was found, `files` are the files that hold many samples.
    `expected` are the bands in the order in which the layout's own writer stores them, `classes` the names of the
    classes by their numbers; both are () where the container says nothing of them.
    All three functions raise SourceError for a file, BadRecord for a sample, in which they say what is wrong.
    """

    def __hash__(self) -> int: ...

    @property
    def kind(self) -> str: ...

    @property
    def files(self) -> tuple[str, ...]: ...

    @property
    def expected(self) -> tuple[str, ...]: ...

    @property
    def classes(self) -> tuple[str, ...]: ...

    def sentence(self) -> str:
        """Return what was found, in words."""

    def entries(self, tree: Tree, bands: Sequence[str]) -> Sequence[Entry]:
        """Return the samples; those without `bands` are left out, where the container has names of bands."""

    def head(self, tree: Tree, entry: Entry) -> Head:
        """Return what the head of a sample says, without reading its pixels."""

    def read(self, tree: Tree, entry: Entry) -> Sample:
        """Return the image along the axes of its head, and the mask where there is one."""


def below(tree: Tree) -> Tree:
    """Return the tree below one that records what is read, for tables that are kept between samples."""
    return tree.tree if isinstance(tree, RecordingTree) else tree
