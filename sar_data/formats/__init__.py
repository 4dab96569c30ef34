"""The containers a build can have: one file a format, one line each in the registry below.

A package that is installed may add its own, by an entry point of the group `sar_data.formats`: name = "module".
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from sar_data.errors import UsageError, unknown

if TYPE_CHECKING:
    from sar_data.formats.container import Format  # which loads numpy: `build --help` does not

FORMATS = {
    "lmdb": "sar_data.formats.lmdb",
    "webdataset": "sar_data.formats.webdataset",
    "zarr": "sar_data.formats.zarr",
}


@cache
def _installed() -> dict[str, str]:
    return {point.name: point.value for point in entry_points(group="sar_data.formats")}


def names() -> list[str]:
    """Return the names of all formats."""
    return list(dict.fromkeys([*FORMATS, *_installed()]))


def compressions() -> list[str]:
    """Return "none" and the compressions that some format has."""
    return list(dict.fromkeys(option or "none" for name in names() for option in get(name).compressions))


def module(name: str) -> str | None:
    """Return the module of a format, None where there is no such format; only an unusual name looks at packages."""
    return FORMATS.get(name) or _installed().get(name)


def check_name(name: str) -> None:
    """Raise UsageError, with those that there are, for a format that does not exist."""
    if module(name) is None:
        raise unknown("format", name, names())


def get(name: str, compression: str | None = None) -> Format:
    """Return a format by name; raise UsageError for one that does not exist or cannot be compressed so."""
    check_name(name)
    made: Format = import_module(module(name) or "").make(compression)
    if compression not in made.compressions:
        known = " or ".join(option or "none" for option in made.compressions)
        others = [other for other in names() if other != name and compression in get(other).compressions]
        raise UsageError(
            f"`compression={compression}`: expected {known} with `format={name}`"
            + "".join(f", or `format={other}`" for other in others)
        )
    return made
