"""Phoenix files of the Air Force Research Laboratory: a header of text, then all magnitudes, then all phases.

The file begins with [PhoenixHeaderVer01.04] (or 01.05), after a blank line in some; lines `key= value` follow up to
[EndofPhoenixHeader]. A native header of the radar may come next. Chips hold big-endian float32, magnitude and phase in
radians; whole scenes big-endian uint16, whose magnitude is brought to the scale of the chips by
SensorCalibrationFactor / 65536. What unit their phase has is not documented, so it is left alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sar_data.errors import BadRecord
from sar_data.record import Image

HEAD_BYTES = 4096  # the headers of the public files end well before
_BEGIN = re.compile(rb"\[PhoenixHeaderVer[\d.]+\]")
_END = re.compile(rb"\[EndofPhoenixHeader\][ \t]*\r?\n?")
_LINE = re.compile(r"\s*([A-Za-z]\w*)\s*=\s*(.*?)\s*")
MAX_FACTOR = 1e12  # beyond any calibration, and far from what a float32 holds
_STEPS = 65536  # of a scene's magnitude


@dataclass(frozen=True, slots=True)
class Header:
    """The lines of a header, and the pixels: (rows, columns) from byte `start` on, `dtype` big-endian."""

    fields: Mapping[str, str]
    shape: tuple[int, int]
    start: int
    dtype: str


def begins(head: bytes) -> bool:
    """Say whether the first bytes of a file are those of a Phoenix file."""
    begin = _BEGIN.search(head)
    return begin is not None and not head[: begin.start()].strip()


def header(head: bytes, size: int, name: str) -> Header:
    """Return the header of a file of `size` bytes, from its first ones; raise BadRecord, naming `name`.

    Where the declared length of a header and its end mark differ, the size of the file decides.
    """
    if not begins(head):
        raise BadRecord(name, f"expected a Phoenix file, found {head[:40]!r}")
    begin = head.index(b"]") + 1
    end = _END.search(head, begin)
    if end is None:
        raise BadRecord(name, f"expected [EndofPhoenixHeader] in the first {HEAD_BYTES} bytes, found none: truncated?")
    text = head[begin : end.start()].decode("latin-1")
    fields = {match[1]: match[2] for line in text.splitlines() if (match := _LINE.fullmatch(line))}
    rows, columns = (_count(fields, key, name) for key in ("NumberOfRows", "NumberOfColumns"))
    native = _count(fields, "native_header_length", name) if "native_header_length" in fields else 0
    starts = {end.end() + native}
    if "PhoenixHeaderLength" in fields:
        starts.add(_count(fields, "PhoenixHeaderLength", name) + native)
    for dtype in (">f4", ">u2"):
        start = size - 2 * rows * columns * np.dtype(dtype).itemsize
        if start in starts and rows and columns:
            return Header(fields, (rows, columns), start, dtype)
    raise BadRecord(
        name,
        f"expected magnitude and phase of {rows}x{columns} float32 or uint16 from byte {min(starts):,} on, "
        f"found a file of {size:,} bytes: truncated, or another format",
    )


def read(data: bytes, name: str) -> tuple[Header, Image]:
    """Return the header and float32 pixels: [magnitude and phase, y, x] of a chip, [magnitude, y, x] of a scene."""
    parsed = header(data[:HEAD_BYTES], len(data), name)
    rows, columns = parsed.shape
    stored = np.frombuffer(data, parsed.dtype, offset=parsed.start).reshape(2, rows, columns)
    if parsed.dtype == ">f4":
        return parsed, stored.astype(np.float32)
    try:
        factor = float(parsed.fields["SensorCalibrationFactor"])
    except (KeyError, ValueError):
        factor = math.nan
    if not 0 < factor <= MAX_FACTOR:
        shown = repr(parsed.fields.get("SensorCalibrationFactor"))[:60]
        raise BadRecord(name, f"expected a number SensorCalibrationFactor above 0 in a scene's header, found {shown}")
    return parsed, (stored[:1] * (factor / _STEPS)).astype(np.float32)


def _count(fields: Mapping[str, str], key: str, name: str) -> int:
    try:
        value = int(fields.get(key, ""))
    except ValueError:
        value = -1
    if value < 0:
        raise BadRecord(name, f"expected a whole number {key} in the header, found {fields.get(key)!r:.60}")
    return value
