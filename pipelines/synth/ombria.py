"""A miniature OMBRIA: places by number, test among train, four floods of 2021, optical pairs that nothing reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipelines.synth import _floods
from sar_data import synth
from sar_data.record import Image

LOOKS, SIDE = 4.4, 256  # equivalent looks of a Sentinel-1 IW GRDH product; pixels of a tile
EVENTS = ("FRANCE", "ALBANIA", "GUYANA", "TIMOR")
PAIRS = 393  # of neighbours among the numbers 1 to 786


def synthesise(out: Path, *, count: int, seed: int) -> None:
    """Write `count` places: pairs of neighbours all over the numbers, some of train and test; a quarter is of 2021."""
    for index in range(count):
        before, after, state = _floods.flood(synth.generator(seed, index), SIDE)
        pictures = [_stretched(power, seed, index, date) for date, power in enumerate((before, after))]
        pictures.append(np.where(state == _floods.FLOOD, 255, 0).astype(np.uint8))
        if index % 4 == 3:
            event, turn = EVENTS[index // 4 % 4], index // 16
            number = str(turn if event == "FRANCE" else 2 * turn)  # the others have gaps
            folder, names = out / "2021" / event / "Sentinel1", ("imbefore", "imafter", "gt")
        else:
            tile = index - index // 4
            number = f"{1 + 2 * (tile // 2 * 20 % PAIRS) + tile % 2:04d}"
            folder = out / "OmbriaS1" / ("test" if tile % 6 == 1 else "train")
            names = ("S1_before", "S1_after", "S1_mask")
        for part, name, pixels in zip(("BEFORE", "AFTER", "MASK"), names, pictures, strict=True):
            path = folder / part / f"{name}_{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data := synth.png(pixels))
            if index == 0:
                optical = Path(str(path).replace("S1", "S2"))
                optical.parent.mkdir(parents=True)
                optical.write_bytes(data)


def _stretched(power: synth.Floats, seed: int, index: int, date: int) -> Image:
    """Return VV of one date, stretched from its own least to its own largest value."""
    image = synth.speckle(power[0], LOOKS, synth.generator(seed, index, date))
    low, high = image.min(), image.max()
    grey: Image = ((image - low) / (high - low) * 255).astype(np.uint8)
    return grey
