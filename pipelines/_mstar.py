"""What folders and headers of MSTAR say: class, serial number and depression."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

from sar_data.errors import BadRecord
from sar_data.raster.phoenix import Header
from sar_data.spec import Tree

CLASSES = ("2S1", "BMP2", "BRDM_2", "BTR_60", "BTR70", "D7", "T62", "T72", "ZIL131", "ZSU_23_4")
SLICY = "SLICY"  # a calibration target of corner reflectors, of no class
# How published lists spell the classes, in their order.
LISTED = ("2S1", "BMP-2", "BRDM-2", "BTR-60", "BTR-70", "D7", "T-62", "T-72", "ZIL-131", "ZSU-234")
DEPRESSIONS = (15, 17, 30, 45)
CHIP = re.compile(r"(HB\d{5})(?:\.(\d{3}))?")
_SERIAL = re.compile(r"(?:SN_(\w+)|(A\d{2}))")
_DEGREES = re.compile(r"(\d{2})_DEG")


def letters(name: str) -> str:
    """Return what is the same in all spellings of a class: ZSU_23_4, ZSU-234, zsu23-4_gun."""
    return "".join(filter(str.isalnum, name.lower()))


KNOWN = {letters(name): name for name in (*CLASSES, SLICY)}


class Chip(NamedTuple):
    """What is known of a chip; `serial` is in lower case, "" where nothing tells."""

    name: str | None
    serial: str
    depression: str


def walk(tree: Tree, pattern: re.Pattern[str], path: str = "", below: int = 10) -> Iterator[str]:
    """Yield the files of a name, however deep the discs were copied."""
    yield from (path + name for name in tree.files(path) if pattern.fullmatch(name))
    for name in tree.folders(path) if below else ():
        yield from walk(tree, pattern, f"{path}{name}/", below - 1)


def by_folders(path: str) -> Chip:
    """Return what the folders say, the nearest first; a folder A04 to A64 alone is a variant of the T72."""
    parts = path.split("/")[-2::-1]
    serial = next((match[1] or match[2] for part in parts if (match := _SERIAL.fullmatch(part))), "").lower()
    degrees = next((match[1] for part in parts if (match := _DEGREES.fullmatch(part))), "")
    name = next(
        (KNOWN[letters(part)] for part in parts if letters(part) in KNOWN), "T72" if serial[:1] == "a" else None
    )
    return Chip(name, serial, degrees)


def by_header(header: Header) -> Chip:
    """Return what the header says: TargetType is bmp2_tank, MeasuredDepression 17.03."""
    kind = letters(header.fields.get("TargetType", ""))
    name = next((known for start, known in KNOWN.items() if kind.startswith(start)), None)
    try:
        angle = float(header.fields.get("MeasuredDepression") or header.fields.get("DesiredDepression") or "nan")
    except ValueError:
        angle = math.nan
    nearest = min(DEPRESSIONS, key=lambda nominal: abs(nominal - angle)) if math.isfinite(angle) else 0
    serial = header.fields.get("TargetSerNum", "").lower()
    return Chip(name, serial, str(nearest) if nearest and abs(nearest - angle) < 1 else "")


def agree(path: str, header: Header) -> Chip:
    """Return what folders and header say together; raise BadRecord where they disagree or both are silent."""
    folders, written = by_folders(path), by_header(header)
    for what, first, second in zip(Chip._fields, folders, written, strict=True):
        if first and second and first != second:
            raise BadRecord(path, f"expected the {what} {first}, as its folder says, found {second} in its header")
    both = Chip(
        folders.name or written.name, folders.serial or written.serial, folders.depression or written.depression
    )
    if both.name is None or not both.depression:
        raise BadRecord(path, f"expected class and depression in its folders or its header, found {tuple(both)}")
    return both


def vehicle(chip: Chip) -> str | None:
    """Return the one vehicle that a chip shows, by class and serial number; None where nothing tells the number."""
    return f"{chip.name} {chip.serial}" if chip.serial else None


def key_of(*words: str | None) -> str:
    """Return a key from words, or from a path."""
    return re.sub(r"[^\w-]+", "_", "_".join(filter(None, words)))
