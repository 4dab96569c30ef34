"""A miniature of the MSTAR discs, a scene of clutter with them, and of the JPEG tree that repeats the chips.

A target is a block of bright points on grass, with its shadow above it, since the radar looks up the image.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipelines._mstar import LISTED
from pipelines._mstar_protocols import LISTS
from pipelines.synth._phoenix import chip, phoenix
from sar_data import synth

TARGETS = "MSTAR_PUBLIC_TARGETS_CHIPS_T72_BMP2_BTR70_SLICY/TARGETS"
MIXED = "MSTAR_PUBLIC_MIXED_TARGETS_CD1"
VARIANTS = "MSTAR_PUBLIC_T_72_VARIANTS_CD1"
BOTH = ((f"{TARGETS}/TRAIN/17_DEG", 3787), (f"{TARGETS}/TEST/15_DEG", 3333))  # folder and HB number
ANGLES = ((17, 19377), (15, 14931), (30, 15269))  # depression and HB number
# Folder, code, TargetType, TargetSerNum, spelling in the published lists ("": in none).
SERIALS = (
    ("BMP2/SN_9563", "000", "bmp2_tank", "9563", "BMP-2"),
    ("T72/SN_132", "015", "t72_tank", "132", "T-72"),
    ("BTR70/SN_C71", "004", "btr70_transport", "c71", "BTR-70"),
    ("BMP2/SN_9566", "001", "bmp2_tank", "9566", ""),
    ("BMP2/SN_C21", "002", "bmp2_tank", "c21", ""),
    ("T72/SN_812", "016", "t72_tank", "812", ""),
    ("T72/SN_S7", "017", "t72_tank", "s7", ""),
    ("SLICY", "015", "slicy", "1", ""),
)
# Folder, code, width and height, TargetType, TargetSerNum, spelling, and whether it was seen at 30 degrees.
MIXED_TARGETS = (
    ("2S1", "000", (158, 158), "2s1_gun", "b01", "2S1", True),
    ("BRDM_2", "001", (128, 129), "brdm2_truck", "E-71", "BRDM-2", True),
    ("BTR_60", "003", (128, 128), "btr60_transport", "k10yt7532", "BTR-60", False),
    ("D7", "005", (177, 178), "d7_bulldozer", "92v13015", "D7", False),
    ("T62", "016", (172, 173), "t62_tank", "A51", "T-62", False),
    ("ZIL131", "025", (192, 193), "zil131_truck", "E12", "ZIL-131", False),
    ("ZSU_23_4", "026", (158, 158), "zsu23-4_gun", "d08", "ZSU-234", True),
)
# Folder, code, (width, height), HB number, TargetType, TargetSerNum, spelling: one chip of each kind.
CHIPS = (
    *(
        (f"{top}/{below}", code, (128, 128), number, kind, serial, listed)
        for below, code, kind, serial, listed in SERIALS
        for top, number in BOTH
    ),
    *(
        (f"{MIXED}/{angle}_DEG/COL1/SCENE1/{below}", code, size, number, kind, serial, listed if angle < 30 else "")
        for below, code, size, kind, serial, listed, low in MIXED_TARGETS
        for angle, number in ANGLES
        if low or angle < 30
    ),
    *(
        (f"{VARIANTS}/{angle}_DEG/COL2/SCENE1/{serial}", "024", (138, 139), number, "t72_tank", serial, "")
        for serial in ("A04", "A32", "A64")
        for angle, number in ANGLES
    ),
)
CLUTTER = "MSTAR_PUBLIC_CLUTTER_CD1/CLUTTER/15_DEG"
FACTOR = 65536 / 1500  # SensorCalibrationFactor: a stored 1500 is an amplitude of 1
JPEGS = "Data/MSTAR_JPEG_E"


def synthesise(out: Path, *, count: int, seed: int) -> None:
    """Write the first `count` kinds of chip, two scenes of clutter, SAR-HUB's lists to OUT/lists and the JPEG tree."""
    lists: dict[str, list[str]] = {"train": [], "test": []}
    for index, (folder, code, (width, height), number, kind, serial, listed) in enumerate(CHIPS[:count]):
        magnitude, phase = chip(synth.generator(seed, index), height, width)
        name = f"HB{number:05}.{code}"
        degrees = next(part[:2] for part in folder.split("/") if part.endswith("_DEG"))
        facts = {
            "TargetType": kind,
            "TargetSerNum": serial,
            "TargetAz": f"{index * 37 % 360:.6f}",
            "MeasuredDepression": f"{int(degrees) + 0.06:.6f}",
        }
        _write(out / folder / name, phoenix(np.stack([magnitude, phase]), facts, dtype=">f4", odd_line=index % 2 == 0))
        if listed:
            split = "train" if degrees == "17" else "test"
            lists[split].append(f"/{split}/{listed}/{name}_Mag.npy {LISTED.index(listed)}")
        grey = np.clip(magnitude / np.percentile(magnitude, 99.5) * 255, 0, 255).astype(np.uint8)
        for target in _write_pictures(folder, degrees):
            _write(out / JPEGS / target / f"HB{number:05}.jpeg", synth.jpeg(grey, channels=1))
    for index in range(4):
        magnitude, phase = chip(synth.generator(seed, 1000 + index), 96, 144)
        raw = np.stack([magnitude * 1500, (phase + np.float32(np.pi)) * 650])
        facts = {"SensorCalibrationFactor": f"{FACTOR:.6f}", "MeasuredDepression": "15.0"}
        _write(out / CLUTTER / f"HB0{6158 + index}.000", phoenix(raw, facts, dtype=">u2", odd_line=False))
    (out / "lists").mkdir(parents=True, exist_ok=True)
    for file, split in zip(LISTS, lists, strict=True):
        (out / "lists" / file).write_text("\n".join(lists[split]) + "\n")


def _write_pictures(folder: str, degrees: str) -> list[str]:
    """Return the folders of the JPEG tree in which a chip lies: none, one or several."""
    *_, above, last = folder.split("/")
    of = f"{above}/{last}" if last.startswith("SN_") else last
    if last in ("A04", "A32", "A64"):
        of = f"T72/{last}"
    paths = []
    if degrees in ("17", "15") and last != "SLICY" and not of.startswith("T72/A"):
        paths.append(f"SOC/{'TRAIN' if degrees == '17' else 'TEST'}/{of}")
    if of in ("2S1", "BRDM_2", "ZSU_23_4", "T72/A64") and degrees in ("17", "30"):
        paths.append(f"EOC-Depression/TRAIN/{of}" if degrees == "17" else f"EOC-Depression/TEST_30/{of}/30_DEG")
    version = "EOC-Configuration-Version"
    if of in ("BMP2/SN_9563", "BRDM_2", "BTR70/SN_C71", "T72/SN_132") and degrees == "17":
        paths.append(f"{version}/TRAIN/{of}")
    if degrees == "15" and of in ("T72/SN_S7", "T72/A32", "T72/A64"):
        paths.append(f"{version}/TEST_Configuration/{of}")
    if degrees == "15" and of in ("BMP2/SN_9566", "BMP2/SN_C21", "T72/SN_812", "T72/A04"):
        paths.append(f"{version}/TEST_Version/{of}")
    if degrees == "30" and of in ("BRDM_2", "T72/A64"):
        paths.append(f"EOC-Scene/{'TRAIN' if of == 'BRDM_2' else 'TEST'}/{of}/30_DEG")
    return paths


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
