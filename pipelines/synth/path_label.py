"""A miniature image set by list: three textures as float32 .npy amplitudes, listed as another machine wrote them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from sar_data import synth

CLASSES = ("Bridge", "Tank farm", "Open water")
POWER = {
    "Bridge": (0.02, 2.0),
    "Tank farm": (0.1, 0.8),
    "Open water": (0.005, 0.008),
}  # of ground and of what stands on it
SPLITS = ("train", "train", "val", "test")


def synthesise(out: Path, *, count: int, seed: int) -> None:
    """Write `count` chips of 64x64 amplitudes to OUT/chips, the lists, classes.txt and dataset.json to OUT."""
    lists: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    (out / "chips").mkdir(parents=True, exist_ok=True)
    for index in range(count):
        name = CLASSES[index % len(CLASSES)]
        random = synth.generator(seed, index)
        winners, _ = synth.mosaic(random.standard_normal((2, 5, 5), np.float32), 64)
        power = np.take(np.array(POWER[name], np.float32), winners)
        amplitude = np.sqrt(synth.from_db(synth.speckle(power, 1.0, random))).astype(np.float32)
        stream = io.BytesIO()
        np.lib.format.write_array(stream, amplitude, allow_pickle=False)
        (out / "chips" / f"chip.{index:04d}.npy").write_bytes(stream.getvalue())
        # One list has whole paths of another machine, one lacks the endings.
        path = {"train": f"/data/lab/chips/chip.{index:04d}.npy", "val": f"chips/chip.{index:04d}"}
        split = SPLITS[index // len(CLASSES) % len(SPLITS)]
        lists[split].append(f"{path.get(split, f'/chips/chip.{index:04d}.npy')} {name.replace(' ', '_')}")
    for split, lines in lists.items():
        (out / f"set_{split}.txt").write_text("\n".join(lines) + "\n")
    (out / "classes.txt").write_text("".join(f"{name.replace(' ', '_')}\n" for name in CLASSES))
    (out / "dataset.json").write_text('{"title": "Chips of a lab", "bands": ["HH"], "unit": "amplitude"}')
