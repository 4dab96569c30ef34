"""Upright boxes in YOLO's text: images/SPLIT/KEY.png, labels/SPLIT/KEY.txt and data.yaml.

A line is a class and centre x, centre y, width and height, in fractions of the image. Images are what such tools read:
8-bit PNG, grey of one band, red, green and blue of more.
"""

from __future__ import annotations

from pathlib import Path

from sar_data.exporters.eight_bit import Stretch
from sar_data.exporters.source import Row, Source
from sar_data.raster.gdal import encode
from sar_data.text import literal


def write(source: Source, folder: Path) -> None:
    """Write images, labels and data.yaml; raise UsageError for a build without a detection task."""
    classes = source.task("detection").classes
    stretch = Stretch.of(source)
    for split in source.splits:
        images, labels = folder / "images" / split, folder / "labels" / split
        for below in (images, labels):
            below.mkdir(parents=True)
        for row, image, _ in source.samples(split):
            (images / f"{row['key']}.png").write_bytes(encode(stretch(image), "PNG"))
            (labels / f"{row['key']}.txt").write_text(_lines(row, (image.shape[-2], image.shape[-1])))
    # Ultralytics runs what this file names as `download`: no text of a build may begin a line. Without `path` folders
    # are those beside the file.
    paths = [f"{split}: images/{split}" for split in source.splits]
    names = [f"  {number}: {literal(name)}" for number, name in enumerate(classes)]
    text = "\n".join([f"# {literal(stretch.words)[1:-1]}", *paths, "names:", *names]) + "\n"
    (folder / "data.yaml").write_text(text, encoding="utf-8")


def _lines(row: Row, shape: tuple[int, int]) -> str:
    height, width = shape
    lines = []
    for item in row["objects"] or ():
        left, top, right, bottom = item["box"]
        values = (
            (left + right) / 2 / width,
            (top + bottom) / 2 / height,
            (right - left) / width,
            (bottom - top) / height,
        )
        lines.append(f"{item['label']} {' '.join(map(repr, values))}\n")
    return "".join(lines)
