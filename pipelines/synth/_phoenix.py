"""A chip of a vehicle on grass, and the Phoenix file that holds it."""

from __future__ import annotations

import numpy as np

from sar_data import synth
from sar_data.record import Image


def chip(random: np.random.Generator, height: int, width: int) -> tuple[synth.Floats, synth.Floats]:
    """Return magnitude and phase [y, x] of one look: grass, a vehicle of bright points, its shadow above it."""
    db = np.full((height, width), -14.0)
    y, x = height // 2, width // 2
    db[y - 34 : y - 6, x - 12 : x + 12] = -28.0
    db[y - 6 : y + 6, x - 12 : x + 12] = 2.0
    db[y + random.integers(-6, 6, 9), x + random.integers(-12, 12, 9)] = 14.0
    noise = random.standard_normal((2, height, width))
    values = (noise[0] + 1j * noise[1]) * np.sqrt(synth.from_db(db) / 2)
    return np.abs(values).astype(np.float32), np.angle(values).astype(np.float32)


def phoenix(planes: Image, facts: dict[str, str], *, dtype: str, odd_line: bool) -> bytes:
    """Return a Phoenix file of [magnitude and phase, y, x]; `odd_line` puts a blank line first, as some have it."""
    _, height, width = planes.shape
    pixels = np.ascontiguousarray(planes.astype(dtype)).tobytes()
    lines = {
        "PhoenixHeaderLength": "00000",
        "PhoenixSigSize": "0000000",
        "native_header_length": "0",
        "NumberOfColumns": str(width),
        "NumberOfRows": str(height),
        **facts,
    }
    text = "\n" * odd_line + "[PhoenixHeaderVer01.04]\n" + "".join(f"{key}= {value}\n" for key, value in lines.items())
    text += "[EndofPhoenixHeader]\n"
    text = text.replace("HeaderLength= 00000", f"HeaderLength= {len(text):05}")
    text = text.replace("SigSize= 0000000", f"SigSize= {len(text) + len(pixels):07}")
    return text.encode("ascii") + pixels
