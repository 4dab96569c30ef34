"""manifest.json: the sealed document that says what a build holds and how it was made."""

from __future__ import annotations

import hashlib
import json
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pydantic

from sar_data.errors import BuildError
from sar_data.sealed.names import (
    Container,
    Count,
    Label,
    Name,
    Optional,
    RelativePath,
    Sha256,
    ShardName,
    Split,
    first_flaw,
)

if TYPE_CHECKING:
    import pyarrow as pa

NAME = "manifest.json"


class Document(pydantic.BaseModel):
    """A part of the manifest: frozen, and closed to fields it does not know."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


class BandDocument(Document):
    name: Name
    polarization: str
    unit: str
    description: str


class TaskDocument(Document):
    name: Name
    kind: str
    classes: list[Label]


class ShardDocument(Document):
    """A shard's file below the build (in LMDB, the environment that holds it), its valid records and their bytes."""

    name: ShardName
    file: RelativePath
    count: Count
    bytes: Count


class SplitDocument(Document):
    """`class_shares` are of samples; `mask_pixels` counts the pixels of each class of a mask, and those ignored."""

    count: Count
    shard_length: Count
    class_shares: dict[Label, float]
    mask_pixels: dict[Label, Count] | None = None
    shards: list[ShardDocument]


class DomainStatistics(Document):
    """Figures of one band in one domain, of the `count` pixels that have a value there; null where there is none."""

    unit: str
    count: int
    mean: float | None
    std: float | None
    min: float | None
    max: float | None
    percentiles: dict[str, float | None]


class Circular(Document):
    """Mean direction in radians and resultant length (0: all directions, 1: one) of a phase."""

    mean_direction: float
    resultant_length: float


class BandStatistics(Document):
    """Figures of one band of one split, masked pixels excluded; std divides by the count.

    `power` and `db` are there for calibrated units, `circular` for a phase.
    """

    count: int
    masked: dict[str, int]
    stored: DomainStatistics
    power: DomainStatistics | None = None
    db: DomainStatistics | None = None
    circular: Circular | None = None


class CoMoment(Document):
    """Means and covariance of two bands over the pixels valid in both, in the stored unit."""

    bands: tuple[str, str]
    count: int
    means: tuple[float, float]
    covariance: float


class SplitStatistics(Document):
    bands: dict[str, BandStatistics]
    co_moments: list[CoMoment]


class Normalization(Document):
    """Mean and std (and min, max) of the train split alone, in the stored unit of each band."""

    units: dict[str, str]
    mean: dict[str, float]
    std: dict[str, float]
    min: dict[str, float]
    max: dict[str, float]


class Storage(Document):
    """How numbers are stored: a stored integer is value / scale, `missing` marks a masked pixel."""

    dtype: str
    scale: float | None = None
    missing: float | None = None


class SplitPolicyDocument(Document):
    policy: str
    parameters: dict[str, Any]
    seed: int
    notes: dict[str, Any]
    leakage: float | Literal["unknown"]


class Quarantined(Document):
    key: str | None
    path: str
    reason: str


class Applied(Document):
    """One step that changed the stored values since the lossless build, with its parameters."""

    step: Literal["crop", "pad", "resize", "normalize", "dtype"]
    parameters: dict[str, Any]


class Parent(Document):
    path: str
    recipe_digest: Sha256
    content_digest: Sha256


class Manifest(Document):
    """The whole document; `sums` is the sha256 of SHA256SUMS, which in turn covers the shards and the index.

    `shape` is (height, width), null where images differ in size; `discovered` is what the source itself told of a
    layout that documents leave open.
    """

    schema_version: Literal[3] = 3
    sar_data_version: str
    dataset: Name
    version: Name
    variant: Optional = ""
    title: str
    licence: str
    citation: str
    evidence: str
    format: Container
    compression: str | None
    bands: list[BandDocument]
    shape: tuple[int, int] | None
    frames: int = 1
    pixel_size_m: float | None
    calibration: str
    terrain_corrected: bool | None
    range_axis: str
    symmetries: list[str]
    discovered: list[str] = []
    storage: Storage
    tasks: list[TaskDocument]
    splits: dict[Split, SplitDocument]
    unused: dict[str, int]
    split_policy: SplitPolicyDocument
    normalization: Normalization | None
    statistics: dict[Split, SplitStatistics] | None
    applied: list[Applied]
    clipped: dict[str, int]
    parent: Parent | None
    quarantine: list[Quarantined]
    fallback_reads: int
    narrowed_records: int
    recipe: dict[str, Any]
    recipe_digest: Sha256
    content_digest: Sha256
    sums: Sha256

    @classmethod
    def load(cls, build: Path) -> Manifest:
        """Read and check a build's manifest; raise BuildError where there is none or it is not whole."""
        try:
            data = (build / NAME).read_bytes()
        except FileNotFoundError:
            raise BuildError(
                f"{build}: expected a sealed build, found no {NAME}. Name the folder `build` printed."
            ) from None
        except OSError as error:
            raise BuildError(f"{build / NAME}: cannot read: {error.strerror}") from error
        return cls.parse(data, str(build / NAME))

    @classmethod
    def parse(cls, data: bytes, where: str) -> Manifest:
        """Check a manifest's bytes, read from `where`; raise BuildError that names the field which is wrong."""
        try:
            return cls.model_validate(_current(json.loads(data)))
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
            why = f"{type(error).__name__}: {error}"
            if isinstance(error, pydantic.ValidationError):
                why = first_flaw(error)
                if ("schema_version",) in {flaw["loc"] for flaw in error.errors()}:
                    why = "it is of another version of sar-data. Build anew, or read it with that version"
            raise BuildError(f"{where}: not a manifest this version can read: {why}") from error

    def dump(self) -> bytes:
        """Return the document's bytes, the same for the same manifest."""
        return json.dumps(self.model_dump(mode="json"), indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def _current(document: Any) -> Any:
    """Return a document of schema 2 in the words of schema 3; any other as it is."""
    if not isinstance(document, dict) or document.get("schema_version") != 2:
        return document
    bands = [
        {"polarization" if name == "polarisation" else name: value for name, value in band.items()}
        for band in document["bands"]
    ]
    renamed = {"normalization" if name == "normalisation" else name: value for name, value in document.items()}
    if renamed.get("evidence") == "dossier":
        renamed["evidence"] = "documents-only"
    return {**renamed, "schema_version": 3, "bands": bands}


def recipe_digest(recipe: dict[str, Any]) -> str:
    """Return the sha256 of a recipe's canonical JSON."""
    return hashlib.sha256(json.dumps(recipe, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def content_digest(packed: pa.Table) -> str:
    """Return the sha256 over (key, split, targets, objects, hashes of image and mask) of packed rows, sorted by key.

    It depends on what is stored alone: not on container, shards, order, workers or interruptions.
    """
    digest = hashlib.sha256()
    encode = json.JSONEncoder(separators=(",", ":"), check_circular=False, sort_keys=True).encode
    columns = (packed[name].to_pylist() for name in ("key", "split", "targets", "xxh3", "mask_xxh3", "objects"))
    for key, split, targets, image, mask, objects in sorted(zip(*columns, strict=True), key=itemgetter(0)):
        row: list[Any] = [key, split, sorted(targets), image]
        if mask or objects:
            row += [mask, [{**found, "attrs": sorted(found["attrs"])} for found in objects or ()]]
        digest.update(encode(row).encode() + b"\n")
    return digest.hexdigest()
