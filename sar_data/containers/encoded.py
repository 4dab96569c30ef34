"""Images that are the bytes of a file inside a container: npy, npz, GeoTIFF, PNG or JPEG, by their first bytes."""

from __future__ import annotations

from dataclasses import dataclass

from sar_data.containers.entry import Head, Labels
from sar_data.errors import BadRecord
from sar_data.raster import any_format, tiff
from sar_data.record import Sample

MAGIC = {
    b"\x93NUMPY": ".npy",
    b"PK": ".npz",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
    b"\x89PNG": ".png",
    b"\xff\xd8\xff": ".jpg",
}
SHOWN = 12


@dataclass(frozen=True, eq=False)
class _OneFile:
    """A tree of one file, whose bytes are in memory."""

    data: bytes

    def folders(self, path: str = "") -> list[str]:  # noqa: ARG002 -- a tree has this
        return []

    def files(self, path: str = "") -> list[str]:  # noqa: ARG002
        return []

    def size(self, path: str) -> int:  # noqa: ARG002
        return len(self.data)

    def read(self, path: str) -> bytes:  # noqa: ARG002
        return self.data

    def head(self, path: str, size: int) -> bytes:  # noqa: ARG002
        return self.data[:size]

    def pread(self, path: str, offset: int, size: int) -> bytes:  # noqa: ARG002
        return self.data[offset : offset + size]


def suffix_of(data: bytes, where: str) -> str:
    """Return the suffix of a file by its first bytes; raise BadRecord for one of no known kind."""
    suffix = next((suffix for magic, suffix in MAGIC.items() if data.startswith(magic)), None)
    if suffix is None:
        kinds = ", ".join(dict.fromkeys(MAGIC.values()))
        raise BadRecord(where, f"expected an image ({kinds}), found bytes that begin with {data[:SHOWN]!r}")
    return suffix


def head_of(data: bytes, where: str, labels: Labels = None) -> Head:
    """Return the head of an image in memory, with its georeference; raise BadRecord."""
    name = f"{where}{suffix_of(data, where)}"
    shape, dtype = any_format.header(_OneFile(data), name)
    crs, transform = tiff.georeference_of(data) if any_format.is_tiff(name) else (None, None)
    return Head(shape=shape, dtype=dtype, axes="byx", labels=labels, crs=crs, transform=transform)


def read(data: bytes, where: str) -> Sample:
    """Return the image [band, y, x] of a file in memory; raise BadRecord."""
    return any_format.read(data, f"{where}{suffix_of(data, where)}")
