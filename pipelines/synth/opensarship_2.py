"""A miniature OpenSARShip 2.0: one scene of each kind of product, its archive unpacked to a folder of its name."""

from __future__ import annotations

from pathlib import Path

from pipelines.synth._opensarship import Scene, scene

SCENES = (
    ("S1A_IW_GRDH_1SDV_20150823T221233_20150823T221258_007396_00A2CA_54D0", ("VH", "VV")),
    ("S1A_IW_SLC__1SSV_20150217T204257_20150217T204324_004668_005C34_2DC9", ("VV",)),
    ("S1A_IW_SLC__1SDV_20150904T221231_20150904T221259_007571_00A7A1_9B1F", ("VH", "VV")),
    ("S1A_IW_GRDH_1SSV_20150301T204257_20150301T204324_004843_006063_71AA", ("VV",)),
    ("S1B_IW_GRDH_1SDH_20161123T221233_20161123T221258_003096_005442_1C2D", ("HV", "HH")),
    ("S1B_IW_SLC__1SDH_20161205T221233_20161205T221258_003271_00596B_77E0", ("HV", "HH")),
)


def synthesise(out: Path, *, count: int, seed: int) -> None:
    """Write `count` chips, shared among the scenes, to OUT/<product>/, without a top folder of the archive's own."""
    for index, (product, polarizations) in enumerate(SCENES):
        share = count // len(SCENES) + (index < count % len(SCENES))
        if share:
            scene(out / product, Scene(product, polarizations, 2), count=share, seed=seed + index)
