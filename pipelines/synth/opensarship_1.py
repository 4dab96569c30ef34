"""A miniature OpenSARShip 1.0: a GRD scene and an SLC scene of two polarizations, each in the folder of its archive."""

from __future__ import annotations

from pathlib import Path

from pipelines.synth._opensarship import Scene, scene

SCENES = (
    "S1A_IW_GRDH_1SDV_20150823T221233_20150823T221258_007396_00A2CA_54D0",
    "S1A_IW_SLC__1SDV_20150823T221231_20150823T221259_007396_00A2CA_9B1F",
    "S1A_IW_GRDH_1SDV_20150904T221233_20150904T221258_007571_00A7A1_0C3D",
)


def synthesise(out: Path, *, count: int, seed: int) -> None:
    """Write `count` chips, half of them in the first scene, to OUT/<product>/<product>/, as `unzip -d` leaves them."""
    shares = (count - count // 4 - count // 4, count // 4, count // 4)
    for index, (product, share) in enumerate(zip(SCENES, shares, strict=True)):
        scene(out / product / product, Scene(product, ("VH", "VV"), 1), count=share, seed=seed + index)
