"""Repack: plan a sealed build in another container, size, dtype or normalization. The parent stays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pydantic

import sar_data
from sar_data import formats
from sar_data.builder.bake import Bake
from sar_data.builder.draft import Draft
from sar_data.builder.looks import looks_of
from sar_data.builder.open import folder, home_of, open_draft
from sar_data.builder.origin import Baked
from sar_data.builder.plan import Plan
from sar_data.builder.request import CHANGES, ConvertRequest
from sar_data.builder.sizes import largest
from sar_data.builder.speckle import parse
from sar_data.builder.spread import describe_changes, recorded_spread, stored_spread, with_spread
from sar_data.crop import refit_record
from sar_data.errors import UsageError
from sar_data.formats.container import Format
from sar_data.formats.storage import MISSING, SCALE
from sar_data.normalization.presets import presets
from sar_data.normalization.stretch import HIGH, LEVELS, LOW
from sar_data.progress import Progress, Say
from sar_data.radiometry import units_after
from sar_data.runners import Runner
from sar_data.sealed.documents import Applied, Parent, Storage
from sar_data.sealed.index import SCAN, has_objects
from sar_data.sealed.manifest import Decisions, Identity, Manifest, recipe_digest
from sar_data.sealed.names import first_flaw
from sar_data.sealed.opened import Build
from sar_data.sealed.places import place_column
from sar_data.sealed.records import to_records, to_table


def prepare_repack(
    parent: Build, changes: ConvertRequest, runner: Runner, progress: Progress | None = None, say: Say | None = None
) -> Draft:
    """Return the draft of a repack, its target locked. Raises UsageError for changes that cannot be combined.

    Where it is to be normalized after other changes, the train split is read once to know by what.
    """
    manifest = parent.manifest
    index = parent.index()
    container = _container(manifest, changes)
    _check(manifest, changes, index)
    if manifest.shape is None and container.one_shape and changes.cut is None:
        raise UsageError(f"this build has images of several sizes, {container.name} needs one: add `crop=…` or `pad=…`")
    bake, identity = _bake(manifest, changes), _identity(manifest, changes)
    scanned, out = _make_scan(index, manifest, changes), changes.out or home_of(parent.place)
    recipe = {
        "parent": [manifest.recipe_digest, manifest.content_digest],
        "format": [container.name, container.version, container.compression],
        "bake": [step.model_dump() for step in _list_steps(bake, changes)],
    }
    train = scanned.filter(pc.equal(index["split"], "train"))
    if changes.counts:
        earlier = folder(out, identity, container, recipe_digest(recipe))
        bake = recorded_spread(bake, earlier) or stored_spread(parent, bake, train, runner, progress)
    looks: dict[str, Mapping[str, Any]] = {"speckle-filter": looks_of(parent, bake, train)}
    if changes.normalize is not None:
        units = [after for _, after in bake.units]  # of offset and divisor
        looks["normalize"] = {"units": units, "warning": presets()[changes.normalize].warning}
        if say:
            say(f"what normalize {changes.normalize} loses: {looks['normalize']['warning']}")
    plan = Plan(
        identity=identity,
        decisions=Decisions(
            sar_data_version=sar_data.__version__,
            format=container.name,
            compression=container.compression,
            split_policy=manifest.split_policy,
            leakage=manifest.leakage,
            unused=manifest.unused,
            applied=[*manifest.applied, *_list_steps(bake, changes, looks)],
            parent=Parent(
                path=parent.name, recipe_digest=manifest.recipe_digest, content_digest=manifest.content_digest
            ),
            recipe=recipe,
            recipe_digest=recipe_digest(recipe),
        ),
        origin=Baked(parent, bake),
        scanned=scanned,
        split=index["split"].to_pylist(),
        shares={name: split.class_shares for name, split in manifest.splits.items()},
        shard_length=max((split.shard_length for split in manifest.splits.values() if split.count), default=1),
        statistics=manifest.statistics is not None,
        bad_records="stop",
        suspect_limit=1.0,  # the parent was judged when it was made
        quarantine=manifest.quarantine,
        clipped=manifest.clipped,
        unvalued=manifest.unvalued,
    )
    return open_draft(out, plan, say)


def _container(manifest: Manifest, changes: ConvertRequest) -> Format:
    """Return the container that is asked for; raise UsageError where it is the parent's and nothing else changes."""
    name = changes.format or manifest.format
    compression = manifest.compression if name == manifest.format else None
    if changes.compression is not None:
        compression = None if changes.compression == "none" else changes.compression
    if (name, compression) == (manifest.format, manifest.compression) and not changes.baked:
        raise UsageError(f"nothing to change: expected another `format=…`, `compression=…`, {CHANGES}")
    return formats.get(name, compression)


def _check(manifest: Manifest, changes: ConvertRequest, index: pa.Table) -> None:
    shape = manifest.shape
    if changes.cut is not None:
        changes.check_sizes(largest(index))
    if changes.resize is not None and (shape is None or (pc.any(has_objects(index)).as_py() and shape[0] != shape[1])):
        what = "images of one size" if shape is None else "square images, so that boxes keep their form"
        raise UsageError(f"`resize={changes.resize}`: expected {what}: use `crop=…` or `pad=…` first")
    if changes.normalize and any(step.step == "normalize" for step in manifest.applied):
        raise UsageError(f"`normalize={changes.normalize}`: this build is normalized already; repack its parent")
    if changes.by_train and manifest.normalization is None:
        raise UsageError(f"`normalize={changes.normalize}`: this build has no train statistics")
    changes.check_bands({band.name: band.unit for band in manifest.bands})
    units = [band.unit for band in manifest.bands]
    if changes.unit is not None and units_after(units, changes.unit) == tuple(units):
        raise UsageError(f"`unit={changes.unit}`: this build is in {changes.unit} already")


def _bake(manifest: Manifest, changes: ConvertRequest) -> Bake:
    """Return what to do; by what to normalize where the parent's figures are those of what is stored."""
    storage, units = manifest.storage, [band.unit for band in manifest.bands]
    fill = float("nan") if "float" in storage.dtype else 0.0
    bake = Bake(
        cut=changes.cut,
        speckle=None if changes.speckle is None else parse(changes.speckle),
        units=tuple(zip(units, units_after(units, changes.unit), strict=True)),
        fill=fill if storage.missing is None else storage.missing,
        resize=changes.resize,
        resample=changes.resample or "dB",
        normalize=changes.normalize,
        dtype=changes.dtype,
        scale=manifest.storage.scale,
    )
    if changes.normalize is None or changes.counts:
        return bake
    return with_spread(bake, describe_changes(manifest, bake))


def _list_steps(
    bake: Bake, changes: ConvertRequest, outcomes: Mapping[str, Mapping[str, Any]] | None = None
) -> list[Applied]:
    """Return the steps of a conversion; `outcomes` has by step what is recorded beside that and is in no recipe."""
    steps: dict[str, dict[str, Any]] = {}
    if bake.speckle is not None:
        steps["speckle-filter"] = bake.speckle.parameters
    if bake.cut is not None:
        window = {"size": [bake.cut, bake.cut], "window": "centre", "padding": "below and right"}
        steps["crop" if changes.pad is None else "pad"] = window
    if changes.unit is not None:
        steps["unit"] = {"to": changes.unit, "from": [unit for unit, _ in bake.units]}
    if bake.resize is not None:
        steps["resize"] = {"size": [bake.resize, bake.resize], "kernel": "bicubic", "domain": bake.resample}
    if bake.normalize is not None:
        steps["normalize"] = _describe_normalization(bake, bake.normalize)
    if bake.dtype is not None:
        integers = {"scale": SCALE, "missing": MISSING} if bake.dtype == "int16" else {}
        steps["dtype"] = {"dtype": bake.dtype} | integers
    more = outcomes or {}
    return [
        Applied.model_validate({"step": step, "parameters": {**own, **more.get(step, {})}})
        for step, own in steps.items()
    ]


def _describe_normalization(bake: Bake, how: str) -> dict[str, Any]:
    """Return what is recorded of a normalization: all that makes the stored values of physical ones."""
    preset = presets()[how]
    parameters: dict[str, Any] = {"method": how}
    if preset.kind != "range":
        parameters |= {"offset": list(bake.offset), "divisor": list(bake.divisor)}
    if preset.clip:
        parameters["clip"] = [0, 1]
    if not preset.affine:
        parameters["quantiles"] = [LOW, HIGH]
    if preset.kind == "grey":
        parameters["levels"] = LEVELS
    return parameters


def _identity(manifest: Manifest, changes: ConvertRequest) -> Identity:
    """Return the parent's identity with what the changes alter: shape, pixel size, unit and storage."""
    identity = Identity(**{name: getattr(manifest, name) for name in Identity.model_fields})
    altered: dict[str, Any] = {}
    cut = changes.cut
    if cut is not None:
        altered["shape"] = (cut, cut)
    if changes.resize is not None:
        before = cut or (manifest.shape or (0, 0))[0]
        altered["shape"] = (changes.resize, changes.resize)
        if manifest.pixel_size_m is not None:
            altered["pixel_size_m"] = manifest.pixel_size_m * before / changes.resize
    if changes.unit is not None:
        after = units_after([band.unit for band in manifest.bands], changes.unit)
        pairs = zip(manifest.bands, after, strict=True)
        altered["bands"] = [band.model_copy(update={"unit": unit}) for band, unit in pairs]
    if changes.normalize:
        unit = presets()[changes.normalize].unit_after
        altered["bands"] = [band.model_copy(update={"unit": unit}) for band in manifest.bands]
    if changes.dtype == "int16":
        altered["storage"] = Storage(dtype="int16", scale=SCALE, missing=MISSING)
    elif changes.dtype or changes.resize or changes.normalize or changes.unit or changes.speckle:
        altered["storage"] = Storage(dtype=changes.dtype or "float32")
    try:
        return Identity.model_validate(identity.model_dump() | altered)
    except pydantic.ValidationError as error:  # of a size of pixels that no build has, say
        raise UsageError(f"expected a build that can be sealed, found {first_flaw(error)}") from error


def _make_scan(index: pa.Table, manifest: Manifest, changes: ConvertRequest) -> pa.Table:
    """Return the parent's records with where their pixels lie; objects and places fit the new size."""
    table = index.select(SCAN.names)
    cut = changes.cut
    if cut is not None or changes.resize is not None:
        table = to_table([refit_record(record, cut, changes.resize) for record in to_records(table)])
    return table.append_column("parent", place_column(index, [band.name for band in manifest.bands]))
