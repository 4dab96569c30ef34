"""A miniature Sen1Floods11: labels by hand and computed ones, missing pixels, Bolivia, lists of no heading."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.synth import _floods
from sar_data import synth

LOOKS, SIDE, DEGREES = 4.4, 512, 8.983152841195215e-05  # looks of IW GRDH; pixels of a chip, and degrees of one
EVENTS = ("Ghana", "Bolivia", "Mekong", "Spain", "USA", "Sri-Lanka")
LISTS = ("train", "train", "valid", "test")


def synthesise(out: Path, *, count: int, seed: int) -> None:
    """Write `count` chips below OUT/v1.1, a third of them weakly labelled, and the lists of the others."""
    lists: dict[str, list[str]] = defaultdict(list)
    for index in range(count):
        weak, turn = index % 3 == 2, index // 3 if index % 3 == 2 else index - index // 3
        event = EVENTS[turn % len(EVENTS)]
        name, how = f"{event}_{1000 * weak + 100 + index}", "Weak" if weak else "Hand"
        image, water = _chip(seed, index)
        layers: dict[str, npt.NDArray[Any]] = {f"S1{how}": image}
        if weak:
            layers |= {"S2IndexLabelWeak": water, "S1OtsuLabelWeak": np.where(water < 0, 0, image[1:] < -22)}
        else:
            layers |= {"LabelHand": water}
            listed = "bolivia" if event == "Bolivia" else LISTS[turn % len(LISTS)]
            lists[listed].append(f"{name}_S1Hand.tif,{name}_LabelHand.tif\n")
        place = (20.0 * (turn % len(EVENTS)) + SIDE * DEGREES * (turn // len(EVENTS)) + weak, 10.0)
        transform = (DEGREES, 0.0, place[0], 0.0, -DEGREES, place[1])
        folder = out / "v1.1/data/flood_events" / ("WeaklyLabeled" if weak else "HandLabeled")
        for layer, pixels in layers.items():
            path = (
                out
                / "v1.1/data/flood_events"
                / ("WeaklyLabeled" if weak else "HandLabeled")
                / layer
                / f"{name}_{layer}.tif"
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            kind = np.float32 if layer.startswith("S1H") or layer == "S1Weak" else np.int16
            data = synth.geotiff(pixels.astype(kind), epsg=4326, transform=transform, rows_per_strip=64, planar=True)
            path.write_bytes(data)
    folder = out / "v1.1/splits/flood_handlabeled"
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "valid", "test", "bolivia"):
        (folder / f"flood_{part}_data.csv").write_text("".join(lists[part]))


def _chip(seed: int, index: int) -> tuple[synth.Floats, npt.NDArray[np.int16]]:
    """Return VV and VH in dB after a flood, and 1 where there is water; a corner was not seen, and has no value."""
    random = synth.generator(seed, index)
    _, power, state = _floods.flood(random, SIDE)
    image, water = synth.speckle(power, LOOKS, random), (state[None] != _floods.LAND).astype(np.int16)
    image[:, :40, :50], water[:, :40, :50] = np.nan, -1
    return image, water
