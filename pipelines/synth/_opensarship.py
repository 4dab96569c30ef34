"""Miniature scenes of OpenSARShip: a ship of bright points on the sea, written as MATLAB writes TIFF."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipelines.synth._matlab_tiff import write
from sar_data import synth
from sar_data.record import Image

CALIBRATION = 600.0  # a digital number of this is 0 dB
SIDES = (21, 45, 61, 33)
# Type in the file's name, its AIS codes, length and width in m.
TYPES = (
    ("Cargo", 70, 190, 32),
    ("Tanker", 84, 104, 16),
    ("Other Type", 0, 60, 12),
    ("Fishing", 30, 38, 8),
    ("Law Enforcement", 55, 77, 11),
    ("Tug", 52, 30, 10),
)
CROSS_DB = -7.5  # of a ship and of the sea below their co-polarized backscatter
# MATLAB's figure, for it is one: never read, its name says otherwise.
FIGURE = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 1200, 900, 8, 2, 0, 0, 0) + bytes(64)


class Scene(NamedTuple):
    """A product, the polarizations of its bands in their order, and the version whose habits its archive has."""

    product: str
    polarizations: tuple[str, ...]
    version: int


def scene(out: Path, product: Scene, *, count: int, seed: int) -> None:
    """Write a scene of `count` chips to the folder `out`, which is the archive's root in version 2."""
    complex_ = "_SLC_" in product.product
    ships = []
    for index in range(count):
        kind, code, length, width = TYPES[index % len(TYPES)]
        side, x, y = SIDES[index % len(SIDES)], 1600 + 137 * index, 6900 + 71 * index
        ships.append(_ship(product.version, index, (x, y), side, (kind, code, length, width)))
        chip = f"{kind}_x{x}_y{y}"
        values = _chip(synth.generator(seed, index), side, length, len(product.polarizations))
        amplitude = np.abs(values).round().clip(1).astype(np.float32)
        parts = np.stack([part for v in values for part in (v.real, v.imag)]).round().astype(np.float32)
        cal = np.square(np.abs(values) if complex_ else amplitude) / np.float32(CALIBRATION**2)
        write(out / "Patch" / f"{chip}.tif", parts if complex_ else amplitude)
        write(out / "Patch_Cal" / f"{chip}.tif", cal.astype(np.float32))
        for pol, plane in zip(product.polarizations, amplitude, strict=True):
            suffix = "" if product.version == 2 and len(product.polarizations) == 1 else f"_{pol.lower()}"
            grey = (plane / plane.max() * 255).round().astype(np.uint8)
            write(out / "Patch_Uint8" / f"Visual_{chip}{suffix}.tif", grey[None])
            figure = out / "Patch_RGB" / f"{chip}{suffix}{'.tif' if product.version == 1 else '.png'}"
            figure.parent.mkdir(parents=True, exist_ok=True)
            figure.write_bytes(FIGURE)
    end = "<\\ShipList>" if product.version == 2 and not complex_ else "</ShipList>"  # as the published lists end
    text = '<?xml version="1.0" encoding="UTF-8"?>\n<ShipList>\n' + "".join(ships) + end + "\n"
    (out / "Ship.xml").write_bytes(text.replace("\n", "\r\n" if product.version == 2 else "\n").encode())
    facts = f'<Metadata>\n  <attrib name="PRODUCT" value="{product.product}" type="41" />\n</Metadata>\n'
    (out / ("Metedata.xml" if product.version == 1 else f"{product.product}.xml")).write_text(facts)
    if product.version == 1:
        (out / "ReadMe.pdf").write_bytes(b"%PDF-1.5\n")


def _chip(random: np.random.Generator, side: int, length: int, bands: int) -> Image:
    """Return the complex digital numbers [band, y, x] of one look: sea, and a ship along the chip's diagonal."""
    db = np.full((side, side), -19.0 + random.normal(0, 1.5))
    along = np.linspace(-0.3, 0.3, max(3, length // 10)) * side
    at = (side // 2 + along).astype(int)
    db[at, at] = random.uniform(0, 14, len(at))
    power = synth.from_db(db[None] + CROSS_DB * np.arange(bands)[::-1, None, None])
    noise = random.standard_normal((2, *power.shape), np.float32)
    image: Image = (noise[0] + 1j * noise[1]) * np.sqrt(power / 2) * CALIBRATION
    return image


def _ship(version: int, index: int, centre: tuple[int, int], side: int, what: tuple[str, int, int, int]) -> str:
    """Return a <ship> with the habits of the real ones: tenths, NaN, a heading of 511, corners the wrong way round."""
    kind, code, length, width = what
    (x, y), half = centre, side // 2
    name = ("YIN HE              ", "H?EGH TRANSPORTER", "NaN")[index % 3]
    facts: dict[str, dict[str, object]] = {
        "SARShipInformation": {
            "Time_UTC": "2015/8/3.2:12:5",
            "UpperLeft_x": x + half,
            "UpperLeft_y": y + half,
            "LowerRight_x": x - half,
            "LowerRight_y": y - half,
            "Center_x": x,
            "Center_y": y,
            "Center_longitude": "1.191583e+02",
            "Center_latitude": "3.910183e+01",
            "Manual_Length": length + 8,
            "Incidence": 31.795192,
            "Elevation": "NaN" if version == 2 else 28.337695,
            "SlantRangeTime" if version == 2 else "Slant_Range_Time": 5398856.449625,
        },
        "AISShipInformation": {
            "MMSI": 413338000 + index,
            "Sog": 123,
            "Cog": "1620.00",
            "True_Head": "511.00" if index % 2 else "45.00",
            "Name": name,
            "Ship_Type": code,
            "IMO": 9397705,
            "Length": length,
            "Width": width,
            "Draught": 111,
        },
        "MarineTrafficInformation": {"Elaborated_type": kind, "Year_built": "NaN"},
    }
    if version == 2:
        facts["ChipNoise"] = {"Interference": index % 2}
    sections = (
        f"\t\t<{section}>\n"
        + "".join(f"\t\t\t<{tag}>{value}</{tag}>\n" for tag, value in tags.items())
        + f"\t\t</{section}>\n"
        for section, tags in facts.items()
    )
    return "\t<ship>\n" + "".join(sections) + "\t</ship>\n"
