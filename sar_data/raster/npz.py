"""Arrays of the npz format: a zip of npy files, stored or deflated. One of them is the image; nothing is unpickled."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

from sar_data.errors import BadRecord, Reading
from sar_data.raster import npy
from sar_data.raster.file_parts import FileParts
from sar_data.record import Image
from sar_data.spec import Tree

IMAGES = ("image", "img", "array", "pixels", "data", "x", "arr_0")
"""The usual names of an image among several arrays, the most likely first."""
MOST_BYTES = 1 << 30  # of all arrays, unpacked
FREE, BYTES_A_BYTE = 1 << 26, 250  # unpacked, of a small file and for each of its bytes: speckle hardly compresses
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def arrays(data: bytes, name: str) -> dict[str, bytes]:
    """Return the npy files in an npz by their names without suffix; raise BadRecord for another file."""
    with Reading(name, "an .npz of arrays"), zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = [member for member in archive.infolist() if member.filename.endswith(".npy")]
        if not entries:
            raise BadRecord(name, "expected arrays, found none")
        if any(member.compress_type not in METHODS for member in entries):
            raise BadRecord(name, "expected arrays that are stored or deflated, found other ones")
        room = min(MOST_BYTES, max(FREE, BYTES_A_BYTE * len(data)))
        if (need := sum(member.file_size for member in entries)) > room:
            raise BadRecord(name, f"expected arrays of at most {room:,} bytes, found {need:,}")
        members = {}
        for member in entries:
            with archive.open(member) as file:
                members[member.filename.removesuffix(".npy")] = file.read(member.file_size)
        return members


def image_of(members: Mapping[str, bytes], name: str) -> tuple[str, bytes]:
    """Return the name and the npy file of the image among arrays: the only one, or the one with a usual name."""
    folded = {member.lower(): member for member in members}
    known = next((folded[member] for member in IMAGES if member in folded), None) or (
        next(iter(members)) if len(members) == 1 else None
    )
    if known is None:
        raise BadRecord(
            name, f"expected an array called {', '.join(IMAGES[:3])}, found {', '.join(sorted(members))[:120]}"
        )
    return known, members[known]


def header(tree: Tree, path: str) -> tuple[tuple[int, int, int], str]:
    """Return ((band, y, x), dtype) of the image in a file; raise BadRecord."""
    return npy.header_of(FileParts.of(image_of(arrays(tree.read(path), path), path)[1]), path)


def read(data: bytes, name: str) -> Image:
    """Return the image [band, y, x], native-endian; bands may come first or last. Raise BadRecord."""
    return npy.read(image_of(arrays(data, name), name)[1], name)
