"""MSTAR as the JPEG tree of SAR-ATR-HDANet: a folder for each protocol, below it parts, classes and serial numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipelines._mstar import CLASSES, SLICY, by_folders, key_of, vehicle, walk
from sar_data.errors import BadRecord
from sar_data.labels.splits import split_of
from sar_data.raster import image
from sar_data.record import Record, Sample, SourceFile
from sar_data.spec import Tree
from sar_data.split.folders import ATTR

PICTURE = re.compile(r"HB\d{5}\.jpe?g")
COPIED = re.compile(r"HB\d{5}(?:[._]\d{3})?\.(?:jpe?g|png)", re.I)
CONDITIONS = ("SOC", "EOC-Depression", "EOC-Scene", "EOC-Configuration-Version")
_PROTOCOL = re.compile(rf"(?:^|/)(?:{'|'.join(CONDITIONS)})/(?!train/|test/)")  # parts are in capitals


def units(tree: Tree) -> Iterator[str]:
    """Yield the pictures of a tree of protocols, in which some folder is called after one."""
    paths = list(walk(tree, PICTURE))
    yield from paths if any(map(_PROTOCOL.search, paths)) else ()


def copied_files(tree: Tree) -> list[str]:
    """Return the pictures of a tree of classes, in folders of a split or without: each chip is there once."""
    paths = sorted(walk(tree, COPIED))
    return [path for path in paths if by_folders(path).name]


def scan_copied(tree: Tree, unit: str) -> Iterator[Record]:
    """Yield the record of a picture of a tree of classes."""
    chip, split = by_folders(unit), split_of(unit.rpartition("/")[0])
    stem = unit.rpartition("/")[2].rpartition(".")[0]
    attrs = {"class": chip.name or "", "serial": chip.serial, "depression": chip.depression, ATTR: split or ""}
    yield Record(
        key=key_of(split, chip.name, chip.serial, stem),
        files=(SourceFile(unit, tree.size(unit)),),
        labels={"target": (CLASSES.index(chip.name),) if chip.name in CLASSES else ()},
        shape=image.dimensions(tree, unit),
        place=vehicle(chip),
        attrs={name: value for name, value in attrs.items() if value},
        unused="SLICY, a calibration target of none of the classes" if chip.name == SLICY else None,
    )


def scan_pictures(tree: Tree, unit: str) -> Iterator[Record]:
    """Yield the record of a JPEG, from its folders and its header."""
    parts = unit.split("/")
    at = next((i for i, part in enumerate(parts[:-2]) if part in CONDITIONS), None)
    chip = by_folders(unit)
    if at is None or chip.name not in CLASSES:
        raise BadRecord(unit, f"expected <protocol>/<part>/<class>/…, protocols {', '.join(CONDITIONS)}, found {unit}")
    parts_of_path = (parts[at], parts[at + 1], *chip)
    attrs = {
        name: value
        for name, value in zip(("condition", "part", "class", "serial", "depression"), parts_of_path, strict=True)
        if value
    }
    yield Record(
        key=key_of(*parts[at:-1], parts[-1].partition(".")[0]),
        files=(SourceFile(unit, tree.size(unit)),),
        labels={"target": (CLASSES.index(chip.name),)},
        shape=image.dimensions(tree, unit),
        group=key_of(chip.name, parts[-1].partition(".")[0]),
        place=vehicle(chip),
        attrs=attrs,
    )


def read_picture(tree: Tree, record: Record) -> Sample:
    """Return the one grey band of a JPEG."""
    return Sample(image=image.grey(tree.read(path := record.files[0].path), path, shape=record.shape))
