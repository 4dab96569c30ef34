"""A miniature SpaceNet 6: a harbour town seen by strips that fly both ways, buildings bright and at right angles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from sar_data import synth

SIDE = 900
PIXEL_M = 0.5
TILE_M = SIDE * PIXEL_M
GROUND, ROOF, WATER = 0.05, 1.5, 0.004  # power
STRIPS = ("20190804111224_20190804111453", "20190804111851_20190804112030", "20190822093113_20190822093410")
PREFIX = "SN6_Train_AOI_11_Rotterdam"


def synthesise(out: Path, *, count: int, seed: int) -> None:
    """Write `count` labelled tiles and one of test_public in the published tree, and SAR-HUB's lists to OUT/lists."""
    train, public = (out / part / "AOI_11_Rotterdam" for part in ("train", "test_public"))
    for folder in (train / "SAR-Intensity", train / "geojson_buildings", public / "SAR-Intensity"):
        folder.mkdir(parents=True, exist_ok=True)
    for root in (train, public):
        (root / "SummaryData").mkdir(exist_ok=True)
        lines = (f"{strip} {i % 2}\n" for i, strip in enumerate(STRIPS))
        (root / "SummaryData" / "SAR_orientations.txt").write_text("".join(lines))
    names = []
    for index in range(count + 1):
        strip = STRIPS[index % len(STRIPS)]
        image, features = _tile(seed, index, index % 2)
        # Tiles of a strip lie in a row; other strips see the same ground, a little shifted.
        transform = (PIXEL_M, 0.0, 595000 + index // 3 * TILE_M + index % 3 * 7, 0.0, -PIXEL_M, 5750000.0)
        data = synth.geotiff(image, epsg=32631, transform=transform, rows_per_strip=300)
        if index == count:
            name = f"SN6_Test_Public_AOI_11_Rotterdam_SAR-Intensity_{strip}_tile_{index}.tif"
            (public / "SAR-Intensity" / name).write_bytes(data)
            continue
        names.append(f"{PREFIX}_SAR-Intensity_{strip}_tile_{index}")
        (train / "SAR-Intensity" / f"{names[-1]}.tif").write_bytes(data)
        text = json.dumps(_collection(features, transform))
        (train / "geojson_buildings" / f"{PREFIX}_Buildings_{strip}_tile_{index}.geojson").write_text(text)
    (out / "lists").mkdir(exist_ok=True)
    cut = max(1, count * 7 // 10)
    for part, listed in (("train", names[:cut]), ("test", names[cut:])):
        (out / "lists" / f"SN6_{part}.txt").write_text("".join(f"{name}\n" for name in listed))


def _tile(seed: int, index: int, side: int) -> tuple[np.ndarray[Any, np.dtype[np.float32]], list[list[list[int]]]]:
    """Return log intensity [4, y, x], zero in a wedge on one side, and the buildings' rings in pixels."""
    random = synth.generator(seed, index)
    winners, _ = synth.mosaic(random.standard_normal((2, 4, 4), np.float32), SIDE)
    power = np.where(winners == 0, GROUND, WATER).astype(np.float32)
    rings: list[list[list[int]]] = []
    for _ in range(8):
        x, y, width, height = (int(v) for v in random.integers((60, 20, 30, 30), (760, 780, 120, 90)))
        power[y : y + height, x : x + width] = ROOF
        outer = [[x, y], [x + width, y], [x + width, y + height], [x, y + height]]
        rings.append(outer)
    # Cross-polarized channels are 8 dB weaker; ground scatters less across than roofs do.
    planes = [synth.speckle(power * gain, 1.0, random) for gain in (1.0, 0.16, 0.16, 0.9)]
    image = np.stack(planes) + np.float32(40)  # the published scale is positive
    wedge = np.add.outer(np.arange(SIDE), (1 - 2 * side) * np.arange(SIDE) * 9) < (120 if side == 0 else 120 - 9 * SIDE)
    image[:, wedge] = 0
    return image, rings


def _collection(rings: list[list[list[int]]], transform: synth.Transform) -> dict[str, Any]:
    """Return the buildings in map coordinates, the first one with a yard, the last one in two parts."""
    a, _, west, _, e, north = transform

    def place(points: list[list[int]]) -> list[list[float]]:
        return [[west + a * x, north + e * y, 0.0] for x, y in [*points, points[0]]]

    features = []
    for i, ring in enumerate(rings):
        (x, y), (right, bottom) = ring[0], ring[2]
        yard = [[x + 8, y + 8], [x + 16, y + 8], [x + 16, y + 16], [x + 8, y + 16]]
        polygon = [place(ring), place(yard)] if i == 0 else [place(ring)]
        annex = [place([[right + 2, bottom - 9], [right + 9, bottom - 9], [right + 9, bottom - 2]])]
        several = i == len(rings) - 1
        geometry = {
            "type": "MultiPolygon" if several else "Polygon",
            "coordinates": [polygon, annex] if several else polygon,
        }
        features.append({"type": "Feature", "properties": {"TileBuildingId": i}, "geometry": geometry})
    features.append({"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": []}})
    return {"type": "FeatureCollection", "features": features}
