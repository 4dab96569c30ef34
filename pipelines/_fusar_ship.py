"""What FUSAR-Ship tells by names, codes and its table: the categories, and how to be sure of them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from sar_data.errors import BadRecord, SourceError
from sar_data.labels.table import read_table
from sar_data.spec import Tree

CLASSES = (
    "Cargo",
    "DiveVessel",
    "Dredger",
    "Fishing",
    "HighSpeedCraft",
    "LawEnforce",
    "Other",
    "Passenger",
    "PortTender",
    "Reserved",
    "SAR",
    "Tanker",
    "Tug",
    "Unspecified",
    "WingInGrnd",
)
LISTED = (1, 3, 4, 8, 12, 13)  # codes that published lists confirm: the position in CLASSES, from 1
NAME = re.compile(r"Ship_C(?P<code>\d{2})S\d{2}N\d{4}")
FILE = re.compile(rf"({NAME.pattern})\.tiff?")
COLUMNS = {
    "mmsi": "mmsi",
    "length": "length_m",
    "width": "width_m",
    "polarMode": "polar_mode",
    "centerLookAngle": "look_angle_degrees",
    "heightspace": "pixel_height_m",
    "widthspace": "pixel_width_m",
}


class Layout(NamedTuple):
    """The chips of ships, the table about them ("": there is none) and what is to be said of both."""

    chips: list[str]
    table: str
    sentences: tuple[str, ...]
    flat: bool


def walk(tree: Tree, path: str = "", below: int = 5) -> Iterator[str]:
    """Yield the path of every file."""
    yield from (posixpath.join(path, name) for name in tree.files(path))
    for name in tree.folders(path) if below else ():
        yield from walk(tree, posixpath.join(path, name), below - 1)


def category(path: str) -> str | None:
    """Return the outermost folder that is a category: a subcategory may be called like another one."""
    return next((part for part in path.split("/")[:-1] if part in CLASSES), None)


def folder_of_code(code: int) -> str:
    """Return the category of a code, as far as published lists confirm it, else nothing."""
    return CLASSES[code - 1] if code in LISTED else ""


@lru_cache(maxsize=4)
def about(tree: Tree, path: str) -> Mapping[str, Mapping[str, str]]:
    """Return chip → its row of the table; raise BadRecord where a row names no chip."""
    rows: dict[str, Mapping[str, str]] = {}
    for row in read_table(path, tree.read(path), ("id", "path", *COLUMNS)):
        named = NAME.search(row["id"]) or NAME.search(row["path"])
        if named is None:
            both = f"{row['id']!r} and {row['path']!r}"
            raise BadRecord(path, f"expected an id or a path such as Ship_C01S01N0001, found {both:.120}")
        if rows.setdefault(named[0], row) is not row:
            raise BadRecord(path, f"expected one row of {named[0]}, found two")
    return rows


def discover(tree: Tree) -> Layout:
    """Return how the chips lie; raise SourceError where there are none, or where codes and folders do not agree."""
    about.cache_clear()  # the table may have been corrected since this process last read it
    files = sorted(walk(tree))
    chips = [path for path in files if FILE.fullmatch(posixpath.basename(path))]
    tables = [path for path in files if posixpath.basename(path).lower() in ("meta.csv", "meta.xls", "meta.xlsx")]
    read = [path for path in tables if path.endswith(".csv")]
    if not chips or len(read) > 1:
        raise SourceError(
            f"expected chips named Ship_C01S01N0001.tiff and one meta.csv, found {len(chips)} chips and "
            f"{', '.join(read) or 'no meta.csv'}: name the folder above the categories as `source=…`"
        )
    folders: dict[str, set[str]] = {}
    for path in chips:
        if (name := category(path)) is not None:
            folders.setdefault(posixpath.basename(path)[5:8], set()).add(name)
    flat = not folders and len({posixpath.dirname(path) for path in chips}) == 1
    if not folders and not flat:
        raise SourceError(
            f"expected chips below a folder such as Cargo or Tanker, found {chips[0]}: name the folder above"
        )
    if torn := {code: sorted(names) for code, names in folders.items() if len(names) > 1}:
        raise SourceError(f"expected each code in one category, found {torn}: put the chips where they were")
    codes = ", ".join(f"{code} {min(names)}" for code, names in sorted(folders.items()))
    note = "all chips in one folder: their category is that of the table, or of the code" if flat else f"codes: {codes}"
    if not read:
        missing = f"{tables[0]} is a spreadsheet, which is not read: save it as meta.csv" if tables else "no meta.csv"
        return Layout(chips, "", (note, f"{missing}; ships are not known, so there is no group split"), flat)
    rows = about(tree, read[0]).keys()
    joined = sum(posixpath.splitext(posixpath.basename(path))[0] in rows for path in chips)
    if not joined:
        raise SourceError(f"{read[0]}: expected rows of these {len(chips)} chips, found none: take that of the dataset")
    return Layout(chips, read[0], (note, f"{read[0]} has rows of {joined} of {len(chips)} chips"), flat)
