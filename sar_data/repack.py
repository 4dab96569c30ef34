"""Repack: plan a sealed build anew in another container, size, dtype or normalisation. The parent stays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from sar_data import formats
from sar_data.bake import MISSING, SCALE, Bake, Normalize
from sar_data.errors import UsageError
from sar_data.index import SCAN
from sar_data.manifest import Applied, Manifest, Parent, Storage
from sar_data.origin import Baked
from sar_data.sealed import Build
from sar_data.stages.draft import Draft
from sar_data.stages.open import open_draft

KEPT = (
    *("dataset", "version", "title", "licence", "citation", "evidence", "bands", "shape", "pixel_size_m", "storage"),
    *("tasks", "unused", "split_policy", "quarantine", "clipped"),
)
NORMALISED_UNIT = {"zscore": "1", "minmax": "minmax"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a repack changes; None keeps the parent's, but for `compression`, where it means none.

    `resize` is the new height and width in pixels.
    """

    format: str | None = None
    compression: str | None = None
    resize: int | None = None
    normalize: Normalize | None = None
    dtype: Literal["float16", "int16"] | None = None


def prepare_repack(parent: Build, changes: Changes, *, out: Path | None = None) -> Draft:
    """Return the draft of a repack, its target locked. Raises UsageError for changes that cannot be combined."""
    manifest = parent.manifest
    _check(manifest, changes)
    container = formats.get(changes.format or manifest.format, changes.compression)
    bake = _bake(manifest, changes)
    facts: dict[str, Any] = {
        **{name: getattr(manifest, name) for name in KEPT},
        "format": container.name,
        "compression": changes.compression,
        "applied": [*manifest.applied, *_applied(bake)],
        "parent": Parent(
            path=parent.path.name, recipe_digest=manifest.recipe_digest, content_digest=manifest.content_digest
        ),
        "recipe": {
            "parent": [manifest.recipe_digest, manifest.content_digest],
            "format": [container.name, container.version, changes.compression],
            "bake": [step.model_dump() for step in _applied(bake)],
        },
        **_reshaped(manifest, changes),
    }
    index = parent.index()
    most = max((split.shard_length for split in manifest.splits.values() if split.count), default=1)
    return open_draft(
        out or parent.path.parents[2],
        facts,
        Baked(parent, bake),
        _scanned(index, manifest, changes),
        index["split"].to_pylist(),
        {name: split.class_shares for name, split in manifest.splits.items()},
        shard_length=most,
        statistics=manifest.statistics is not None,
        on_bad="stop",
    )


def _check(manifest: Manifest, changes: Changes) -> None:
    unit = manifest.bands[0].unit
    if changes.normalize and any(step.step == "normalize" for step in manifest.applied):
        raise UsageError(f"--normalize {changes.normalize}: this build is normalised already; repack its parent")
    if changes.normalize and manifest.normalisation is None:
        raise UsageError(f"--normalize {changes.normalize}: this build has no train statistics")
    if (changes.dtype or changes.resize) and unit != "dB":
        what = f"--dtype {changes.dtype}" if changes.dtype else f"--resize {changes.resize}"
        raise UsageError(f"{what}: expected values in dB, found unit {unit!r}; repack the parent, which is in dB")
    if changes.dtype and changes.normalize:
        raise UsageError(
            f"--dtype {changes.dtype} stores dB and --normalize {changes.normalize} leaves no dB: choose one"
        )
    if changes.resize is not None and changes.resize < 1:
        raise UsageError(f"--resize {changes.resize}: expected at least 1 pixel")


def _bake(manifest: Manifest, changes: Changes) -> Bake:
    offset: tuple[float, ...] = ()
    divisor: tuple[float, ...] = ()
    if changes.normalize and manifest.normalisation:
        train, names = manifest.normalisation, [band.name for band in manifest.bands]
        first, second = (train.mean, train.std) if changes.normalize == "zscore" else (train.min, train.max)
        offset = tuple(first[name] for name in names)
        minmax = changes.normalize == "minmax"
        divisor = tuple(second[name] - first[name] if minmax else second[name] for name in names)
        if not all(divisor):
            raise UsageError(f"--normalize {changes.normalize}: a band is constant in train, so it has no spread")
    return Bake(
        resize=changes.resize,
        normalize=changes.normalize,
        offset=offset,
        divisor=divisor,
        dtype=changes.dtype,
        scale=manifest.storage.scale,
    )


def _applied(bake: Bake) -> list[Applied]:
    steps = []
    if bake.resize is not None:
        parameters: dict[str, Any] = {"size": [bake.resize, bake.resize], "kernel": "bicubic", "domain": "dB"}
        steps.append(Applied(step="resize", parameters=parameters))
    if bake.normalize is not None:
        parameters = {"method": bake.normalize, "offset": list(bake.offset), "divisor": list(bake.divisor)}
        steps.append(Applied(step="normalize", parameters=parameters))
    if bake.dtype is not None:
        parameters = {"dtype": bake.dtype} | ({"scale": SCALE, "missing": MISSING} if bake.dtype == "int16" else {})
        steps.append(Applied(step="dtype", parameters=parameters))
    return steps


def _reshaped(manifest: Manifest, changes: Changes) -> dict[str, Any]:
    """Return the facts that a bake changes: shape, pixel size, unit and storage."""
    facts: dict[str, Any] = {}
    if changes.resize is not None:
        facts["shape"] = (changes.resize, changes.resize)
        facts["pixel_size_m"] = manifest.pixel_size_m * manifest.shape[0] / changes.resize
    if changes.normalize:
        unit = NORMALISED_UNIT[changes.normalize]
        facts["bands"] = [band.model_copy(update={"unit": unit}) for band in manifest.bands]
    if changes.dtype == "int16":
        facts["storage"] = Storage(dtype="int16", scale=SCALE, missing=MISSING)
    elif changes.dtype or changes.resize or changes.normalize:
        facts["storage"] = Storage(dtype=changes.dtype or "float32")
    return facts


def _scanned(index: pa.Table, manifest: Manifest, changes: Changes) -> pa.Table:
    """Return the parent's records with where their pixels lie, and transforms that fit the new size."""
    table = index.select(SCAN.names)
    if changes.resize is not None:
        ratio = manifest.shape[0] / changes.resize, manifest.shape[1] / changes.resize
        scaled = [
            t and [t[0] * ratio[1], t[1] * ratio[0], t[2], t[3] * ratio[1], t[4] * ratio[0], t[5]]
            for t in table["transform"].to_pylist()
        ]
        kind = table.schema.field("transform")
        table = table.set_column(table.column_names.index("transform"), kind, pa.array(scaled, kind.type))
    names = ("split", "shard", "position", "offset", "key", "xxh3")
    place = pa.StructArray.from_arrays([index[name].combine_chunks() for name in names], names)
    return table.append_column("parent", place)
