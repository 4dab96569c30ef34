"""A miniature of the TerraSAR-X chips: tone-mapped textures of some of the 32 classes, and lists of their labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sar_data import synth

SHOWN, SIDE = (0, 7, 31), 64  # classes of the miniature, and pixels of a side
SPLITS = ("train", "train", "test")


def synthesise(out: Path, *, count: int, seed: int) -> None:
    """Write `count` chips to OUT/TSXdatasetOctavian, and train.txt and test.txt to OUT."""
    lists: dict[str, list[str]] = {split: [] for split in SPLITS}
    for index in range(count):
        random, label = synth.generator(seed, index), SHOWN[index % len(SHOWN)]
        winners, _ = synth.mosaic(random.standard_normal((2, 4, 4), np.float32), SIDE)
        power = np.array([0.02, 0.1 + label / 32], np.float32)[winners]
        amplitude = np.sqrt(synth.from_db(synth.speckle(power, 3.0, random)))
        name = f"TSXdatasetOctavian/area_{index % 2}/chip_{index:05d}"
        path = out / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(synth.jpeg(np.clip(255 * amplitude / (1 + amplitude), 0, 255).astype(np.uint8), channels=1))
        lists[SPLITS[index // len(SHOWN) % len(SPLITS)]].append(f"{name} {label}")
    for split, lines in lists.items():
        (out / f"{split}.txt").write_text("\n".join(lines) + "\n")
