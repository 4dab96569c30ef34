"""EuroSAT-SAR as the Parquet files of a hub: a row a patch, its GeoTIFF as bytes, its class by name or number.

The hub's own converter keeps the bytes of files, and with them their georeference; other copies have lost it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from sar_data.errors import BadRecord
from sar_data.labels.discovery import walk
from sar_data.labels.splits import split_of
from sar_data.naming import few
from sar_data.raster import parquet_images, tiff
from sar_data.record import Record, Sample, SourceFile
from sar_data.spec import Tree
from sar_data.split import folders
from sar_data.split.ground.cells import cell_of

SIDE = 64


def units(tree: Tree) -> Iterator[str]:
    """Yield the Parquet files that hold images."""
    for path in walk(tree):
        if path.endswith(".parquet") and b"image" in tree.pread(path, max(0, tree.size(path) - 65536), 65536):
            yield path


def holds_tiffs(tree: Tree, unit: str) -> bool:
    """Say whether the images of a file are GeoTIFFs; another one is read as any program's container is."""
    with suppress(BadRecord):
        return next(parquet_images.images(tree, unit), b"")[:4] in (b"II*\0", b"MM\0*")
    return False


def is_placed(tree: Tree, unit: str) -> bool:
    """Say whether the first image of a file has a georeference."""
    return None not in tiff.georeference_of(next(parquet_images.images(tree, unit), b""))


def place(crs: str | None, transform: tiff.Transform | None) -> dict[str, Any]:
    """Return the fields of a record that say where its patch lies."""
    if not (crs and transform):
        return {"crs": crs, "transform": transform}
    a, _, west, _, e, north = transform
    footprint = (west, north + SIDE * e, west + SIDE * a, north)
    return {"crs": crs, "transform": transform, "footprint": footprint, "place": cell_of(crs, footprint)}


def scan(tree: Tree, unit: str, classes: Sequence[str], name: re.Pattern[str]) -> Iterator[Record]:
    """Yield the records of one file."""
    file, split = SourceFile(unit, tree.size(unit)), split_of(unit)
    numbers = [str(i) for i in range(len(classes))]
    for number, (row, image) in enumerate(
        zip(parquet_images.read_rows(tree, unit), parquet_images.images(tree, unit), strict=True)
    ):
        named = name.fullmatch(row.name)
        label = named["cls"] if named else row.label
        if not named and label in numbers:
            label = classes[numbers.index(label)]
        if label not in classes:
            raise BadRecord(unit, f"row {number}: expected one of the classes {few(classes)}, found {label[:40]!r}")
        yield Record(
            key=row.name.rpartition(".")[0] if named else f"{split or 'row'}_{number:06d}",
            files=(file,),
            labels={"landuse": (classes.index(label),)},
            attrs={"row": str(number), **({folders.ATTR: split} if split else {})},
            **place(*tiff.georeference_of(image)),
        )


def read(tree: Tree, record: Record) -> Sample:
    """Return [VV, VH] in dB, [2, 64, 64], in the float type of the file."""
    path, row = record.files[0].path, int(record.attrs["row"])
    data = parquet_images.image_bytes(tree, path, row)
    raster = tiff.read(data, f"{path}, row {row}", shape=(SIDE, SIDE), dtypes=("float32", "float64"), bands=2)
    return Sample(image=raster.pixels, nodata=raster.filled, fallbacks=int(raster.fallback))
