"""A miniature FUSAR-Ship: ships in the middle of dark water, in categories and kinds, with clutter beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipelines.fusar_ship import LISTS
from sar_data import synth
from sar_data.record import Image

SIDE = 512
# Category and code, subcategory and code, length in m; the wake of none is seen.
KINDS = (
    ("Cargo", 1, "AggregatesCarrier", 1, 120),
    ("Cargo", 1, "Bulk Carrier", 7, 200),
    ("Dredger", 3, "Hopper", 2, 90),
    ("Fishing", 4, "Trawler", 3, 40),
    ("Passenger", 8, "Passenger", 1, 140),
    ("Tanker", 12, "OilTanker", 13, 180),
    ("Tug", 13, "Tug", 1, 35),
    ("LawEnforce", 6, "PatrolVessel", 1, 60),
)
SIX = {"Cargo": 0, "Dredger": 1, "Fishing": 2, "Passenger": 3, "Tanker": 4, "Tug": 5}  # of the published lists
NO_SHIP = ("Bridge", "SeaClutter")  # the real names are not documented
PIXEL_M = (1.124222, 1.702183)  # across and along, as the ReadMe's example has them


def synthesise(out: Path, *, count: int, seed: int) -> None:
    """Write `count` chips of ships and two without, meta.csv beside them, and SAR-HUB's lists to OUT/lists."""
    rows = ["id\tmmsi\tlength\twidth\tpolarMode\tcenterLookAngle\theightspace\twidthspace\tpath"]
    lists: tuple[list[str], list[str]] = ([], [])
    for index in range(count):
        category, code, kind, subcode, length = KINDS[index % len(KINDS)]
        stem = f"Ship_C{code:02}S{subcode:02}N{index + 1:04}"
        _write(out / category / kind / f"{stem}.tiff", _chip(seed, index, length))
        mmsi = "NaN" if index == 3 else str(413_000_000 + index // 2)  # every ship is seen twice, one is not known
        rows.append(
            f"{stem}\t{mmsi}\t{length}\t{length // 7}\t{'DH' if index % 3 else 'DV'}\t31.7\t{PIXEL_M[1]}\t"
            f"{PIXEL_M[0]}\t{category}\\{kind}"
        )
        if category in SIX:
            lists[index // len(KINDS) % 2].append(
                f"/DATA/FUSAR_Ship/data_npy/data1/{category}/{stem}.npy {SIX[category]}"
            )
    for index, folder in enumerate(NO_SHIP):
        _write(out / folder / f"{folder}_{index + 1}.tiff", _chip(seed, count + index, 0))
    (out / "meta.csv").write_bytes("\r\n".join(rows).encode())
    (out / "lists").mkdir(parents=True, exist_ok=True)
    for name, lines in zip(LISTS, lists, strict=True):
        (out / "lists" / name).write_text("\n".join(lines))


def _chip(seed: int, index: int, length: int) -> Image:
    """Return a stretched picture [1, y, x] of one look: sea, and a ship across the middle at some angle."""
    random = synth.generator(seed, index)
    db = np.full((SIDE, SIDE), -22.0 + random.normal(0, 1), np.float32)
    angle, half = random.uniform(0, np.pi), length / 2
    x, y = ((np.arange(SIDE) - SIDE / 2) * pixel for pixel in PIXEL_M)
    along = x * np.cos(angle) + y[:, None] * np.sin(angle)
    across = y[:, None] * np.cos(angle) - x * np.sin(angle)
    db[(np.abs(along) < half) & (np.abs(across) < half / 7)] = -2.0 + random.normal(0, 1)
    power = synth.from_db(synth.speckle(synth.from_db(db), 1.0, random))
    amplitude = np.sqrt(power)
    return (np.clip(amplitude / 1.2, 0, 1) * 255).astype(np.uint8)[None]


def _write(path: Path, image: Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(synth.geotiff(image, epsg=None, transform=None, rows_per_strip=16))
