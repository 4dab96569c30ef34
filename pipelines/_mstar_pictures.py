"""MSTAR as the JPEG tree of SAR-ATR-HDANet: a folder for each protocol, below it parts, classes and serial numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipelines._mstar import CLASSES, by_folders, key_of
from sar_data.errors import BadRecord
from sar_data.raster import image
from sar_data.record import Record, Sample, SourceFile
from sar_data.spec import Tree

PICTURE = re.compile(r"HB\d{5}\.jpe?g")
CONDITIONS = ("SOC", "EOC-Depression", "EOC-Scene", "EOC-Configuration-Version")


def scan_pictures(tree: Tree, unit: str) -> Iterator[Record]:
    """Yield the record of a JPEG, from its folders and its header."""
    parts = unit.split("/")
    at = next((i for i, part in enumerate(parts[:-2]) if part in CONDITIONS), None)
    chip = by_folders(unit)
    if at is None or chip.name not in CLASSES:
        raise BadRecord(unit, f"expected <protocol>/<part>/<class>/…, protocols {', '.join(CONDITIONS)}, found {unit}")
    said = (parts[at], parts[at + 1], *chip)
    attrs = {
        name: value
        for name, value in zip(("condition", "part", "class", "serial", "depression"), said, strict=True)
        if value
    }
    yield Record(
        key=key_of(*parts[at:-1], parts[-1].partition(".")[0]),
        files=(SourceFile(unit, tree.size(unit)),),
        labels={"target": (CLASSES.index(chip.name),)},
        shape=image.dimensions(tree, unit),
        group=key_of(chip.name, parts[-1].partition(".")[0]),
        attrs=attrs,
    )


def read_picture(tree: Tree, record: Record) -> Sample:
    """Return the one grey band of a JPEG."""
    return Sample(image=image.grey(tree.read(path := record.files[0].path), path, shape=record.shape))
