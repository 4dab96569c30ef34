"""Check compressed streams to their end, because GDAL returns wrong pixels for some damaged ones without an error."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from sar_data.errors import BadRecord

_CHUNK = 1 << 20  # bytes: memory stays small for any stream


def check_deflated(name: str, streams: Iterable[bytes], need: Iterable[int]) -> None:
    """Raise BadRecord unless every zlib stream has a valid checksum, an end, and the bytes it needs."""
    for block, (remaining, min_size) in enumerate(zip(streams, need, strict=False)):
        stream, size = zlib.decompressobj(), 0
        try:
            while not stream.eof:
                decompressed = stream.decompress(remaining, _CHUNK)
                size += len(decompressed)
                remaining = stream.unconsumed_tail
                if not remaining and not decompressed and not stream.eof:
                    raise BadRecord(name, f"truncated: the zlib stream of block {block} has no end")
        except zlib.error as error:
            raise BadRecord(name, f"expected a sound zlib stream in block {block}, found: {error}") from None
        if size < min_size:
            raise BadRecord(name, f"truncated: expected {min_size:,} bytes in block {block}, found {size:,}")


def check_jpegs(name: str, streams: Iterable[bytes], tables: bytes) -> None:
    """Raise BadRecord, naming `name`, unless each JPEG of a TIFF, which keeps its common `tables` apart, is whole."""
    from sar_data.raster.gdal import decode

    for stream in streams:
        # Tables stand between a start and an end of their own, of two bytes each.
        decode(tables[:-2] + stream[2:] if tables else stream, name, "JPEG")
