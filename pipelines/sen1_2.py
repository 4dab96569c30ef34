"""SEN1-2: 282,384 pairs of Sentinel-1 and Sentinel-2 pictures from all over the world, for learning without labels.

A sample here is the radar half, ROIs1158_spring/s1_<scene>/ROIs1158_spring_s1_<scene>_p<n>.png, 256x256 pixels of 10 m,
in four such folders of seasons. What is odd about the data:
- The pictures are stretched to 8 bits and the stretch is not recorded: no dB can be recovered, and the unit says so.
- They have one channel, VV; a picture with three is taken if they are equal. No coordinates, no labels, no dates.
- Patches of a scene overlap by half, so that only scenes can be held apart: "group" is the default.
- Scenes are numbered from 0, and the numbers of different seasons are different places: season and scene are one group.
- SEN12MS has folders of the same names, with GeoTIFFs in them: those are another dataset.
No real picture was at hand: the layout is that of other people's loaders.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sar_data.errors import BadRecord
from sar_data.raster import image
from sar_data.record import Record, Sample, SourceFile
from sar_data.sources.tree import Tree
from sar_data.spec import Band, DatasetSpec, Pipeline, Source
from sar_data.split import group, random

SEASON = re.compile(r"ROIs(1158_spring|1868_summer|1970_fall|2017_winter)")
PATCH = re.compile(rf"({SEASON.pattern})_s1_(\d+)_p(\d+)\.png")
SHAPE = (256, 256)


def units(tree: Tree, path: str = "", below: int = 2) -> Iterator[str]:
    """Yield the radar pictures of the season folders at the root or up to two levels below."""
    for name in tree.folders(path):
        if SEASON.fullmatch(name):
            for scene in tree.folders(path + name):
                if scene.startswith("s1_"):
                    folder = f"{path}{name}/{scene}"
                    yield from (f"{folder}/{file}" for file in tree.files(folder) if file.endswith(".png"))
        elif below:
            yield from units(tree, f"{path}{name}/", below - 1)


def scan(tree: Tree, unit: str) -> Iterator[Record]:
    """Yield the picture's record, from its name."""
    folder, name = unit.split("/")[-2:]
    named = PATCH.fullmatch(name)
    if named is None or folder != f"s1_{named[3]}":
        raise BadRecord(unit, f"expected a name like ROIs1158_spring_s1_0_p30.png in its folder s1_0, found {name}")
    yield Record(
        key=name.removesuffix(".png"), files=(SourceFile(unit, tree.size(unit)),), group=f"{named[1]}_{named[3]}",
        attrs={"season": named[2].partition("_")[2], "scene": f"{named[1]}_{named[3]}", "patch": named[4]},
    )  # fmt: skip


def read(tree: Tree, record: Record) -> Sample:
    """Return [VV], uint8 [1, 256, 256]."""
    path = record.files[0].path
    return Sample(image=image.grey(tree.read(path), path, shape=SHAPE))


PIPELINE = Pipeline(
    spec=DatasetSpec(
        name="sen1-2", version="1.0", revision=1, title="SEN1-2, radar half", evidence="dossier", samples=282_384,
        bands=(Band(name="VV", polarisation="VV", unit="8-bit", description="VV, by an unknown stretch"),),
        shape=SHAPE, dtype="uint8", pixel_size_m=10.0, tasks=(), lists=(), calibration="stretched",
        range_axis="mixed", symmetries=("azimuth-flip", "range-flip"),
        sources=(Source(name="SEN1-2", url="https://mediatum.ub.tum.de/1436631", manual="download it there"),),
        licence="unverified", citation="Schmitt et al. 2018, The SEN1-2 Dataset, arXiv:1807.01569",
    ),
    units=units, scan=scan, read=read, splits={"group": group.Group(), "random": random.Random()},
)  # fmt: skip
