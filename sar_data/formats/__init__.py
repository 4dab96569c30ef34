"""The containers that a build can have: each format is one file and one line in the registry below.

An installed package can add its own format by an entry point of the group `sar_data.formats`: name = "module".
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
def _find_installed() -> dict[str, str]:
    return {point.name: point.value for point in entry_points(group="sar_data.formats")}


def names() -> list[str]:
    """Return the names of all formats."""
    return list(dict.fromkeys([*FORMATS, *_find_installed()]))


def compressions() -> list[str]:
    """Return "none" and the compressions of all formats."""
    return list(dict.fromkeys(option or "none" for name in names() for option in get(name).compressions))


def module(name: str) -> str | None:
    """Return the module of a format, None where there is no such format; packages are searched for other names only."""
    return FORMATS.get(name) or _find_installed().get(name)


def check_name(name: str) -> None:
    """Raise UsageError, which lists the formats, for a format that does not exist."""
    if module(name) is None:
        raise unknown("format", name, names())


def get(name: str, compression: str | None = None) -> Format:
    """Return a format by name; raise UsageError where it does not exist or does not have this compression."""
    check_name(name)
    container: Format = import_module(module(name) or "").make(compression)
    if compression not in container.compressions:
        known = " or ".join(option or "none" for option in container.compressions)
        others = [other for other in names() if other != name and compression in get(other).compressions]
        raise UsageError(
            f"`compression={compression}`: expected {known} with `format={name}`"
            + "".join(f", or `format={other}`" for other in others)
        )
    return container
