"""A sea with ships, as miniatures of detection sets need it, and the annotations of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sar_data.labels import boxes
from sar_data.synth import from_db, speckle

SEA_DB, LAND_DB, SHIP_DB, LOOKS = -21.0, -8.0, 4.0, 3.0
Rotated = tuple[float, float, float, float, float]


def ships_in(shape: tuple[int, int], number: int, random: np.random.Generator, *, top: int = 0) -> list[Rotated]:
    """Return ships apart from each other, whole in the image, below the row `top`."""
    ships: list[Rotated] = []
    while len(ships) < number:
        length, degrees = random.uniform(14, 40), random.uniform(1, 90)
        x, y = random.uniform(22, shape[1] - 22), random.uniform(top + 22, shape[0] - 22)
        if all(np.hypot(x - other[0], y - other[1]) > 44 for other in ships):
            ships.append((round(x), round(y), round(length), round(length * 0.3) + 2, degrees))
        elif random.random() < 0.02:
            break
    return ships


def sea(
    shape: tuple[int, int], ships: list[Rotated], random: np.random.Generator, *, quay: int = 0
) -> npt.NDArray[np.uint8]:
    """Return a stretched 8-bit image: sea, land in the first `quay` rows, hulls as bright ellipses, all speckled."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    level = np.where(y < quay, LAND_DB, SEA_DB).astype(np.float32)
    for cx, cy, length, width, degrees in ships:
        cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        along, across = (x - cx) * cos + (y - cy) * sin, (y - cy) * cos - (x - cx) * sin
        level = np.where((2 * along / length) ** 2 + (2 * across / width) ** 2 < 1, SHIP_DB, level)
    db = speckle(from_db(level), LOOKS, random)
    return np.clip((db + 30) * 6, 0, 255).astype(np.uint8)


def hull(ship: Rotated) -> list[int]:
    """Return the points of a hull: eight of its ellipse."""
    x, y, length, width, degrees = ship
    turn, angles = np.radians(degrees), np.arange(8) * np.pi / 4
    along, across = length / 2 * np.cos(angles), width / 2 * np.sin(angles)
    points = np.stack(
        [x + along * np.cos(turn) - across * np.sin(turn), y + along * np.sin(turn) + across * np.cos(turn)]
    )
    return [int(v) for v in points.T.ravel().round()]


def add(part: dict[str, Any], name: str, shape: tuple[int, int], things: list[tuple[int, list[float]]]) -> None:
    """Add an image and its (category, polygon) to a COCO document."""
    image, (height, width) = len(part["images"]), shape
    part["images"].append({"file_name": name, "height": height, "width": width, "id": image})
    for category, ring in things:
        left, top, right, bottom = boxes.bounding_box(ring)
        part["annotations"].append(
            {
                "id": len(part["annotations"]),
                "image_id": image,
                "category_id": category,
                "iscrowd": 0,
                "bbox": [left, top, right - left, bottom - top],
                "area": (right - left) * (bottom - top),
                "segmentation": [ring],
            }
        )


def annotate(stem: str, shape: tuple[int, int], drawn: list[boxes.Box]) -> bytes:
    """Return the VOC annotation of an image with boxes alone."""
    return xml(stem, shape, [bndbox(box) for box in drawn])


def bndbox(box: boxes.Box) -> str:
    """Return a box as VOC writes it."""
    edges = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    return f"<bndbox>{''.join(f'<{tag}>{int(v)}</{tag}>' for tag, v in edges)}</bndbox>"


def xml(stem: str, shape: tuple[int, int], bodies: list[str]) -> bytes:
    """Return the VOC annotation of an image whose objects have these bodies."""
    head = "<pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult>"
    things = "".join(f"\n\t<object>\n\t\t<name>ship</name>{head}{body}\n\t</object>" for body in bodies)
    size = f"<size><width>{shape[1]}</width><height>{shape[0]}</height><depth>3</depth></size>"
    text = f"<annotation>\n\t<folder>JPEGImages</folder><filename>{stem}.jpg</filename>{size}{things}\n</annotation>"
    return text.encode()
