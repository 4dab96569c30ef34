"""A miniature SSDD: bright ships at any angle on a calm sea, some at a quay, stored as often as in the release."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipelines.ssdd import BOXES, POLYGONS, ROTATED
from sar_data import synth
from sar_data.labels import boxes

SEA_DB, LAND_DB, SHIP_DB, LOOKS = -21.0, -8.0, 4.0, 3.0
Rotated = tuple[float, float, float, float, float]


def synthesise(out: Path, *, count: int, seed: int) -> None:
    """Write `count` images to OUT/Official-SSDD-OPEN, 000001 and on, with their three kinds of XML and lists."""
    stems: dict[str, list[str]] = {"train": [], "test": []}
    for index in range(count):
        random, stem = synth.generator(seed, index), f"{index + 1:06d}"
        shape = int(random.integers(190, 320)), int(random.integers(214, 360))
        inshore = index % 5 == 0
        ships = ships_in(shape, int(random.integers(1, 5)), random, top=40 if inshore else 0)
        picture = synth.jpeg(scene(shape, ships, random, quay=30 if inshore else 0))
        split = "test" if stem[-1] in "19" else "train"
        stems[split].append(stem)
        where = ("", f"_{split}", f"_{split}_{'inshore' if inshore else 'offshore'}")
        for root, body in ((BOXES, _box), (ROTATED, _rotated), (POLYGONS, _segment)):
            top = out / "Official-SSDD-OPEN" / root
            order = ships[::-1] if root == POLYGONS else ships  # nothing says that the files agree in order
            xml = _xml(stem, shape, [body(ship) for ship in order])
            for part in where if root == BOXES else ("",):
                for folder, name, data in (("JPEGImages", "jpg", picture), ("Annotations", "xml", xml)):
                    (top / f"{folder}{part}").mkdir(parents=True, exist_ok=True)
                    (top / f"{folder}{part}" / f"{stem}.{name}").write_bytes(data)
    lists = out / "Official-SSDD-OPEN" / BOXES / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for split, names in stems.items():
        (lists / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))


def ships_in(shape: tuple[int, int], number: int, random: np.random.Generator, *, top: int = 0) -> list[Rotated]:
    """Return ships apart from each other, whole in the image, below the row `top`."""
    found: list[Rotated] = []
    while len(found) < number:
        length, degrees = random.uniform(14, 40), random.uniform(1, 90)
        x, y = random.uniform(22, shape[1] - 22), random.uniform(top + 22, shape[0] - 22)
        if all(np.hypot(x - other[0], y - other[1]) > 44 for other in found):
            found.append((round(x), round(y), round(length), round(length * 0.3) + 2, degrees))
        elif random.random() < 0.02:
            break
    return found


def scene(
    shape: tuple[int, int], ships: list[Rotated], random: np.random.Generator, *, quay: int = 0
) -> npt.NDArray[np.uint8]:
    """Return a stretched 8-bit image: sea, land in the first `quay` rows, hulls as bright ellipses, all speckled."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    level = np.where(y < quay, LAND_DB, SEA_DB)
    for cx, cy, length, width, degrees in ships:
        cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        along, across = (x - cx) * cos + (y - cy) * sin, (y - cy) * cos - (x - cx) * sin
        level = np.where((2 * along / length) ** 2 + (2 * across / width) ** 2 < 1, SHIP_DB, level)
    db = synth.speckle(synth.from_db(level), LOOKS, random)
    return np.clip((db + 30) * 6, 0, 255).astype(np.uint8)


def _hull(ship: Rotated) -> list[int]:
    """Return the points of a hull: eight of its ellipse."""
    x, y, length, width, degrees = ship
    turn, angles = np.radians(degrees), np.arange(8) * np.pi / 4
    along, across = length / 2 * np.cos(angles), width / 2 * np.sin(angles)
    points = np.stack(
        [x + along * np.cos(turn) - across * np.sin(turn), y + along * np.sin(turn) + across * np.cos(turn)]
    )
    return [int(v) for v in points.T.ravel().round()]


def _box(ship: Rotated) -> str:
    edges = zip(("xmin", "ymin", "xmax", "ymax"), boxes.around(_hull(ship)), strict=True)
    return f"<bndbox>{''.join(f'<{tag}>{int(v)}</{tag}>' for tag, v in edges)}</bndbox>"


def _rotated(ship: Rotated) -> str:
    names = ("cx", "cy", "w", "h", "theta")
    body = "".join(f"<rotated_bbox_{name}>{v}</rotated_bbox_{name}>" for name, v in zip(names, ship, strict=True))
    ends = "".join(f"<{'xy'[i % 2]}{i // 2 + 1}>{int(v)}</{'xy'[i % 2]}{i // 2 + 1}>"
                   for i, v in enumerate(boxes.corners(ship)))  # fmt: skip
    return f"<rotated_bndbox>{body}{ends}</rotated_bndbox>"


def _segment(ship: Rotated) -> str:
    ring = _hull(ship)
    return f"<segm>{''.join(f'<point>{x},{y}</point>' for x, y in zip(ring[::2], ring[1::2], strict=True))}</segm>"


def _xml(stem: str, shape: tuple[int, int], bodies: list[str]) -> bytes:
    head = "<pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult>"
    things = "".join(f"\n\t<object>\n\t\t<name>ship</name>{head}{body}\n\t</object>" for body in bodies)
    size = f"<size><width>{shape[1]}</width><height>{shape[0]}</height><depth>3</depth></size>"
    text = f"<annotation>\n\t<folder>JPEGImages</folder><filename>{stem}.jpg</filename>{size}{things}\n</annotation>"
    return text.encode()
