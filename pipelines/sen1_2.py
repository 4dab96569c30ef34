"""SEN1-2: 282,384 pairs of Sentinel-1 and Sentinel-2 patches, four seasons, as 8-bit pictures.

A patch is a PNG <season>/s1_<scene>/<season>_s1_<scene>_p<n>.png of 256x256 pixels of 10 m; its optical partner lies in
s2_<scene>/ and is not read here. There are no labels, no georeference and no official split. What is odd:
- Values were stretched to 8 bits by their publishers, and the stretch is not told: no dB can be recovered, and the
  unit says so. Do not mix them with calibrated sets, and do not add multiplicative speckle to them.
- There is one polarization, VV. A picture of three equal channels is read as one; one of colours is refused.
- Names are those of SEN12MS, whose patches come with dB, VH and a place: prefer it. Scenes count from 0 here.
- Patches of one scene overlap by half, as in SEN12MS: "group" holds scenes apart, "random" is for comparison.
No real file was at hand: channels and bit depth are those of secondary documents, and what differs stops the build.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sar_data.errors import BadRecord
from sar_data.raster import image
from sar_data.record import Record, Sample, SourceFile
from sar_data.spec import Band, DatasetSpec, Pipeline, Processing, Source, Tree
from sar_data.split import group, random

FOLDER = re.compile(r"s1_\d+")
FILE = re.compile(r"(ROIs\d{4}_(spring|summer|fall|winter))_s1_(\d+)_p(\d+)\.png")
SHAPE = (256, 256)


def units(tree: Tree, path: str = "", below: int = 3) -> Iterator[str]:
    """Yield the radar pictures of all scene folders up to three levels below the root."""
    for name in tree.folders(path):
        if FOLDER.fullmatch(name):
            pictures = (file for file in tree.files(path + name) if file[0] != "." and not file.endswith(".tif"))
            yield from (f"{path}{name}/{file}" for file in pictures)
        elif below:
            yield from units(tree, f"{path}{name}/", below - 1)


def scan(tree: Tree, unit: str) -> Iterator[Record]:
    """Yield the patch's record, from its name and the head of its PNG."""
    folder, name = unit.split("/")[-2:]
    named = FILE.fullmatch(name)
    if named is None or folder != f"s1_{named[3]}":
        raise BadRecord(unit, f"expected a patch of {folder} whose name matches {FILE.pattern}, found {name}")
    if (size := image.dimensions(tree, unit)) != SHAPE:
        raise BadRecord(unit, f"expected 256x256 pixels, found {size[0]}x{size[1]}")
    yield Record(
        key=name.removesuffix(".png"),
        files=(SourceFile(unit, tree.size(unit)),),
        group=(ground := f"{named[1]}_{named[3]}"),
        place=ground,
        attrs={"season": named[2], "scene": named[3], "patch": named[4], "s2_name": name.replace("_s1_", "_s2_")},
    )


def named(key: str) -> Record | None:
    """Return the record of a patch by its name alone, which tells the scene, not where in it the patch lies."""
    if (match := FILE.fullmatch(f"{key}.png")) is None:
        return None
    scene = f"{match[1]}_{match[3]}"
    return Record(key=key, files=(), group=scene, place=scene)


def read(tree: Tree, record: Record) -> Sample:
    """Return the stretched VV, uint8 [1, 256, 256]."""
    path = record.files[0].path
    return Sample(image=image.grey(tree.read(path), path, shape=SHAPE))


HOW = "download the archives from mediaTUM by hand and unpack them; neither size nor checksum is known"
PIPELINE = Pipeline(
    spec=DatasetSpec(
        name="sen1-2",
        aliases=("sen12",),
        version="1.0",
        revision=1,
        title="SEN1-2, Sentinel-1",
        evidence="documents-only",
        samples=282_384,
        bands=(Band(name="VV", polarization="VV", unit="8-bit", description="VV, stretched to 8 bits"),),
        shape=SHAPE,
        dtype="uint8",
        pixel_size_m=10.0,
        tasks=(),
        lists=(),
        calibration="stretched",
        processing=Processing(),
        range_axis="mixed",
        symmetries=("azimuth-flip", "range-flip"),
        sources=(Source(name="SEN1-2", url="https://mediatum.ub.tum.de/1436631", manual=HOW),),
        licence="unknown: see the publisher's page",
        citation="Schmitt et al. 2018, The SEN1-2 Dataset for Deep Learning in SAR-Optical Fusion, arXiv:1807.01569",
    ),
    units=units,
    scan=scan,
    read=read,
    named=named,
    splits={"group": group.Group(), "random": random.Random()},
)
