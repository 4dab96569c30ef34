"""A miniature RSDD-SAR: ships at any angle, each a rotated box by its longer side, in parts of several scenes."""

from __future__ import annotations

import math
from pathlib import Path

from pipelines.rsdd_sar import SIDE
from pipelines.synth._sea import Rotated, sea, ships_in
from sar_data import synth


def synthesise(out: Path, *, count: int, seed: int) -> None:
    """Write `count` images of several scenes to OUT/RSDD-SAR, two of seven as test, and a whole scene beside them."""
    top, lists = out / "RSDD-SAR", dict[str, list[str]]()
    for index in range(count):
        random, stem = synth.generator(seed, index), f"{index // 3 + 1}_{index % 3 + 4}_{index % 5 + 10}"
        inshore, test = index % 4 == 0, index % 7 > 4
        ships = ships_in((SIDE, SIDE), int(random.integers(0, 4)), random, top=40 if inshore else 0)
        picture = synth.jpeg(sea((SIDE, SIDE), ships, random, quay=30 if inshore else 0))
        for name in ("test", f"test_{'inshore' if inshore else 'offshore'}") if test else ("train",):
            lists.setdefault(name, []).append(stem)
        _put(top / "JPEGImages" / f"{stem}.jpg", picture)
        _put(top / "Annotations" / f"{stem}.xml", _annotation(stem, ships, ("HH", "VV")[index % 2]))
    for name, stems in lists.items():
        _put(top / "ImageSets" / f"{name}.txt", "".join(f"{stem}\n" for stem in stems).encode())
    random = synth.generator(seed, count)
    _put(top / "JPEGValidation" / "126.jpg", synth.jpeg(sea((600, 700), [], random)))


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _annotation(stem: str, ships: list[Rotated], polarization: str) -> bytes:
    things = ""
    for x, y, length, width, degrees in ships:
        angle = math.radians((degrees + 90) % 180 - 90)
        sides = f"<cx>{x}</cx><cy>{y}</cy><h>{length}</h><w>{width}</w><angle>{angle:.6f}</angle>"
        things += (
            f"\n\t<object>\n\t\t<name>ship</name><difficult>0</difficult><robndbox>{sides}</robndbox>\n\t</object>"
        )
    size = f"<size><width>{SIDE}</width><height>{SIDE}</height><depth>3</depth></size>"
    fields = f"<polarization>{polarization}</polarization><resolution>3</resolution>"
    return f"<annotation>\n\t<filename>{stem}.jpg</filename>{fields}{size}{things}\n</annotation>".encode()
