"""A miniature SSDD: bright ships at any angle on a calm sea, some at a quay, stored as often as in the release."""

from __future__ import annotations

from pathlib import Path

from pipelines.ssdd import BOXES, POLYGONS, ROTATED
from pipelines.synth._sea import Rotated, bndbox, hull, sea, ships_in, xml
from sar_data import synth
from sar_data.labels import boxes


def synthesise(out: Path, *, count: int, seed: int) -> None:
    """Write `count` images to OUT/Official-SSDD-OPEN, 000001 and on, with their three kinds of XML and lists."""
    stems: dict[str, list[str]] = {"train": [], "test": []}
    for index in range(count):
        random, stem = synth.generator(seed, index), f"{index + 1:06d}"
        shape = int(random.integers(190, 320)), int(random.integers(214, 360))
        inshore = index % 5 == 0
        ships = ships_in(shape, int(random.integers(1, 5)), random, top=40 if inshore else 0)
        picture = synth.jpeg(sea(shape, ships, random, quay=30 if inshore else 0))
        split = "test" if stem[-1] in "19" else "train"
        stems[split].append(stem)
        where = ("", f"_{split}", f"_{split}_{'inshore' if inshore else 'offshore'}")
        for root, body in ((BOXES, _box), (ROTATED, _rotate), (POLYGONS, _segment)):
            top = out / "Official-SSDD-OPEN" / root
            order = ships[::-1] if root == POLYGONS else ships  # nothing says that the files agree in order
            text = xml(stem, shape, [body(ship) for ship in order])
            for part in where if root == BOXES else ("",):
                for folder, name, data in (("JPEGImages", "jpg", picture), ("Annotations", "xml", text)):
                    (top / f"{folder}{part}").mkdir(parents=True, exist_ok=True)
                    (top / f"{folder}{part}" / f"{stem}.{name}").write_bytes(data)
    lists = out / "Official-SSDD-OPEN" / BOXES / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for split, names in stems.items():
        (lists / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))


def _box(ship: Rotated) -> str:
    return bndbox(boxes.bounding_box(hull(ship)))


def _rotate(ship: Rotated) -> str:
    names = ("cx", "cy", "w", "h", "theta")
    body = "".join(f"<rotated_bbox_{name}>{v}</rotated_bbox_{name}>" for name, v in zip(names, ship, strict=True))
    ends = "".join(
        f"<{'xy'[i % 2]}{i // 2 + 1}>{int(v)}</{'xy'[i % 2]}{i // 2 + 1}>" for i, v in enumerate(boxes.corners(ship))
    )
    return f"<rotated_bndbox>{body}{ends}</rotated_bndbox>"


def _segment(ship: Rotated) -> str:
    ring = hull(ship)
    return f"<segm>{''.join(f'<point>{x},{y}</point>' for x, y in zip(ring[::2], ring[1::2], strict=True))}</segm>"
