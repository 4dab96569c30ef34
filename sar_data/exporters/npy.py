"""Arrays as npy files and lists: images/KEY.npy [(frame,) band, y, x], masks/KEY.npy [y, x], SPLIT.txt.

A line of a list is a path and, where the first task has labels of images, the numbers of the classes with commas
between them. Tables and a declaration say the rest, as those of the GeoTIFF export do.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sar_data.containers.layouts import LIST_FILE
from sar_data.exporters import tables
from sar_data.exporters.source import Source, labels_of


def write(source: Source, folder: Path) -> None:
    """Write arrays, lists and tables."""
    tables.check_names(source)
    task = next((task for task in source.manifest.tasks[:1] if task.kind in tables.KINDS), None)
    images, masks = folder / "images", folder / "masks"
    images.mkdir()
    for split in source.splits:
        lines = []
        for row, image, mask in source.samples(split):
            name = f"{row['key']}.npy"
            np.save(images / name, image, allow_pickle=False)
            if mask is not None:
                masks.mkdir(exist_ok=True)
                np.save(masks / name, mask, allow_pickle=False)
            labels = "" if task is None else f" {','.join(map(str, labels_of(row, task)))}"
            lines.append(f"images/{name}{labels}\n")
        (folder / LIST_FILE.format(split=split)).write_text("".join(lines), encoding="utf-8")
    tables.write(source, folder, ".npy")
