"""Checks zlib streams, because GDAL returns wrong pixels for some damaged ones without a word."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from sar_data.errors import BadRecord

_AT_ONCE = 1 << 20  # bytes: memory stays small whatever a stream claims to become


def check_streams(name: str, streams: Iterable[bytes]) -> None:
    """Raise BadRecord, naming `name`, unless every stream has a sound checksum and an end."""
    for block, rest in enumerate(streams):
        stream = zlib.decompressobj()
        try:
            while not stream.eof:
                grown = stream.decompress(rest, _AT_ONCE)
                rest = stream.unconsumed_tail
                if not rest and not grown and not stream.eof:
                    raise BadRecord(name, f"truncated: the zlib stream of block {block} has no end")
        except zlib.error as error:
            raise BadRecord(name, f"expected a sound zlib stream in block {block}, found: {error}") from None
