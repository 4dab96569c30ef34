"""Export: a sealed build as files that other tools read. `TARGETS` describes each kind once, for all interfaces.

A function of a module writes it from a Source into a folder. It is imported when it is used: the table is cheap.
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

Target = Literal["coco", "yolo", "fgmae-lmdb", "seco-lmdb", "configilm", "npy", "hf", "geotiff", "croissant"]
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

    `note` says what is particular, such as what a build must be. `function` of a `module` of this package writes it.
    """

    title: str
    reader: str
    keeps: tuple[Part, ...]
    note: str
    module: str
    function: str = "write"


_OBJECTS: tuple[Part, ...] = ("boxes", "rotated boxes", "polygons", "attributes of objects")
_FOLDER: tuple[Part, ...] = ("pixels", "keys", "splits", "labels", "other labels", "masks", *_OBJECTS)
TARGETS: Mapping[Target, Exporter] = {
    "coco": Exporter(
        title="Detections as COCO JSON, one file a split, with the images.",
        reader="pycocotools, torchvision, MMDetection",
        keeps=("pixels", "keys", "splits", *_OBJECTS),
        note="8-bit images of one or three bands are PNG, others GeoTIFF; rotated boxes are in the field `rotated`",
        module="coco",
    ),
    "yolo": Exporter(
        title="Upright boxes in YOLO's text, with 8-bit images.",
        reader="Ultralytics",
        keeps=("keys", "splits", "boxes"),
        note="three bands at most, stretched from 1 to 99 % of train unless they are 8-bit; boxes are fractions of the "
        "image; Ultralytics asks for a split val",
        module="yolo",
    ),
    "fgmae-lmdb": Exporter(
        title="LMDBs of pickled tuples, for FG-MAE's official loader.",
        reader="FG-MAE (…_official_lmdb_s1_float32.py)",
        keeps=("pixels", "keys", "splits", "labels"),
        note="images of 128×128 pixels with VV and VH in dB, in that order; keys are numbers, listed in SPLIT.keys.txt",
        module="pickle_lmdb",
    ),
    "seco-lmdb": Exporter(
        title="LMDBs of pickled tuples, for FG-MAE's loader of SeCo's split.",
        reader="FG-MAE (…_seco_lmdb_s1_float32.py)",
        keeps=("pixels", "keys", "splits", "labels"),
        note="images of 128×128 pixels with VH and VV in dB, in that order; keys are numbers, listed in SPLIT.keys.txt",
        module="pickle_lmdb",
        function="write_seco",
    ),
    "configilm": Exporter(
        title="One LMDB of safetensors and a table, for ConfigILM.",
        reader="ConfigILM 0.7.1 (BENv2), rico-hdl's readers",
        keeps=("pixels", "keys", "splits", "labels", "masks"),
        note="one image a sample; the split val is called validation; labels are in the order of the alphabet; flags "
        "of snow and cloud are true where samples have them as attributes",
        module="configilm",
    ),
    "npy": Exporter(
        title="npy files with lists, tables and a dataset.toml.",
        reader="numpy",
        keeps=(*_FOLDER, "time", "attributes"),
        note="labels in SPLIT.txt are numbers, in samples.csv names; objects are in SPLIT.json, as COCO has them",
        module="npy",
    ),
    "hf": Exporter(
        title="Parquet with a preview and a card, for the Hugging Face hub.",
        reader="datasets, pandas, duckdb, polars",
        keeps=(*_FOLDER, "ground", "time", "attributes"),
        note="the split val is called validation; images are nested lists, which `datasets` gives as arrays",
        module="hf",
    ),
    "geotiff": Exporter(
        title="GeoTIFFs with their place, tables and a dataset.toml.",
        reader="GDAL, rasterio, QGIS",
        keeps=(*_FOLDER, "ground", "time", "attributes"),
        note="all bands in one file; labels are in samples.csv, objects in SPLIT.json, as COCO has them",
        module="geotiff",
    ),
    "croissant": Exporter(
        title="Cards: Croissant with GeoCroissant, a README, the citation, and the index.",
        reader="mlcroissant",
        keeps=("keys", "splits", "labels", "other labels", *_OBJECTS, "ground", "time", "attributes"),
        note="the pixels stay in the build: the cards name its files by path, size and sha256, so that they may be put "
        "beside them; README.md has a reader that needs none of our code",
        module="croissant",
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
    from sar_data.containers.layouts import EXPORT_FILE
    from sar_data.exporters.folder import new_folder
    from sar_data.exporters.origin import document, lost_parts
    from sar_data.exporters.source import Source
    from sar_data.system import durable

    check_target(target)
    exporter, source = TARGETS[target], Source.of(build, progress)
    lost = lost_parts(source, exporter.keeps)
    with new_folder(out) as folder:
        getattr(import_module(f"{__name__}.{exporter.module}"), exporter.function)(source, folder)
        durable.write(folder / EXPORT_FILE, document(source, target, lost), sync=False)
    return Exported(out, len(source.index), lost)
