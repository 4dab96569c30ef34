"""A miniature HRSID: overlapping windows of few scenes, ships as polygons, and annotation files that disagree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipelines.synth._sea import add, hull, sea, ships_in
from sar_data import synth

SIDE = 800


def synthesise(out: Path, *, count: int, seed: int) -> None:
    """Write `count` windows to OUT/HRSID_JPG/HRSID_JPG, every fifth of P0137, with annotations, joint and by place."""
    top = out / "HRSID_JPG" / "HRSID_JPG"
    for folder in ("JPEGImages", "annotations", "inshore_offshore"):
        (top / folder).mkdir(parents=True, exist_ok=True)
    parts: dict[str, dict[str, Any]] = {
        name: {"images": [], "annotations": [], "categories": [{"supercategory": "ship", "id": 1, "name": "ship"}]}
        for name in ("train2017", "test2017", "train_test2017", "inshore", "offshore")
    }
    for index in range(count):
        random = synth.generator(seed, index)
        row, column = 600 * (index % 3), 600 * (index % 2)
        name = f"P{index // 5 + 1:04d}_{row}_{row + SIDE}_{column}_{column + SIDE}.jpg"
        name = f"P0137_{index}.jpg" if index % 5 == 4 else name
        ships, inshore = ships_in((SIDE, SIDE), int(random.integers(0, 4)), random, top=40), index % 5 == 1
        picture = sea((SIDE, SIDE), ships, random, quay=30 if inshore else 0)
        (top / "JPEGImages" / name).write_bytes(synth.jpeg(picture))
        split = "test2017" if index % 3 == 2 else "train2017"
        # The file of all images is not the sum of the others.
        joint = () if index == 0 else ("train_test2017",)
        for part in (split, *joint, "inshore" if inshore else "offshore"):
            add(parts[part], name, (SIDE, SIDE), [(1, [float(v) for v in hull(ship)]) for ship in ships])
    (top / "JPEGImages" / "P0099_0_800_0_800.jpg").write_bytes(synth.jpeg(picture))  # pure background, in no file
    for name, part in parts.items():
        folder = "annotations" if name.endswith("2017") else "inshore_offshore"
        (top / folder / f"{name}.json").write_text(json.dumps(part))
