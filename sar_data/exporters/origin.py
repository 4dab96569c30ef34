"""Where an export is from and what it lost: sar-data.json, beside the files of every target."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping

import pyarrow as pa
import pyarrow.compute as pc

import sar_data
from sar_data.exporters import PARTS, Part
from sar_data.exporters.source import Source
from sar_data.sealed.index import has_objects
from sar_data.sealed.manifest import Manifest

LABELS = ("multiclass", "multilabel")


def _has_values(index: pa.Table, *columns: str) -> bool:
    return any(index[name].null_count < len(index) for name in columns)


def _has_items(lists: pa.ChunkedArray) -> bool:
    return bool(pc.any(pc.greater(pc.fill_null(pc.list_value_length(lists), 0), 0)).as_py())


def _of_objects(index: pa.Table, field: str) -> pa.ChunkedArray:
    return pc.struct_field(pc.list_flatten(index["objects"]), field)


def _label_tasks(manifest: Manifest) -> list[bool]:
    """Say of each task whether its labels belong to whole images."""
    return [task.kind in LABELS for task in manifest.tasks]


PRESENT: Mapping[Part, Callable[[Manifest, pa.Table], bool]] = {
    "pixels": lambda manifest, index: True,
    "keys": lambda manifest, index: True,
    "splits": lambda manifest, index: True,
    "labels": lambda manifest, index: any(_label_tasks(manifest)[:1]),
    "other labels": lambda manifest, index: any(_label_tasks(manifest)[1:]),
    "masks": lambda manifest, index: _has_values(index, "mask_xxh3"),
    "boxes": lambda manifest, index: bool(pc.any(has_objects(index)).as_py()),
    "rotated boxes": lambda manifest, index: bool(pc.any(pc.is_valid(_of_objects(index, "rotated"))).as_py()),
    "polygons": lambda manifest, index: _has_items(_of_objects(index, "polygons")),
    "attributes of objects": lambda manifest, index: _has_items(_of_objects(index, "attrs")),
    "ground": lambda manifest, index: _has_values(index, "crs", "transform"),
    "time": lambda manifest, index: (
        _has_values(index, "time", "orbit_pass", "relative_orbit") or _has_items(index["dates"])
    ),
    "attributes": lambda manifest, index: _has_values(index, "group", "place") or _has_items(index["attrs"]),
}


def lost_parts(source: Source, keeps: Collection[Part]) -> tuple[str, ...]:
    """Return, in words, the parts that this build has and that a target with `keeps` does not hold."""
    kept = set(keeps) - ({"pixels"} if source.manifest.storage.scale is not None else set())  # integers become floats
    lost = [part for part in PARTS if part not in kept and PRESENT[part](source.manifest, source.index)]
    return tuple(PARTS[part] for part in lost)


def document(source: Source, target: str, lost: Collection[str]) -> bytes:
    """Return the JSON document of an export: its build, bands, tasks and train statistics, and what it lost."""
    manifest, normalization = source.manifest, source.manifest.normalization
    facts = {
        "target": target,
        "sar_data_version": sar_data.__version__,
        **{name: getattr(manifest, name) for name in ("dataset", "version", "variant", "title", "licence", "citation")},
        "build": f"{manifest.format}-{manifest.recipe_digest[:8]}",
        "content_digest": manifest.content_digest,
        "pixel_size_m": manifest.pixel_size_m,
        "bands": [band.model_dump(mode="json") for band in manifest.bands],
        "dtype": source.layout.dtype,
        "shape": manifest.shape,
        "frames": manifest.frames,
        "tasks": [task.model_dump(mode="json") for task in manifest.tasks],
        "splits": {name: split.count for name, split in manifest.splits.items()},
        "applied": [step.model_dump(mode="json") for step in manifest.applied],
        "normalization": None if normalization is None else normalization.model_dump(mode="json"),
        "lost": list(lost),
    }
    return json.dumps(facts, indent=1, ensure_ascii=False).encode() + b"\n"
