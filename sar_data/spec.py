"""The frozen values in which a dataset is declared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sar_data.record import Record, Sample
    from sar_data.sources.tree import Tree
    from sar_data.split.policy import SplitPolicy

Evidence = Literal["real-files", "real-lists", "dossier"]
TaskKind = Literal["multiclass", "multilabel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A published file of the dataset: where it is, and how it is known to be the right one."""

    name: str
    url: str
    checksum: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A band, addressed by its polarisation name; `unit` is the unit of the stored values."""

    name: str
    polarisation: str
    unit: Literal["dB"]
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What can be learnt: a name, a kind and the classes in canonical order."""

    name: str
    kind: TaskKind
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSpec:
    """Everything that is true of a dataset before any file is opened.

    `shape` is (height, width) in pixels; `tasks[0]` is the default nomenclature; `lists` are the file names of
    official lists; `wider` names floats that files may hold besides `dtype`, to which they are then narrowed, counted
    in the manifest; `evidence` says how well the layout is known; `revision` grows whenever the pipeline reads
    the same files differently, and so makes another recipe.
    """

    name: str
    version: str
    revision: int
    title: str
    bands: tuple[Band, ...]
    shape: tuple[int, int]
    dtype: str
    wider: tuple[str, ...] = ()
    pixel_size_m: float
    tasks: tuple[Task, ...]
    sources: tuple[Source, ...]
    lists: tuple[str, ...]
    licence: str
    citation: str
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """One dataset: its declaration and the three functions that know its files.

    `units(tree)` lists the names that scan works on (a patch folder, a file), cheaply and in any order;
    `scan(tree, unit)` yields the records of one unit from names, labels and headers, never from pixels;
    `read(tree, record)` returns the pixels. `scan` and `read` raise BadRecord. `splits` maps a policy's name to
    its default form; the first is the default.
    """

    spec: DatasetSpec
    units: Callable[[Tree], Iterable[str]]
    scan: Callable[[Tree, str], Iterable[Record]]
    read: Callable[[Tree, Record], Sample]
    splits: Mapping[str, SplitPolicy]
