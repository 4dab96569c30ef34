"""The containers a build can have: one file a format, one line each in the registry below."""

from __future__ import annotations

from importlib import import_module

from sar_data.errors import UsageError, unknown
from sar_data.formats.container import Format

FORMATS = {
    "lmdb": "sar_data.formats.lmdb",
    "webdataset": "sar_data.formats.webdataset",
    "zarr": "sar_data.formats.zarr",
}


def check_name(name: str) -> None:
    """Raise UsageError, with those that there are, for a format that does not exist."""
    if name not in FORMATS:
        raise unknown("format", name, FORMATS)


def get(name: str, compression: str | None = None) -> Format:
    """Return a format by name; raise UsageError for one that does not exist or cannot be compressed so."""
    check_name(name)
    if compression is not None and (name, compression) != ("zarr", "zstd"):
        raise UsageError(f"`compression={compression}`: only zarr compresses, and only with zstd; {name} was asked for")
    made: Format = import_module(FORMATS[name]).make(compression)
    return made
