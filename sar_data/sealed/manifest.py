"""manifest.json: the sealed document that says what a build contains and how it was made.

It has three parts: the identity of the data, from a declaration or a parent; the decisions of a plan, made before the
first pixel is read; the outcome, which follows from the pixels.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from sar_data import formats
from sar_data.errors import BuildError, OtherVersion
from sar_data.formats.container import Format
from sar_data.naming import few
from sar_data.sealed.agreement import contradictions
from sar_data.sealed.documents import (
    Applied,
    BandDocument,
    BlankSamples,
    Document,
    ImportedFrom,
    LeakageFigure,
    Normalization,
    Parent,
    Quarantined,
    SplitDocument,
    SplitPolicyDocument,
    SplitStatistics,
    Storage,
    SuspectPixels,
    TaskDocument,
)
from sar_data.sealed.names import Container, Count, Frames, Name, Optional, Sha256, Side, Split, first_flaw
from sar_data.spec import Evidence
from sar_data.system import strict_json
from sar_data.system.regular import read_regular

NAME = "manifest.json"
VERSIONS = (2, 3)
DIGEST = "digest"  # the manifest's own, over all its other fields


class Identity(Document):
    """What the data are. `shape` is (height, width), null where images differ in size.

    `discovered` has the facts that only the source itself shows. `layout` describes a copy whose layout differs from
    the published one, and is empty otherwise. `records_published` is the number of records that the publisher has, null
    where it is not known.
    """

    dataset: Name
    version: Name
    variant: Optional = ""
    title: str
    licence: str
    citation: str
    evidence: Evidence
    bands: Annotated[list[BandDocument], pydantic.Field(min_length=1, max_length=1 << 10)]
    shape: tuple[Side, Side] | None
    frames: Frames = 1
    pixel_size_m: Annotated[float, pydantic.Field(gt=0, le=1e9)] | None
    range_axis: str
    symmetries: list[str]
    discovered: list[str] = pydantic.Field(default_factory=list)
    layout: str = ""
    storage: Storage
    tasks: list[TaskDocument]
    records_published: Count | None = None

    @pydantic.field_validator("bands")
    @classmethod
    def _check_names(cls, bands: list[BandDocument]) -> list[BandDocument]:
        names = [band.name for band in bands]
        if len(set(names)) != len(names):
            raise ValueError(f"expected a name for each band, found {names}"[:200])
        return bands


class Decisions(Document):
    """What was decided before the first pixel was read; `unused` counts records by reason.

    `leakage` is a card of named shares (sealed/leakage.py); `seal` adds the shares that follow from pixels.
    """

    sar_data_version: str
    format: Container
    compression: str | None
    split_policy: SplitPolicyDocument
    leakage: dict[str, LeakageFigure]
    unused: dict[str, Count]
    applied: list[Applied]
    parent: Parent | None
    imported_from: ImportedFrom | None = None
    recipe: dict[str, Any]
    recipe_digest: Sha256


class Outcome(Document):
    """What follows from the pixels; `clipped` counts pixels by band, `dropped_objects` objects by reason.

    `unvalued` counts, by band, pixels that are masked because they have no value in the unit of a conversion, such as
    zero power in dB; it has no band without such pixels.
    `suspect_pixels` has the bands in which some pixels may be no data although nothing declares it. `blank_samples` has
    the reasons why dates and masks of changes show nothing: `missing` and `constant` of a band of a date, `unlabelled`
    and `unchanged` of a mask.
    """

    splits: dict[Split, SplitDocument]
    statistics: dict[Split, SplitStatistics] | None
    normalization: Normalization | None
    clipped: dict[str, Count]
    unvalued: dict[str, Count] = pydantic.Field(default_factory=dict)
    quarantine: list[Quarantined]
    dropped_objects: dict[str, Count] = pydantic.Field(default_factory=dict)
    suspect_pixels: dict[str, SuspectPixels] = pydantic.Field(default_factory=dict)
    blank_samples: dict[str, BlankSamples] = pydantic.Field(default_factory=dict)
    fallback_reads: Count
    narrowed_records: Count
    content_digest: Sha256


class Manifest(Identity, Decisions, Outcome):
    """The whole document; `sums` is the sha256 of SHA256SUMS, which covers the shards and the tables.

    `digest` is the sha256 of the document's other fields, empty in builds of schema 2.
    """

    schema_version: Literal[3] = 3
    sums: Sha256
    digest: str = ""

    @pydantic.model_validator(mode="after")
    def _agrees_with_itself(self) -> Manifest:
        if flaw := next(contradictions(self), None):
            raise ValueError(flaw)
        return self

    @property
    def container(self) -> Format:
        """The format that the build is of."""
        return formats.get(self.format, self.compression)

    @classmethod
    def seal(cls, identity: Identity, decisions: Decisions, outcome: Outcome, sums: str) -> Manifest:
        """Return the manifest of the parts with its own digest; raise BuildError where it could not be opened again."""
        parts = {name: value for part in (identity, decisions, outcome) for name, value in part}
        try:
            manifest = cls(**parts, sums=sums)
        except pydantic.ValidationError as error:
            raise BuildError(f"{NAME}: cannot be sealed: {first_flaw(error)}") from error
        return manifest.with_sums(sums)

    def with_sums(self, sums: str) -> Manifest:
        """Return the manifest with the sha256 of another SHA256SUMS, and with its own digest."""
        manifest = self.model_copy(update={"sums": sums})
        return manifest.model_copy(update={DIGEST: document_digest(manifest.model_dump(mode="json"))})

    @classmethod
    def load(cls, build: Path) -> Manifest:
        """Read a build's manifest; raise BuildError where there is none, or it is not the one that was sealed."""
        return cls.decode(read_bytes(build), build / NAME)

    @classmethod
    def decode(cls, data: bytes, where: object) -> Manifest:
        """Return the manifest in `data`; raise BuildError, which names `where` the bytes are from."""
        document = read_document(data, where)
        if flaw := digest_flaw(document):
            raise BuildError(f"{where}: {flaw}: it was changed since the build was sealed")
        return cls.parse(document, where)

    @classmethod
    def parse(cls, document: dict[str, Any], where: object) -> Manifest:
        """Return the manifest of a document; raise BuildError, which names `where` it is and the wrong fields."""
        try:
            if document["schema_version"] == 2:
                from sar_data.sealed.schema2 import current_manifest

                document = current_manifest(document)
            return cls.model_validate(document)
        except (pydantic.ValidationError, LookupError, TypeError, AttributeError) as error:
            if isinstance(error, pydantic.ValidationError):
                why = first_flaw(error)
            else:
                why = f"{type(error).__name__}: {error}"
            raise BuildError(f"{where}: not a manifest this version can read: {why}") from error

    def dump(self) -> bytes:
        """Return the document's bytes, the same for the same manifest."""
        return canonical(self.model_dump(mode="json"))


def read_bytes(build: Path) -> bytes:
    """Return the bytes of a build's manifest; raise BuildError where there is none."""
    try:
        os.lstat(build / NAME)
    except (FileNotFoundError, NotADirectoryError):
        raise BuildError(f"{build}: expected a sealed build, found no {NAME}; {whereabouts(build)}") from None
    except (OSError, ValueError):
        pass  # which is said where it is opened
    return read_regular(build / NAME)


def whereabouts(folder: Path) -> str:
    """Return in words which builds are near a folder that is not a build."""
    if above := next((parent for parent in folder.parents if os.path.isfile(parent / NAME)), None):
        return f"it is a part of the build {above}"
    depths = (f"{'*/' * depth}{NAME}" for depth in (1, 2, 3))
    builds = (manifest.parent for depth in depths for manifest in folder.glob(depth))
    below = sorted(str(path) for path in builds if not any(part[0] == "." for part in path.relative_to(folder).parts))
    return f"builds below it are {few(below)}" if below else "name the folder that `build` printed"


def read_document(data: bytes, where: object) -> dict[str, Any]:
    """Return a manifest's bytes as a document; raise BuildError where it is not JSON or of an unknown version."""
    try:
        document = strict_json.loads(data)
    except ValueError as error:
        raise BuildError(f"{where}: not a manifest: expected JSON, found {error}") from error
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version not in VERSIONS:
        raise OtherVersion(
            f"{where}: expected schema_version {' or '.join(map(str, VERSIONS))}, found {version!r}: it is of another "
            "version of sar-data. Build again, or read it with that version"
        )
    return dict(document)


def digest_flaw(document: dict[str, Any]) -> str | None:
    """Return why a manifest's own digest is wrong, None where it is right; schema 2 has none."""
    expected, computed = document.get(DIGEST), document_digest(document)
    if document["schema_version"] == 2 or computed == expected:
        return None
    return f"expected the digest {expected}, found {computed}"


def canonical(document: dict[str, Any]) -> bytes:
    """Return the bytes of a manifest document as a build has them."""
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def document_digest(document: dict[str, Any]) -> str:
    """Return the sha256 of a manifest document without its own digest.

    It is of the document and not of the model, so that fields of later versions change no older digest.
    """
    others = {name: value for name, value in document.items() if name != DIGEST}
    return hashlib.sha256(json.dumps(others, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def recipe_digest(recipe: dict[str, Any]) -> str:
    """Return the sha256 of a recipe's canonical JSON."""
    return hashlib.sha256(json.dumps(recipe, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
