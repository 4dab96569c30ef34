"""A miniature of both AIR-SARShip releases: 16-bit TIFFs, and XML of two schemas."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipelines.synth._sea import Rotated, annotate, hull, sea, ships_in
from sar_data import synth
from sar_data.labels import boxes

SIDE = 1000


def synthesise(out: Path, *, count: int, seed: int) -> None:
    """Write `count` images of about 300 pixels as 1.0, and a third as many of 1000x1000, in nested folders, as 2.0."""
    for index in range(count):
        random = synth.generator(seed, 1, index)
        shape = int(random.integers(280, 330)), int(random.integers(280, 330))
        _write(out, "1.0", str(index + 1), shape, random)
    for index in range(-(-count // 3)):
        _write(out, "2.0", str(index + 1), (SIDE, SIDE), synth.generator(seed, 2, index))


def _write(out: Path, version: str, stem: str, shape: tuple[int, int], random: np.random.Generator) -> None:
    ships = ships_in(shape, int(random.integers(1, 4)), random)
    pixels = sea(shape, ships, random).astype(np.uint16) * 64
    for part, ending, data in (
        ("data", "tiff", synth.geotiff(pixels[None], epsg=None, transform=None, rows_per_strip=64)),
        (
            "xml",
            "xml",
            _points(ships, shape)
            if version == "2.0"
            else annotate(stem, shape, [boxes.bounding_box(hull(ship)) for ship in ships]),
        ),
    ):
        folder = out / f"AIR-SARShip-{version}-{part}"
        folder = folder / folder.name if version == "2.0" else folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{stem}.{ending}").write_bytes(data)


def _points(ships: list[Rotated], shape: tuple[int, int]) -> bytes:
    """Return the XML of 2.0: upright rectangles, every second one turned, the first point once more at the end."""
    things = ""
    for i, ship in enumerate(ships):
        left, top, right, bottom = boxes.bounding_box(hull(ship))
        ring = boxes.corners(ship) if i % 2 else (left, top, right, top, right, bottom, left, bottom)
        points = "".join(f"<point>{x:.6f},{y:.6f}</point>" for x, y in np.reshape((*ring, *ring[:2]), (-1, 2)))
        things += f"<object><possibleresult><name>ship</name></possibleresult><points>{points}</points></object>"
    size = f"<size><width>{shape[1]}</width><height>{shape[0]}</height><depth>1</depth></size>"
    return (
        f"<?xml version='1.0' encoding='utf-8'?>\n<annotation>{size}<objects>{things}</objects></annotation>".encode()
    )
