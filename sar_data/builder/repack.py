"""Repack: plan a sealed build anew in another container, size, dtype or normalization. The parent stays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from sar_data import formats
from sar_data.builder.bake import Bake, Normalize
from sar_data.builder.draft import Draft
from sar_data.builder.open import open_draft
from sar_data.builder.origin import Baked
from sar_data.crop import refitted
from sar_data.errors import UsageError
from sar_data.formats.storage import MISSING, SCALE
from sar_data.sealed.index import SCAN, has_objects, to_records, to_table
from sar_data.sealed.manifest import Applied, Manifest, Parent, Storage
from sar_data.sealed.opened import Build, layout_of, nodata

KEPT = (
    *("dataset", "version", "variant", "title", "licence", "citation", "evidence", "bands", "shape", "frames"),
    *("pixel_size_m", "calibration", "terrain_corrected", "range_axis", "symmetries", "discovered", "storage"),
    *("tasks", "unused", "split_policy", "quarantine", "clipped"),
)
NORMALIZED_UNIT = {"zscore": "1", "minmax": "minmax"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a repack changes; None keeps the parent's, but for `compression`, where it means none.

    `crop` and `pad` are the height and width that images of several sizes get: the centre of larger ones, padding below
    and right of smaller ones; `pad` refuses larger ones. `resize` is the new height and width.
    """

    format: str | None = None
    compression: str | None = None
    crop: int | None = None
    pad: int | None = None
    resize: int | None = None
    normalize: Normalize | None = None
    dtype: Literal["float16", "int16"] | None = None


def prepare_repack(parent: Build, changes: Changes, *, out: Path | None = None) -> Draft:
    """Return the draft of a repack, its target locked. Raises UsageError for changes that cannot be combined."""
    manifest = parent.manifest
    index = parent.index()
    container = formats.get(changes.format or manifest.format, changes.compression)
    _check(manifest, changes, index)
    if manifest.shape is None and container.one_shape and changes.crop is None and changes.pad is None:
        raise UsageError(f"this build has images of several sizes, {container.name} needs one: add --crop N or --pad N")
    bake = _bake(manifest, changes)
    facts: dict[str, Any] = {
        **{name: getattr(manifest, name) for name in KEPT},
        "format": container.name,
        "compression": changes.compression,
        "applied": [*manifest.applied, *_applied(bake, changes)],
        "parent": Parent(
            path=parent.path.name, recipe_digest=manifest.recipe_digest, content_digest=manifest.content_digest
        ),
        "recipe": {
            "parent": [manifest.recipe_digest, manifest.content_digest],
            "format": [container.name, container.version, changes.compression],
            "bake": [step.model_dump() for step in _applied(bake, changes)],
        },
        **_reshaped(manifest, changes),
    }
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


def _check(manifest: Manifest, changes: Changes, index: pa.Table) -> None:
    unit = layout_of(manifest).unit
    shape = manifest.shape
    if changes.crop is not None and changes.pad is not None:
        raise UsageError(f"--crop {changes.crop} and --pad {changes.pad}: both make one size, choose one")
    if changes.pad is not None:
        largest = max(pc.max(index[name]).as_py() or 0 for name in ("height", "width"))
        if largest > changes.pad:
            raise UsageError(f"--pad {changes.pad}: expected images of at most that size, found {largest} pixels")
    if changes.resize is not None and (shape is None or (pc.any(has_objects(index)).as_py() and shape[0] != shape[1])):
        what = "images of one size" if shape is None else "square images, so that boxes keep their form"
        raise UsageError(f"--resize {changes.resize}: expected {what}: use --crop or --pad first")
    if changes.normalize and any(step.step == "normalize" for step in manifest.applied):
        raise UsageError(f"--normalize {changes.normalize}: this build is normalized already; repack its parent")
    if changes.normalize and manifest.normalization is None:
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
    if changes.normalize and manifest.normalization:
        train, names = manifest.normalization, [band.name for band in manifest.bands]
        first, second = (train.mean, train.std) if changes.normalize == "zscore" else (train.min, train.max)
        offset = tuple(first[name] for name in names)
        minmax = changes.normalize == "minmax"
        divisor = tuple(second[name] - first[name] if minmax else second[name] for name in names)
        if not all(divisor):
            raise UsageError(f"--normalize {changes.normalize}: a band is constant in train, so it has no spread")
    storage = manifest.storage
    fill = float("nan") if "float" in storage.dtype else 0.0
    return Bake(
        cut=changes.crop if changes.crop is not None else changes.pad,
        fill=fill if storage.missing is None else storage.missing,
        resize=changes.resize,
        normalize=changes.normalize,
        offset=offset,
        divisor=divisor,
        dtype=changes.dtype,
        scale=manifest.storage.scale,
    )


def _applied(bake: Bake, changes: Changes) -> list[Applied]:
    steps = []
    parameters: dict[str, Any]
    if bake.cut is not None:
        parameters = {"size": [bake.cut, bake.cut], "window": "centre", "padding": "below and right"}
        steps.append(Applied(step="crop" if changes.pad is None else "pad", parameters=parameters))
    if bake.resize is not None:
        parameters = {"size": [bake.resize, bake.resize], "kernel": "bicubic", "domain": "dB"}
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
    cut = changes.crop if changes.crop is not None else changes.pad
    if cut is not None:
        facts["shape"] = (cut, cut)
    if changes.resize is not None:
        before = cut or (manifest.shape or (0, 0))[0]
        facts["shape"] = (changes.resize, changes.resize)
        if manifest.pixel_size_m is not None:
            facts["pixel_size_m"] = manifest.pixel_size_m * before / changes.resize
    if changes.normalize:
        unit = NORMALIZED_UNIT[changes.normalize]
        facts["bands"] = [band.model_copy(update={"unit": unit}) for band in manifest.bands]
    if changes.dtype == "int16":
        facts["storage"] = Storage(dtype="int16", scale=SCALE, missing=MISSING)
    elif changes.dtype or changes.resize or changes.normalize:
        facts["storage"] = Storage(dtype=changes.dtype or "float32")
    return facts


def _scanned(index: pa.Table, manifest: Manifest, changes: Changes) -> pa.Table:
    """Return the parent's records with where their pixels lie; objects and places fit the new size."""
    table = index.select(SCAN.names)
    cut = changes.crop if changes.crop is not None else changes.pad
    if cut is not None or changes.resize is not None:
        table = to_table([refitted(record, cut, changes.resize) for record in to_records(table)])
    names = ("split", "shard", "position", "offset", "key", "mask_offset", "xxh3", "mask_xxh3")
    columns = {name: index[name].combine_chunks() for name in names}
    columns["shape"] = pa.StructArray.from_arrays(
        [index[name].combine_chunks() for name in ("height", "width")], ["height", "width"]
    )
    columns["nodata"] = pa.array(nodata(index, [band.name for band in manifest.bands]), pa.list_(pa.int64()))
    place = pa.StructArray.from_arrays(list(columns.values()), list(columns))
    return table.append_column("parent", place)
