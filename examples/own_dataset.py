"""A dataset of one's own, declared in code: which files it has, what they say, how they are read.

`python examples/own_dataset.py RAW BUILDS`, where RAW has folders CLASS/NAME.tif of two bands, VV and VH, in dB. A
folder of images needs no code (`sar-data init DIR`); code is for what a declaration cannot say. `sar-data init DIR
--code NAME` writes it as a package that is found by its name, with a test that inherits sar_data.testing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import sar_data
from sar_data.errors import BadRecord
from sar_data.raster import tiff
from sar_data.record import Record, Sample, SourceFile
from sar_data.spec import Band, DatasetSpec, Pipeline, Task, Tree
from sar_data.split.stratified import Stratified

CLASSES = ("Forest", "Residential", "SeaLake")
SHAPE = (64, 64)  # pixels


def units(tree: Tree) -> Iterator[str]:
    """Yield the files, cheaply: none is opened."""
    for folder in CLASSES:
        yield from (f"{folder}/{name}" for name in tree.files(folder) if name.endswith(".tif"))


def scan(tree: Tree, unit: str) -> Iterator[Record]:
    """Yield the record of one file, from its name and its header."""
    (bands, *shape), _ = tiff.header(tree, unit)
    if (bands, *shape) != (2, *SHAPE):
        raise BadRecord(unit, f"expected 2 bands of {SHAPE} pixels, found {bands} of {shape}")
    folder, _, name = unit.partition("/")
    yield Record(
        key=name.removesuffix(".tif"),
        files=(SourceFile(unit, tree.size(unit)),),
        labels={"cover": (CLASSES.index(folder),)},
    )


def read(tree: Tree, record: Record) -> Sample:
    """Return the pixels [band, y, x] as the file has them."""
    path = record.files[0].path
    return Sample(image=tiff.read(tree.read(path), path, shape=SHAPE, dtypes=("float32",), bands=2).pixels)


PIPELINE = Pipeline(
    spec=DatasetSpec(
        name="my-patches",
        version="1",
        revision=1,  # raise it when `read` gives other pixels of the same files
        title="Patches of my own",
        evidence="declared",
        bands=tuple(Band(name=name, polarization=name, unit="dB", description="sigma0") for name in ("VV", "VH")),
        shape=SHAPE,
        dtype="float32",
        pixel_size_m=10.0,
        tasks=(Task(name="cover", kind="multiclass", classes=CLASSES),),
        sources=(),
        lists=(),
        licence="my own",
        citation="none yet",
    ),
    units=units,
    scan=scan,
    read=read,
    splits={"stratified": Stratified()},
)


def main(source: Path, out: Path) -> None:
    """Build it as any published dataset is built."""
    build = sar_data.build(PIPELINE, source=source, out=out, workers=1)
    counts = {name: split.count for name, split in build.manifest.splits.items()}
    print(f"{build.manifest.dataset}: {counts}, {len(sar_data.verify(build.path, full=True))} problems")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
