"""A miniature Hephaestus: fringes of a source under noise, coherence that falls where the ground moved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.hephaestus import ACTIVITIES
from sar_data import synth

FRAMES = {"124D_05291_081406": (90, 120), "151D_SM_REUN_S4": (110, 80)}
CROP = 224


def synthesise(out: Path, *, count: int, seed: int) -> None:
    """Write `count` annotated pairs to OUT/Hephaestus_Raw and OUT/annotations, and as many crops with their list."""
    (out / "annotations").mkdir(parents=True, exist_ok=True)
    listed: dict[str, dict[str, list[str]]] = {split: {"0": [], "1": []} for split in ("train", "val", "test")}
    for index in range(count):
        frame, shape = list(FRAMES.items())[index % len(FRAMES)]
        random = synth.generator(seed, index)
        moved = index % 3 != 0
        phase, coherence, ring = _pair(shape, moved, random)
        dates = f"2015{1 + index // 28 % 12:02d}{1 + index % 28:02d}_2016{1 + index % 12:02d}02"
        folder = out / "Hephaestus_Raw" / frame / "interferograms" / dates
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{dates}.geo.diff.png").write_bytes(synth.png(phase))
        (folder / f"{dates}.geo.cc.png").write_bytes(synth.png(coherence))
        facts = _facts(index, frame, dates, [ring] if moved else [])
        (out / "annotations" / f"{index}.json").write_text(json.dumps(facts))
        label, name = str(int(moved)), f"{index}_0.png"
        listed[("train", "train", "val", "test")[index // 3 % 4]][label].append(name)
        (out / "labeled" / label).mkdir(parents=True, exist_ok=True)
        (out / "labeled" / label / name).write_bytes(synth.png(_pair((CROP, CROP), moved, random)[0]))
    (out / "train_test_split.json").write_text(json.dumps(listed))


def _facts(index: int, frame: str, dates: str, rings: list[list[int]]) -> dict[str, Any]:
    """Return an annotation: masks as one flat polygon or as a list of them, one corrupted frame in ten."""
    primary, secondary = dates.split("_")
    flags = dict.fromkeys(("processing_error", "glacier_fringes", "orbital_fringes", "low_coherence", "no_info"), 0)
    return {
        "uniqueID": index,
        "frameID": frame,
        "primary_date": primary,
        "secondary_date": secondary,
        "corrupted": int(index % 10 == 9),
        **flags,
        "atmospheric_fringes": index % 4,
        "image_artifacts": 0,
        "label": ["Deformation", "Earthquake"]
        if len(rings) and index % 5 == 4
        else ["Deformation"]
        if rings
        else ["Non_Deformation"],
        "activity_type": [ACTIVITIES[1 + index % 6]] if rings else [],
        "intensity_level": ["Low"] if rings else [],
        "phase": "Unrest" if rings else "Rest",
        "confidence": 0.8,
        "is_crowd": 0,
        "caption": "",
        "segmentation_mask": (rings[0] if index % 2 else rings) if rings else [],
    }


def _pair(
    shape: tuple[int, int], moved: bool, random: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], list[int]]:
    """Return wrapped phase and coherence as grey, and the polygon around what moved."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    cy, cx = (size * random.uniform(0.35, 0.65) for size in shape)
    radius = min(shape) * random.uniform(0.15, 0.3)
    distance = np.hypot(y - cy, x - cx) / radius
    coherence = np.where(distance < 1, 0.5, 0.85) if moved else np.full(shape, 0.85)
    phase = 0.02 * x + (12 * np.exp(-(distance**2) * 2) if moved else 0)
    phase = phase + random.normal(0, 1, shape) * np.sqrt(1 - coherence**2)
    angles = np.linspace(0, 2 * np.pi, 9)[:-1]
    ring = [int(v) for a in angles for v in (cx + radius * np.cos(a), cy + radius * np.sin(a))]
    grey = (np.mod(phase, 2 * np.pi) / (2 * np.pi) * 255).astype(np.uint8)
    return grey, (np.clip(coherence + random.normal(0, 0.05, shape), 0, 1) * 255).astype(np.uint8), ring
