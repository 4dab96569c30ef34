"""A miniature SAR-Ship-Dataset: flat chips of one or three channels, boxes that leave them, and twins in bytes."""

from __future__ import annotations

from pathlib import Path

from pipelines.synth._sea import Rotated, hull, sea, ships_in
from sar_data import synth
from sar_data.labels import boxes

SIDE = 256
FORMS = ("Gao_ship_hh_02016{:012d}", "Sen_ship_vv_02016{:012d}", "newship{:06d}", "ship{:06d}")


def synthesise(out: Path, *, count: int, seed: int) -> None:
    """Write `count` chips to OUT/ship_dataset_v0; every tenth is its neighbour once more under another name."""
    top = out / "ship_dataset_v0"
    top.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        stem = FORMS[index % len(FORMS)].format(index)
        origin = index - 1 if index % 10 == 9 else index
        random = synth.generator(seed, origin)
        ships = ships_in((SIDE, SIDE), int(random.integers(1, 4)), random)
        if origin % 5 == 2:  # one at the border: its box is drawn as if the image went on
            ships.append((254, 12, 24, 8, 3.0))
        picture = sea((SIDE, SIDE), ships, random)
        (top / f"{stem}.jpg").write_bytes(synth.jpeg(picture, channels=3 if origin % 3 else 1))
        (top / f"{stem}.txt").write_text("".join(map(_line, ships)))


def _line(ship: Rotated) -> str:
    left, top, right, bottom = boxes.bounding_box([v / SIDE for v in hull(ship)])
    return f"0 {(left + right) / 2:.6f} {(top + bottom) / 2:.6f} {right - left:.6f} {bottom - top:.6f}\n"
