"""A picture a chip: the image, the entropy that its cells tolerate, and its knowledge points on its regions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import numpy as np
import torch.nn.functional as F
from matplotlib import colormaps
from torch import Tensor

from sar_data.train.knowledge.regions import NAMES, SHADOW, TARGET
from sar_data.train.pictures.mosaic import Cell
from sar_data.train.pictures.mosaic import draw as draw_cells
from sar_data.train.pictures.stretch import Floats, stretch_images
from sar_data.views.heading import Entry

COLOURS = {"target": (0.88, 0.55, 0.05), "shadow": (0.18, 0.38, 0.72), "point": (0.85, 0.1, 0.15)}


def draw(
    folder: Path,
    key: str,
    image: Tensor,
    entropy: Tensor,
    pixels: Tensor,
    known: Tensor,
    units: Mapping[str, str],
    form: str,
) -> None:
    """Draw a chip [C, H, W] to FOLDER/KEY.FORM: entropy [cells, cells], regions [H, W] and points [cells, cells]."""
    (picture,), note = stretch_images([image.numpy()], units)
    size = picture.shape[:2]
    low, high = float(entropy.min()), float(entropy.max())
    scaled = (entropy - low) / max(high - low, 1e-6)
    heat: Floats = colormaps["viridis"](_large(scaled, size))[..., :3].astype(np.float32)
    marked, region = picture.copy(), _large(pixels.float(), size)
    for number, name in ((TARGET, "target"), (SHADOW, "shadow")):
        marked[region == number] = 0.6 * marked[region == number] + 0.4 * np.array(COLOURS[name], np.float32)
    chosen = _large(known.float(), size) > 0
    marked[chosen] = 0.35 * marked[chosen] + 0.65 * np.array(COLOURS["point"], np.float32)
    text = [
        (
            "key",
            f"noise from {low:.2f} (dark) to {high:.2f} nats; {int(known.sum())} of {known.numel()} cells are points",
        )
    ]
    legend: list[Entry] = [(name, COLOURS[name]) for name in (*NAMES[1:], "point")]
    path = folder / f"{quote(key, safe='')}.{form}"
    draw_cells(path, [Cell([picture, heat, marked], text)], key, note, legend)


def _large(values: Tensor, size: tuple[int, ...]) -> Floats:
    enlarged: Floats = F.interpolate(values[None, None].float(), size, mode="nearest")[0, 0].numpy()
    return enlarged
