"""What is wanted of a build: frozen values that check themselves, the same for command line, flows and Python."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from sar_data import catalog, formats
from sar_data.errors import UsageError, unknown
from sar_data.normalization.presets import presets
from sar_data.radiometry import CONVERTIBLE, spell_unit, units_after
from sar_data.spec import ComplexAs, Pipeline, Unit, suitable_container
from sar_data.system.store import Place, is_url, place_of

Format = str
"""The name of a container in the registry (sar_data/formats)."""
Compression = str
"""A compression that some container has, or "none"."""

# These names are the command line's choices and the flows' types too.
Dtype = Literal["float16", "int16"]
Domain = Literal["dB", "power"]
BadRecords = Literal["stop", "quarantine"]
BadObjects = Literal["drop", "stop", "quarantine"]

CHANGES = "`speckle=…`, `unit=…`, `crop=…`, `pad=…`, `resize=…`, `normalize=…` or `dtype=…`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is baked into another build: a filter, a unit, sizes in pixels, a normalization, a dtype; None: as it is.

    `speckle` filters speckle on power, before all else: lee:looks=L, lee:window=N,looks=L or refined-lee:looks=L, with
    the looks of the product that the images are from (4.4 for Sentinel-1's IW GRD).

    `unit` is dB, power or amplitude: values in another of the three are converted, and those that have none there
    (zero power has no dB) are masked and counted. `crop` and `pad` are the height and width that images of several
    sizes get: the centre of larger ones, padding below and right of smaller ones; `pad` refuses larger ones.
    `resize` is the new height and width, cubic; `resample` is what is averaged then, the values in dB or their
    power. `normalize` is a name of sar_data/normalization/presets.toml; figures of the train split are those after the
    other changes. `dtype` int16 has steps of 0.002 dB. Raises UsageError for what contradicts itself.
    """

    speckle: str | None = None
    unit: Unit | None = None
    crop: int | None = None
    pad: int | None = None
    resize: int | None = None
    resample: Domain | None = None
    normalize: str | None = None
    dtype: Dtype | None = None

    def __post_init__(self) -> None:
        if self.speckle is not None:
            from sar_data.builder.speckle import parse  # whoever names no filter needs no compiled loop

            parse(self.speckle)
        _among("resample", self.resample, Domain)
        if self.resample is not None and self.resize is None:
            raise UsageError(f"`resample={self.resample}`: expected `resize=…` with it")
        for name in ("crop", "pad", "resize"):
            _at_least_one(name, getattr(self, name), "pixel")
        if self.unit is not None:
            object.__setattr__(self, "unit", spell_unit(self.unit))  # the one field that is not kept as it was said
        _among("unit", self.unit, Unit)
        if self.normalize is not None and self.normalize not in presets():
            raise unknown("normalize", self.normalize, presets())
        _among("dtype", self.dtype, Dtype)
        if self.crop is not None and self.pad is not None:
            raise UsageError(f"`crop={self.crop}` and `pad={self.pad}`: both make one size, choose one")
        if self.dtype is not None and self.normalize is not None:
            raise UsageError(
                f"`dtype={self.dtype}` stores dB and `normalize={self.normalize}` leaves no dB: choose one"
            )

    @property
    def baked(self) -> dict[str, Any]:
        """The changes that are asked for, by name."""
        given = {field.name: getattr(self, field.name) for field in dataclasses.fields(Changes)}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def counts(self) -> bool:
        """Whether the train split is counted again, after the changes and before the normalization."""
        return self.by_train and any((self.speckle, self.unit, self.cut, self.resize))

    @property
    def by_train(self) -> bool:
        """Whether the figures of the train split normalize the images."""
        return self.normalize is not None and presets()[self.normalize].by_train

    @property
    def cut(self) -> int | None:
        """The one height and width that all images get, None where they keep theirs."""
        return self.crop if self.crop is not None else self.pad

    def check_bands(self, bands: Mapping[str, str]) -> None:
        """Raise UsageError where the changes do not fit bands (name → unit)."""
        units = tuple(bands.values())
        after = units_after(units, self.unit)
        if self.normalize is not None:
            presets()[self.normalize].check(dict(zip(bands, after, strict=True)))
        for name, value in (("speckle", self.speckle), ("resample", self.resample)):
            if value not in (None, "dB") and not set(units) <= set(CONVERTIBLE):
                known = ", ".join(CONVERTIBLE)
                present = ", ".join(dict.fromkeys(units))
                raise UsageError(f"`{name}={value}`: expected bands in {known}, found {present}")
        resized = self.resize is not None and self.resample != "power"
        if (self.dtype or resized) and set(after) != {"dB"}:
            what = f"`dtype={self.dtype}`" if self.dtype else f"`resize={self.resize}`"
            remedy = "add `unit=dB`" if set(units) <= set(CONVERTIBLE) else "bake the parent, which is in dB"
            raise UsageError(f"{what}: expected values in dB, found unit {', '.join(dict.fromkeys(after))!r}: {remedy}")

    def check_sizes(self, largest: int) -> None:
        """Raise UsageError where one size does not fit images of which the largest has that height or width."""
        if self.pad is not None and largest > self.pad:
            raise UsageError(f"`pad={self.pad}`: expected images of at most that size, found {largest} pixels")
        if self.crop is not None and largest < self.crop:
            raise UsageError(
                f"`crop={self.crop}`: expected images of at least that size, found at most {largest} pixels, so there "
                f"is nothing to cut: `pad={self.crop}` extends them"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest(Changes):
    """A build of a dataset's raw files; with changes it is baked from a lossless build, which is made first.

    `dataset` is a name of the catalog or a pipeline; `variant` another form of it. `declare` has fields of dataset.toml
    (sar_data/own/declaration.py) that go before those of the file, for a set of one's own. `source` is a folder of raw
    files or their archive; `out` the folder below which builds are kept, here or, as a URL, in an object store; `work`
    where what reading an archive needs is kept, beside the archive without it; `lists` a folder of official lists.

    `format` is one container or several, as a list or as a text, "A,B": each is a build, and one read of the images
    serves all; None is the dataset's own choice. `split` is a
    policy as `parse` reads it, None for the dataset's default; `keep` is a sealed build of the same dataset, whose
    records stay in the splits that they have there, while `split` places the new ones. `limit` takes that many records
    in hash order; `rehash`
    lets the recipe cover the files' contents; `statistics=False` leaves them out, which only a benchmark should want.
    `bad_records` are no part of the recipe: stop at the first, or quarantine them. `bad_objects` are objects that no
    image can have, such as a box of no area: drop each alone, and say how many there were; stop, with their number; or
    quarantine their records; None drops them where the dataset is published so, else stops.
    `complete` raises SourceError where published records are missing.
    `complex_as` says which two bands complex numbers, also those in bands of I and Q, become: these, or amplitude and
    phase.
    `suspect_limit` is the share of a band's pixels, from 0 to 1, above which the build stops where they may be none and
    nobody declares them so: exact zeros in dB, -9999, infinite ones, borders of one value. It is no part of the recipe.
    `drop_parent` removes the lossless
    build once the baked one is sealed. `fetch` brings into `source` first what it lacks, from the publishers or from a
    `mirror`, the address of a folder on the web; `accept_licence` agrees to the dataset's licence.

    Raises UsageError for a name that does not exist and for choices that contradict each other.
    """

    dataset: str | Pipeline
    variant: str | None = None
    declare: Mapping[str, Any] | None = None
    source: Place
    out: Place
    work: Path | None = None
    lists: Path | None = None
    format: Format | Sequence[Format] | None = None
    compression: Compression = "none"
    split: str | None = None
    seed: int = 0
    keep: Path | None = None
    limit: int | None = None
    shard_length: int = 256  # about 30 MB of BigEarthNet: long against a seek, short against a cache
    rehash: bool = False
    statistics: bool = True
    bad_records: BadRecords = "stop"
    bad_objects: BadObjects | None = None
    complete: bool = False
    complex_as: ComplexAs | None = None
    suspect_limit: float = 0.5
    drop_parent: bool = False
    fetch: bool = False
    mirror: str | None = None
    accept_licence: bool = False

    def __post_init__(self) -> None:
        Changes.__post_init__(self)
        object.__setattr__(self, "source", place_of(self.source))
        object.__setattr__(self, "out", place_of(self.out))
        if self.fetch and is_url(self.source):
            raise UsageError(f"`source={self.source}`: `fetch=True` downloads into a folder, found an address")
        for name, times in Counter(self.formats).items():
            _check_packing(name, self.compression)
            if times > 1:
                asked = ",".join(filter(None, self.formats))
                raise UsageError(f"`format={asked}`: expected each container once, found {name} {times} times")
        _among("bad_records", self.bad_records, BadRecords)
        _among("bad_objects", self.bad_objects, BadObjects)
        if self.complete and self.limit is not None:
            raise UsageError(f"`complete=True`: expected no `limit=…` with it, found `limit={self.limit}`")
        _among("complex_as", self.complex_as, ComplexAs)
        if not 0 <= self.suspect_limit <= 1:
            raise UsageError(f"`suspect_limit={self.suspect_limit}`: expected a share from 0 to 1")
        _at_least_one("limit", self.limit, "record")
        _at_least_one("shard_length", self.shard_length, "sample")
        if self.drop_parent and not self.baked:
            raise UsageError(f"`drop_parent=True`: expected {CHANGES} with it, found none")
        if self.mirror is not None and not self.fetch:
            raise UsageError(f"`mirror={self.mirror}`: expected `fetch=True` with it")
        pipeline = self.pipeline
        if self.fetch:
            from sar_data.download.fetch import check_licence

            check_licence(pipeline.spec, pipeline.spec.sources, self.accept_licence)
        if not pipeline.fit:  # which may bring splits of its own
            from sar_data.containers.dataset import SPLIT
            from sar_data.split.declared import Declared
            from sar_data.split.parse import parse

            parse(self.split or next(iter(pipeline.splits)), {**pipeline.all_splits, SPLIT: Declared()})
            self.check_bands({band.name: band.unit for band in pipeline.spec.bands})
            if pipeline.spec.shape is not None:
                self.check_sizes(max(pipeline.spec.shape))

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline of the dataset and variant, with what is declared of it."""
        if isinstance(self.dataset, Pipeline):
            pipeline = catalog.variant_of(self.dataset, self.variant)
        else:
            pipeline = catalog.pipeline(self.dataset, self.variant)
        if pipeline.declare is not None and (self.declare or self.unit):
            return pipeline.declare(self.declare or {}, self.unit)
        if not self.declare:
            return pipeline
        from sar_data.builder.fit import known  # whoever declares nothing needs no reader of containers
        from sar_data.containers.dataset import ASKED

        if others := {name: value for name, value in self.declare.items() if name not in ASKED}:
            raise known(pipeline, others)
        asked = {name: (value,) if isinstance(value, str) else tuple(value) for name, value in self.declare.items()}
        return dataclasses.replace(pipeline, asked=asked)

    @property
    def formats(self) -> tuple[Format | None, ...]:
        """The containers that are asked for; one None for the dataset's own choice."""
        if self.format is None:
            return (None,)
        return tuple(self.format.split(",") if isinstance(self.format, str) else self.format) or (None,)

    @property
    def packing(self) -> str | None:
        """The compression as containers name it."""
        return None if self.compression == "none" else self.compression

    def of(self, format: Format | None) -> BuildRequest:
        """Return the same request for one of its containers."""
        return dataclasses.replace(self, format=format)

    @property
    def lossless(self) -> BuildRequest:
        """The request of the build that a request for one container is baked from.

        Where images of several sizes get one on the way into a container that needs it, that is of another container.
        """
        other: dict[str, Any] = {field.name: None for field in dataclasses.fields(Changes)}
        one_shape = not isinstance(self.format, str) or formats.get(self.format).one_shape
        if self.cut is not None and self.pipeline.spec.shape is None and one_shape:
            other |= {"format": None, "compression": "none"}
        return dataclasses.replace(self, **other, drop_parent=False)

    def settle(self, units: Sequence[str]) -> BuildRequest:
        """Return the request without a conversion that the lossless build, with bands in these units, does not need."""
        if self.unit is None or units_after(units, self.unit) != tuple(units):
            return self
        left = self.baked.keys() - {"unit"}
        return dataclasses.replace(self, unit=None, drop_parent=self.drop_parent and bool(left))

    def conversion(self, parent: Place) -> ConvertRequest:
        """Return the request that bakes the changes of a request for one container from its lossless build."""
        # What the dataset's own choice becomes.
        one_size = suitable_container((self.cut, self.cut)) if self.cut is not None else None
        return ConvertRequest(
            parent=parent,
            out=self.out,
            format=self.format if isinstance(self.format, str) else one_size,
            compression=self.compression,
            drop_parent=self.drop_parent,
            **self.baked,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertRequest(Changes):
    """Another build of a sealed build: in another container, size, dtype or normalization.

    `parent` is the sealed build, a folder or a URL; `out` where builds are kept, the parent's place without it.
    `format` is that of the parent without it, and so is `compression` where the container stays. `drop_parent` removes
    the parent once the new build is sealed.
    """

    parent: Place
    out: Place | None = None
    format: Format | None = None
    compression: Compression | None = None
    drop_parent: bool = False

    def __post_init__(self) -> None:
        Changes.__post_init__(self)
        object.__setattr__(self, "parent", place_of(self.parent))
        if self.out is not None:
            object.__setattr__(self, "out", place_of(self.out))
        _check_packing(self.format, self.compression or "none")


def _check_packing(name: Format | None, compression: Compression) -> None:
    """Raise UsageError for a container or a compression that does not exist, or where they do not fit."""
    if name is not None:
        formats.check_name(name)
    if compression == "none":
        return
    if compression not in (known := formats.compressions()):
        raise unknown("compression", compression, known)
    if name is not None:
        formats.get(name, compression)


def _among(what: str, value: str | None, names: Any) -> None:
    if value is not None and value not in get_args(names):
        raise unknown(what.replace("_", " "), value, get_args(names))


def _at_least_one(what: str, value: int | None, unit: str) -> None:
    if value is not None and value < 1:
        raise UsageError(f"`{what}={value}`: expected at least 1 {unit}")
