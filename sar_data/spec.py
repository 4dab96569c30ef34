"""The frozen values that declare a dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from sar_data.record import Record, Sample
    from sar_data.split.policy import SplitPolicy

Evidence = Literal["real-files", "real-lists", "documents-only", "declared"]
EVIDENCE: Mapping[str, str] = {
    "real-files": "the layout was checked on real files",
    "real-lists": "the layout was checked on real lists, not on real files",
    "documents-only": "the layout is known from documents alone",
    "declared": "as its owner declares it",
}
UNCITED = "none"
"""The citation of a set that was not published."""
TaskKind = Literal["multiclass", "multilabel", "segmentation", "detection", "change"]
Unit = Literal["dB", "power", "amplitude", "DN", "8-bit", "phase"]
"""Units of stored values. `power` is linear sigma0 or gamma0, `amplitude` its root or a detected DN, `DN` any number
without a radiometric meaning (I and Q, an undocumented scale), `8-bit` a stretched picture, `phase` radians."""
MASKED: tuple[TaskKind, ...] = ("segmentation", "change")
"""Kinds of tasks whose classes are the values of a mask."""
PACKED = ".bz2"
ComplexAs = Literal["iq", "amplitude-phase"]
Noise = Literal["removed", "kept", "none", "unknown"]
Symmetry = Literal["azimuth-flip", "range-flip", "quarter-turn", "date-exchange"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Processing:
    """What a publisher did to the radar's values, each as far as a source tells; what none tells is "unknown".

    `processor` made the product that the images were cut from, such as Sentinel-1's IPF, with its version.
    `thermal_noise` and `border_noise` are "removed", "kept", or "none" of a product that has no such noise;
    `speckle_filter` is "none" or its name and window, `interpolation` how pixels were put on their grid, "none" where
    they lie as the radar's product has them. `noise_floor` is the noise-equivalent sigma0 in dB that the instrument's
    specification allows: the floor itself is lower in most places. `source` says whence this is known.
    """

    processor: str = "unknown"
    thermal_noise: Noise = "unknown"
    border_noise: Noise = "unknown"
    speckle_filter: str = "unknown"
    interpolation: str = "unknown"
    noise_floor: float | None = None
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A published file of the dataset: where it is, and how it is known to be the right one.

    `checksum` is "md5:…" or "sha256:…" as published, None where none is; `size` is in bytes as published, exactly,
    `about` in bytes as published in round numbers, for a plan alone;
    `mirrors` are further URLs of the same bytes. `manual` says how a person gets the file where no plain download
    exists (a form, a login, a share); it is empty for an automatic source. `url` is https, http with a checksum, or
    s3 for a public bucket.
    """

    name: str
    url: str
    checksum: str | None = None
    note: str = ""
    size: int | None = None
    about: int | None = None
    mirrors: tuple[str, ...] = ()
    manual: str = ""

    @property
    def file(self) -> str:
        """The name of the file as it is served: a list may be packed, and is read so."""
        return self.name + PACKED if self.url.endswith(self.name + PACKED) else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A band, addressed by its polarization name; `unit` is the unit of the stored values.

    `polarization` is empty for what has none, such as a coherence. `calibration` and `terrain_corrected` are the
    dataset's, unless a band says otherwise.
    """

    name: str
    polarization: str
    unit: Unit
    description: str
    calibration: str | None = None
    terrain_corrected: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What can be learnt: a name, a kind and the classes in canonical order.

    The classes of a segmentation, and of a change between the dates of a record, are the values 0, 1, … of the stored
    mask, in which 255 is ignored. A detection's are the labels of the record's objects.
    """

    name: str
    kind: TaskKind
    classes: tuple[str, ...]


class Learnt(Protocol):
    """A task, of a declaration or of a manifest."""

    @property
    def kind(self) -> TaskKind: ...
    @property
    def classes(self) -> Sequence[str]: ...


def mask_classes(tasks: Iterable[Learnt]) -> tuple[str, ...]:
    """Return the classes of the masks of a dataset with these tasks, none where it has no masks."""
    return next((tuple(task.classes) for task in tasks if task.kind in MASKED), ())


def is_change(tasks: Iterable[Learnt]) -> bool:
    """Say whether samples are dates of a place with a mask of what changed between them."""
    return any(task.kind == "change" for task in tasks)


def suitable_container(shape: tuple[int, int] | None) -> Literal["webdataset", "zarr"]:
    """Return the container for images of this (height, width): zarr where they have one, which it needs."""
    return "webdataset" if shape is None else "zarr"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSpec:
    """Everything that is true of a dataset before any file is opened.

    `aliases` are other names that people type; no two datasets have the same one.

    `shape` is (height, width) in pixels, None where images differ in size; `frames` is the number of images of one
    place and shape that make a sample (seasons, dates before and after a change). `tasks[0]` is the default
    nomenclature; without any task the dataset is for self-supervised learning. `lists` are the file names of official
    lists; `wider` names floats that files may hold besides `dtype`, to which they are then narrowed, counted in the
    manifest; `samples` is the published count, `published` that of each official split and of each class, as far as the
    publisher gives them; `may_be_empty` says that a whole sample may be no data, as a tile at a scene's edge may;
    `bad_objects` says why objects that no image can have are expected in the published annotations, so that they are
    dropped alone; if it is empty, they stop a build.

    `nodata` is a value that stands for no pixel in every band, where files do not declare it themselves. Files of
    complex numbers have a complex `dtype`, and `complex_as` says which two bands each of theirs becomes: "iq" or
    "amplitude-phase". Where `scale` and `offset` have a number a band, files hold whole or real numbers that are not
    in the unit yet: a value is the stored number, times scale, plus offset, in float32; `nodata` is of what is stored.

    `calibration` (sigma0, gamma0, DN, stretched, …), `terrain_corrected` (None: not known) and `processing` (None: not
    stated; `Processing()` says that no source tells) describe the radiometry;
    `range_axis` is the image axis along which the radar looks, `symmetries` are the turns under which an image stays a
    possible one, "date-exchange" is of two dates whose change has no direction. `evidence` says how well the layout
    is known; `revision` grows whenever the pipeline reads the same files differently, and so makes another recipe;
    `variant` names another form of the same dataset.
    """

    name: str
    aliases: tuple[str, ...] = ()
    version: str
    revision: int
    title: str
    bands: tuple[Band, ...]
    shape: tuple[int, int] | None
    frames: int = 1
    dtype: str
    wider: tuple[str, ...] = ()
    nodata: float | None = None
    complex_as: ComplexAs | None = None
    scale: tuple[float, ...] = ()
    offset: tuple[float, ...] = ()
    pixel_size_m: float | None
    tasks: tuple[Task, ...]
    sources: tuple[Source, ...]
    lists: tuple[str, ...]
    licence: str
    citation: str
    samples: int | None = None
    published: Mapping[str, int] = field(default_factory=dict)
    may_be_empty: bool = False
    bad_objects: str = ""
    calibration: str = "unknown"
    terrain_corrected: bool | None = None
    processing: Processing | None = None
    range_axis: Literal["x", "y", "mixed", "unknown"] = "unknown"
    symmetries: tuple[Symmetry, ...] = ("azimuth-flip",)
    evidence: Evidence
    variant: str = ""

    @property
    def units(self) -> tuple[str, ...]:
        """The bands' units."""
        return tuple(band.unit for band in self.bands)

    @property
    def container(self) -> Literal["webdataset", "zarr"]:
        """The container that suits the dataset."""
        return suitable_container(self.shape)

    @property
    def mask(self) -> bool:
        """Say whether samples have a mask."""
        return bool(mask_classes(self.tasks))


class Tree(Protocol):
    """Names, sizes and bytes; paths are relative to the root and use forward slashes. A tree may key a cache."""

    def __hash__(self) -> int: ...

    def folders(self, path: str = "") -> list[str]:
        """Return the names of the folders directly below `path`, in any order."""

    def files(self, path: str = "") -> list[str]:
        """Return the names of the files directly below `path`, in any order."""

    def size(self, path: str) -> int:
        """Return a file's size in bytes; raise BadRecord where it is missing."""

    def read(self, path: str) -> bytes:
        """Return a file's bytes; raise BadRecord where it cannot be read."""

    def head(self, path: str, size: int) -> bytes:
        """Return up to the first `size` bytes of a file, for headers; raise BadRecord where it cannot be read."""

    def pread(self, path: str, offset: int, size: int) -> bytes:
        """Return up to `size` bytes of a file from `offset` on; raise BadRecord where they cannot be read."""


@dataclass(frozen=True, slots=True)
class Imported:
    """The container of another program that a pipeline reads: a word for its kind, and its files in the tree."""

    container: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """One dataset: its declaration and the three functions that know its files.

    `units(tree)` lists the names that scan works on (a patch folder, a file), cheaply and in any order;
    `scan(tree, unit)` yields the records of one unit from names, labels and headers, never from pixels;
    `read(tree, record)` returns the pixels. `scan` and `read` raise BadRecord. `splits` maps a policy's name to
    its default form; the first is the default.

    `fit(tree)` looks at a source whose layout is not wholly known and returns the pipeline that fits it with what was
    found, in sentences that the build prints and the manifest keeps; it raises SourceError where that is ambiguous.
    `copies(tree)` is asked where `units` finds nothing: it returns the pipeline that reads a copy of the dataset in
    another layout than the published one, with a sentence of the layout that it found, or None. `copy_splits` are
    policies that need what only such a copy has, and `layouts` the known ones: name → the paths of its files, in which
    * is any name and {a,b} a choice.
    `variants` are other forms of the same dataset (calibrated chips, whole scenes), by name.

    `named(key)` returns a record with what a key alone tells: group, place and footprint, as far as names say them;
    None for what is no name of this dataset. So lists of names can be judged without the files.

    `rehash` says that a recipe covers the contents of all files, as of few bytes of a set of one's own, which change.

    `withheld` are splits that this source does not admit, with what they need.

    `asked` has what a user says of a container of another program, by field (`bands`, `classes`), where it is one;
    `imported` is the container that the pipeline reads, None for files as they are published.

    `declare(fields, unit)` returns the pipeline of a set of one's own with fields of a declaration (sar_data.own) that
    go before those of its dataset.toml; `unit` is that of the values where neither says one. None where all is known.
    """

    spec: DatasetSpec
    units: Callable[[Tree], Iterable[str]]
    scan: Callable[[Tree, str], Iterable[Record]]
    read: Callable[[Tree, Record], Sample]
    splits: Mapping[str, SplitPolicy]
    fit: Callable[[Tree], tuple[Pipeline, tuple[str, ...]]] | None = None
    copies: Callable[[Tree], tuple[Pipeline, str] | None] | None = None
    copy_splits: Mapping[str, SplitPolicy] = field(default_factory=dict)
    layouts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    variants: Mapping[str, Pipeline] = field(default_factory=dict)
    named: Callable[[str], Record | None] | None = None
    rehash: bool = False
    withheld: Mapping[str, str] = field(default_factory=dict)
    asked: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    imported: Imported | None = None
    declare: Callable[[Mapping[str, object], str | None], Pipeline] | None = None

    @property
    def all_splits(self) -> dict[str, SplitPolicy]:
        """The splits of the published layout and of copies, by name."""
        return {**self.copy_splits, **self.splits}


def sample_shape(frames: int, bands: int, shape: tuple[int, int] | None) -> str:
    """Return a sample's shape in words, such as 4×2×264×264, or 2×H×W (sizes differ)."""
    planes = [str(frames)] if frames > 1 else []
    return "×".join([*planes, str(bands), *(map(str, shape) if shape else ("H", "W (sizes differ)"))])
