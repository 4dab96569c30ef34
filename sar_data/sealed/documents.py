"""The parts of a manifest: bands, tasks, splits, statistics, leakage, applied steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import AfterValidator, Field

from sar_data.record import IGNORE
from sar_data.sealed.names import Count, Dtype, Label, Name, RelativePath, Sha256, ShardName, Slots
from sar_data.spec import MASKED, Noise, TaskKind
from sar_data.statistics.units import HISTOGRAMS

MOST_CLASSES = 1 << 15  # an index of a class is an int16
# Step → the parameter that the user gave.
REQUIRED = {"unit": "to", "crop": "size", "pad": "size", "resize": "size", "normalize": "method", "dtype": "dtype"}


def _unit(name: str) -> str:
    if name not in HISTOGRAMS:
        raise ValueError(f"expected {', '.join(HISTOGRAMS)}")
    return name


Unit = Annotated[str, AfterValidator(_unit), Field(json_schema_extra={"enum": list(HISTOGRAMS)})]
# Of float32 pixels: none is larger, and squares and differences of these are finite.
Figure = Annotated[float, Field(ge=-3.4028235e38, le=3.4028235e38)]
Scale = Annotated[float, Field(ge=1e-30, le=1e30)]
Share = Annotated[float, Field(ge=0, le=1)]


class Document(pydantic.BaseModel):
    """A part of the manifest: frozen, and without unknown fields."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ProcessingDocument(Document):
    """What the publisher did to the values of a band, "unknown" where no source says it (spec.Processing)."""

    processor: str
    thermal_noise: Noise
    border_noise: Noise
    speckle_filter: str
    interpolation: str
    noise_floor: Figure | None = None
    source: str


class BandDocument(Document):
    """A band and its radiometry; `terrain_corrected` is null where not known, `processing` where nothing is stated."""

    name: Name
    polarization: str
    unit: Unit
    description: str
    calibration: str
    terrain_corrected: bool | None
    processing: ProcessingDocument | None = None


class TaskDocument(Document):
    name: Name
    kind: TaskKind
    classes: Annotated[list[Label], Field(max_length=MOST_CLASSES)]

    @pydantic.model_validator(mode="after")
    def _fit_a_mask(self) -> Self:
        if self.kind in MASKED and len(self.classes) > IGNORE:
            raise ValueError(f"classes: expected at most {IGNORE} in a mask of bytes, found {len(self.classes)}")
        return self


class ShardDocument(Document):
    """A shard's file below the build (in LMDB, the environment that holds it), its valid records and their bytes."""

    name: ShardName
    file: RelativePath
    count: Count
    bytes: Count


class PlannedSplit(Document):
    """A split before its pixels are read; `class_shares` are of samples."""

    count: Count
    shard_length: Slots
    class_shares: dict[Label, Share]


class SplitDocument(PlannedSplit):
    """`mask_pixels` counts the pixels of each class of a mask, and those ignored."""

    mask_pixels: dict[Label, Count] | None = None
    shards: list[ShardDocument]


class DomainStatistics(Document):
    """Figures of one band in one domain, of the `count` pixels that have a value there; null where there is none."""

    unit: str
    count: Count
    mean: float | None
    std: float | None
    min: float | None
    max: float | None
    percentiles: dict[str, float | None]

    @property
    def centre(self) -> float | None:
        """The mean, 0 where it is a rounding error of the std."""
        return self.mean if self.mean is None or self.std is None else centre(self.mean, self.std)


class Circular(Document):
    """Mean direction in radians and resultant length (0: all directions, 1: one) of a phase."""

    mean_direction: float
    resultant_length: float


class BandStatistics(Document):
    """Figures of one band of one split, masked pixels excluded; std divides by the count.

    `zeros` counts the pixels that are exactly 0, null in builds of schema 2. The next three come from the rows of
    samples.parquet and are null in the manifest: `at_min` and `at_max` count the pixels that have the least and the
    largest value of all; `below_noise` is the approximate share of pixels up to the band's `noise_floor`, null where
    no noise floor is stated. Calibrated units have `power` and `db`, a phase has `circular`. Pixels of power or
    amplitude that are 0 or less have no value in dB.
    """

    count: Count
    masked: dict[str, Count]
    zeros: Count | None = None
    at_min: Count | None = None
    at_max: Count | None = None
    below_noise: float | None = None
    stored: DomainStatistics
    power: DomainStatistics | None = None
    db: DomainStatistics | None = None
    circular: Circular | None = None


class CoMoment(Document):
    """Means, variances and covariance of two bands over the pixels valid in both, in the stored unit.

    `variances` is null in builds of schema 2.
    """

    bands: tuple[str, str]
    count: Count
    means: tuple[Figure, Figure]
    variances: tuple[float, float] | None = None
    covariance: float


class SuspectPixels(Document):
    """Pixels of one band that may be no data although nothing declares it, of `pixels` in all images.

    `zero` counts exact zeros in dB, `fill` the values -9999 and -32768, `infinite` infinite values, `border` edges of
    one single value. Floats of `fill` are stored as NaN; they and infinite values are masked.
    """

    pixels: Count
    zero: Count = 0
    fill: Count = 0
    infinite: Count = 0
    border: Count = 0

    @property
    def share(self) -> float:
        """The share of all pixels."""
        return (self.zero + self.fill + self.infinite + self.border) / max(self.pixels, 1)


class BlankSamples(Document):
    """How many samples have a date or a mask that shows nothing, for one reason, and the key of the first."""

    count: Annotated[Count, Field(ge=1)]
    first: str


class SplitStatistics(Document):
    bands: dict[str, BandStatistics]
    co_moments: list[CoMoment]


class Normalization(Document):
    """Mean and std (and min, max) of the train split alone, in the stored unit of each band."""

    units: dict[str, str]
    mean: dict[str, Figure]
    std: dict[str, Annotated[Figure, Field(ge=0)]]
    min: dict[str, Figure]
    max: dict[str, Figure]

    def digits(self, band: str) -> tuple[str, str]:
        """Return mean and std of a band in four digits; a mean that is a rounding error of the std is 0."""
        std = self.std[band]
        return f"{centre(self.mean[band], std):.4g}", f"{std:.4g}"


def centre(mean: float, std: float) -> float:
    """Return a mean, 0 where it is a rounding error of the std."""
    return 0.0 if abs(mean) < 1e-5 * std else mean


class Storage(Document):
    """How numbers are stored: a stored integer is value / scale, `missing` marks a masked pixel."""

    dtype: Dtype
    scale: Scale | None = None
    missing: Figure | None = None


class SplitPolicyDocument(Document):
    policy: str
    parameters: dict[str, Any]
    seed: int
    notes: dict[str, Any]

    @property
    def lists(self) -> tuple[str, ...]:
        """The names of the published lists that placed the samples, if any did."""
        lists = self.notes.get("lists")
        return tuple(lists) if isinstance(lists, Mapping) else ()


class LeakageFigure(Document):
    """A share of `of` samples, null where it is not known; `reason` says why, or what was not compared."""

    value: Share | None
    of: Count
    reason: str = ""


class Quarantined(Document):
    key: str | None
    path: str
    reason: str


class Applied(Document):
    """One step that changed the stored values since the lossless build, with its parameters.

    `scale` is a step of the lossless build itself: from the values of files to values in the unit.
    """

    step: Literal["scale", "crop", "pad", "resize", "resample", "unit", "speckle-filter", "normalize", "dtype"]
    parameters: dict[str, Any]

    @pydantic.model_validator(mode="after")
    def _has_its_parameter(self) -> Self:
        name = REQUIRED.get(self.step)
        kind = list if name == "size" else str
        if name is not None and not isinstance(self.parameters.get(name), kind):
            raise ValueError(f"parameters: expected {name} of {self.step}, found {self.parameters.get(name)!r}")
        return self


class Parent(Document):
    """The sealed build that this one was converted from."""

    path: str
    recipe_digest: Sha256
    content_digest: Sha256


class ImportedFrom(Document):
    """The container of another program from which this build was made; `sha256` has its files by path."""

    path: str
    container: str
    sha256: dict[RelativePath, Sha256]
