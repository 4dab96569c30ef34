"""A miniature LS-SSDD: tiles of two scenes, most of them empty, doubly nested, and two small whole scenes."""

from __future__ import annotations

from pathlib import Path

from pipelines.synth._sea import annotate, hull, sea, ships_in
from sar_data import synth
from sar_data.labels import boxes

SIDE, WHOLE = 800, (320, 480)


def synthesise(out: Path, *, count: int, seed: int) -> None:
    """Write `count` tiles, of scenes 01, 11 and 02 in turn, and two scenes of 320x480 pixels, nested doubly."""
    top = out / "LS-SSDD-v1.0-OPEN"
    for index in range(count):
        random, scene = synth.generator(seed, index), ("01", "11", "02")[index % 3]
        stem = f"{scene}_{index // 3 // 30 + 1}_{index // 3 % 30 + 1}"
        folder = "JPEGImages_sub_test" if scene == "11" else "JPEGImages_sub_train"
        number = int(random.integers(1, 4)) if index % 4 == 0 else 0
        _write(
            top / f"JPEGImages_sub/{folder}/{folder}",
            top / "Annotations_sub/Annotations_sub",
            stem,
            (SIDE, SIDE),
            number,
            seed,
            index,
        )
    for scene in ("01", "11"):
        _write(
            top / "JPEGImages/JPEGImages", top / "Annotations/Annotations", scene, WHOLE, 3, seed, int(scene) + 10**6
        )


def _write(
    images: Path, annotations: Path, stem: str, shape: tuple[int, int], number: int, seed: int, index: int
) -> None:
    random = synth.generator(seed, index, 1)
    ships = ships_in(shape, number, random)
    for folder in (images, annotations):
        folder.mkdir(parents=True, exist_ok=True)
    (images / f"{stem}.jpg").write_bytes(synth.jpeg(sea(shape, ships, random), channels=1 if index % 2 else 3))
    (annotations / f"{stem}.xml").write_bytes(annotate(stem, shape, [boxes.bounding_box(hull(ship)) for ship in ships]))
