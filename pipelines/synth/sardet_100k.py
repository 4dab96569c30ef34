"""A miniature SARDet-100K: chips of several sizes and both formats, six classes, boxes that leave their chip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipelines.sardet_100k import CLASSES
from pipelines.synth._sea import add, hull, sea, ships_in
from sar_data import synth
from sar_data.labels.boxes import bounding_box

SIZES = ((256, 256), (128, 192), (200, 160))


def synthesise(out: Path, *, count: int, seed: int) -> None:
    """Write `count` chips to OUT/SARDet_100K/JPEGImages/SPLIT, and the annotations of the three splits."""
    top = out / "SARDet_100K"
    (top / "Annotations").mkdir(parents=True, exist_ok=True)
    categories = [{"id": i, "name": name} for i, name in enumerate(CLASSES)]
    for at, split in enumerate(("train", "val", "test")):
        part: dict[str, Any] = {"images": [], "annotations": [], "categories": categories}
        (top / "JPEGImages" / split).mkdir(parents=True, exist_ok=True)
        chosen = [i for i in range(count) if i % 5 == at or (at == 0 and i % 5 > 2)]
        for number, index in enumerate(chosen):
            random, shape = synth.generator(seed, index), SIZES[index % len(SIZES)]
            ships = ships_in(shape, int(random.integers(1, 4)), random)
            if index % 4 == 0:
                ships.append((shape[1] - 2, 40, 24, 8, 3.0))
            name = f"{number:07d}.{'png' if index % 2 else 'jpg'}"  # unique in a split alone
            pixels = sea(shape, ships, random)
            (top / "JPEGImages" / split / name).write_bytes((synth.png if index % 2 else synth.jpeg)(pixels))
            add(part, name, shape, [((index + i) % len(CLASSES), _ring(ship)) for i, ship in enumerate(ships)])
        (top / "Annotations" / f"{split}.json").write_text(json.dumps(part))


def _ring(ship: tuple[float, float, float, float, float]) -> list[float]:
    left, top, right, bottom = bounding_box(hull(ship))
    return [left, top, right, top, right, bottom, left, bottom]
