"""Export: a sealed build as files that other tools read. `TARGETS` describes each kind once, for all interfaces.

A module of the target's name has `write(source, folder)`. It is imported when it is used, so that the table is cheap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from sar_data.errors import unknown
from sar_data.progress import Progress

if TYPE_CHECKING:
    from sar_data.sealed.opened import Build

Target = Literal["coco"]
Part = Literal[
    "pixels",
    "keys",
    "splits",
    "labels",
    "other labels",
    "masks",
    "boxes",
    "rotated boxes",
    "polygons",
    "attributes of objects",
    "ground",
    "time",
    "attributes",
]
PARTS: Mapping[Part, str] = {
    "pixels": "pixels, bit for bit",
    "keys": "keys of samples",
    "splits": "splits",
    "labels": "labels of the first task",
    "other labels": "labels of further tasks",
    "masks": "masks",
    "boxes": "boxes",
    "rotated boxes": "rotated boxes",
    "polygons": "polygons",
    "attributes of objects": "attributes of objects",
    "ground": "coordinate reference system and transform",
    "time": "time and orbit",
    "attributes": "group, place and attributes of samples",
}
"""What a build may have, in words; an export says which of its parts the target does not hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exporter:
    """A kind of export: `title` says what it is, `reader` which package reads it, `keeps` the parts that it holds.

    `note` says what is particular, such as what a build must be. `module` is the module of this package that writes it.
    """

    title: str
    reader: str
    keeps: tuple[Part, ...]
    note: str
    module: str


TARGETS: Mapping[Target, Exporter] = {
    "coco": Exporter(
        title="Detections as COCO JSON, one file a split, with the images.",
        reader="pycocotools, torchvision, MMDetection",
        keeps=("pixels", "keys", "splits", "boxes", "rotated boxes", "polygons", "attributes of objects"),
        note="8-bit images of one or three bands are PNG, others GeoTIFF; rotated boxes are in the field `rotated`",
        module="coco",
    ),
}


@dataclass(frozen=True, slots=True)
class Exported:
    """A finished export: its folder, the number of samples, and the parts of the build that it lost, in words."""

    folder: Path
    samples: int
    lost: tuple[str, ...]


def check_target(target: str) -> None:
    """Raise UsageError for a name that is no target."""
    if target not in TARGETS:
        raise unknown("target", target, get_args(Target))


def export(target: Target, build: Build, out: Path, progress: Progress | None = None) -> Exported:
    """Write a build as another tool reads it to the folder `out`, whole or not at all.

    Raises UsageError for an unknown target and for a build that the target does not fit, BuildError for an image that
    is not the recorded one, TargetError where `out` has files already or cannot be written.
    """
    from sar_data.exporters.folder import new_folder
    from sar_data.exporters.origin import document, lost_parts
    from sar_data.exporters.source import Source
    from sar_data.system import durable

    check_target(target)
    exporter, source = TARGETS[target], Source.of(build, progress)
    lost = lost_parts(source, exporter.keeps)
    with new_folder(out) as folder:
        import_module(f"{__name__}.{exporter.module}").write(source, folder)
        durable.write(folder / "sar-data.json", document(build.manifest, target, lost), sync=False)
    return Exported(out, len(source.index), lost)
