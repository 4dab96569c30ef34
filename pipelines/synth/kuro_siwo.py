"""A miniature Kuro Siwo: labelled and unlabelled chips, dates that lack, no data as 0.0; and Flood-S1 made of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.synth import _floods
from sar_data import synth

LOOKS, SIDE = 12.0, 224  # looks of an image that Lee Sigma has filtered; pixels of a chip
DAYS = {"SL2": "20180219", "SL1": "20180303", "MS1": "20180315"}
EVENTS = ("130", "514", "321", "470", "1111013", "1111012")
WITHOUT = {"470": ("SL1", "SL2"), "514": ("SL2",)}  # dates that these floods lack


def synthesise(out: Path, *, count: int, seed: int) -> None:
    """Write `count` chips below OUT/data, the floods in turn; of each flood every fourth one has no label."""
    for index in range(count):
        event, turn = EVENTS[index % len(EVENTS)], index // len(EVENTS)
        _write(out / "data", event, turn, turn % 4 != 3, seed)


def synthesise_bench(out: Path, *, count: int, seed: int) -> None:
    """Write `count` chips as Flood-S1 of Copernicus-Bench has them, below OUT/flood_s1 with its three lists."""
    events, splits = ("130", "514", "321"), ("train", "val", "test")
    lists: dict[str, dict[str, Any]] = {split: {} for split in splits}
    for index in range(count):
        path = _write(out / "flood_s1/data", events[index % 3], index // 3, True, seed, only=("SL1", "MS1"))
        lists[splits[index % 3]][path.rpartition("/")[2]] = {"path": path, "info": {"datasets": []}}
    for split, rows in lists.items():
        (out / "flood_s1" / f"grid_dict_{split}.json").write_text(json.dumps(rows))


GENERATORS = {"copernicus-bench": synthesise_bench}


def _write(root: Path, event: str, turn: int, labelled: bool, seed: int, only: tuple[str, ...] = tuple(DAYS)) -> str:
    """Write a chip, and return its path below `root`."""
    random = synth.generator(seed, int(event), turn)
    chip = hashlib.md5(f"{event} {turn}".encode(), usedforsecurity=False).hexdigest()
    path = f"{event}/01/{chip}" if labelled else f"{event}/00/{chip[:2]}/{chip}"
    before, after, state = _floods.flood(random, SIDE)
    unseen = np.arange(SIDE) < 20  # columns that the swath of the last date does not reach
    layers: dict[str, npt.NDArray[Any]] = {}
    for date in (date for date in only if date not in WITHOUT.get(event, ())):
        power = synth.from_db(synth.speckle(after if date == "MS1" else before, LOOKS, random))
        if date == "MS1":
            power[..., unseen] = 0
        layers |= {f"{date}_IVV": power[:1], f"{date}_IVH": power[1:]}
    layers["MK0_MNA"] = np.broadcast_to(~unseen, (1, SIDE, SIDE)).astype(np.uint8)
    if labelled:
        outside = np.arange(SIDE)[:, None] >= SIDE - 10  # rows beyond the area
        layers["MK0_MLU"] = np.where(outside, 3, state)[None].astype(np.uint8)
        layers["MK0_DEM"] = np.full((1, SIDE, SIDE), 100, np.float32)
    folder, area = root / path, "01" if labelled else "NA"
    folder.mkdir(parents=True)
    transform = (10.0, 0.0, 1e5 * int(event[-3:]) + 10 * SIDE * turn, 0.0, -10.0, 5e6)
    for name, pixels in layers.items():
        day = DAYS.get(name[:3], DAYS["MS1"])
        data = synth.geotiff(pixels, epsg=3857, transform=transform, rows_per_strip=32)
        (folder / f"{name}_{event}_{area}_{day}.tif").write_bytes(data)
    (folder / "info.json").write_text(json.dumps({"grid_id": chip, "actid": int(event)}))
    return path
