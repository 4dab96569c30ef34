"""SEN12MS: 180,662 places with Sentinel-1, Sentinel-2 and MODIS land cover; here radar and land cover.

A sample is ROIs1158_spring/s1_<scene>/ROIs1158_spring_s1_<scene>_p<n>.tif, bands VV and VH, sigma0 in dB, 256x256
pixels of 10 m in UTM, with the map of the same name and "lc" for "s1". What is odd about the data:
- Patches overlap by half, so only scenes can be held apart: "group" is the default, "official" holds out 26 scenes.
- The official lists name the Sentinel-2 files, and have no val. Their licence forbids to copy them: fetch them by md5.
- A map has four bands; the first is IGBP in 17 classes at 500 m, resampled. Ten classes as in the Data Fusion Contest
  2020 are the default, the variant "igbp" keeps all 17. A map is a guess of a coarse sensor, not ground truth.
- Documents call the pixels 16-bit, files are floats: float64 is narrowed to float32 and counted, integers refused.
- One patch has NaN (ROIs1868_summer_s1_146_p202), and is in no list. Others' statistics are of clipped values.
- SEN12MS-CR has archives of the same names, but the season's folder once for each sensor: it is another dataset.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from functools import partial

import numpy as np

from sar_data.errors import BadRecord
from sar_data.labels import igbp
from sar_data.raster import tiff
from sar_data.record import Record, Sample, SourceFile
from sar_data.sources.tree import Tree
from sar_data.spec import Band, DatasetSpec, Pipeline, Source, Task
from sar_data.split import blocks, group, official, random

SEASON = re.compile(r"ROIs(?:1158_spring|1868_summer|1970_fall|2017_winter)")
PATCH = re.compile(rf"({SEASON.pattern})_s1_(\d+)_p(\d+)\.tif")
SHAPE, HEAD_BYTES = (256, 256), 4096


def units(tree: Tree, path: str = "", below: int = 2) -> Iterator[str]:
    """Yield the radar files of the season folders at the root or up to two levels below."""
    for name in tree.folders(path):
        if SEASON.fullmatch(name):
            for scene in tree.folders(path + name):
                if scene.startswith("s1_"):
                    folder = f"{path}{name}/{scene}"
                    yield from (f"{folder}/{file}" for file in tree.files(folder) if file.endswith(".tif"))
        elif below:
            yield from units(tree, f"{path}{name}/", below - 1)


def scan(tree: Tree, unit: str) -> Iterator[Record]:
    """Yield the patch's record, from its name and its header."""
    root, folder, name = unit.rsplit("/", 2)
    named = PATCH.fullmatch(name)
    if named is None or folder != f"s1_{named[2]}" or named[1] != root.rpartition("/")[2]:
        raise BadRecord(unit, f"expected a name like ROIs1158_spring_s1_1_p30.tif in its folders, found {name}")
    lc = f"{root}/lc_{named[2]}/{name.replace('_s1_', '_lc_')}"
    crs, transform = tiff.georeference(tree.head(unit, HEAD_BYTES))
    footprint = None
    if crs and transform:
        a, _, west, _, e, north = transform
        footprint = (west, north + 256 * e, west + 256 * a, north)
    yield Record(
        key=name.removesuffix(".tif"), files=(SourceFile(unit, tree.size(unit)), SourceFile(lc, tree.size(lc))),
        labels={"landcover": ()}, group=f"{named[1]}_{named[2]}", crs=crs, transform=transform, footprint=footprint,
        attrs={"season": named[1].partition("_")[2], "scene": f"{named[1]}_{named[2]}", "patch": named[3],
               "s2_name": name.replace("_s1_", "_s2_")},
    )  # fmt: skip


def read(tree: Tree, record: Record, whole: bool = False) -> Sample:
    """Return [VV, VH] in dB, [2, 256, 256] in the float type of the file, and the mask of the first band of the map."""
    path, lc = (file.path for file in record.files)
    raster = tiff.read(tree.read(path), path, shape=SHAPE, dtypes=("float32", "float64"), bands=2)
    cover = tiff.read(tree.read(lc), lc, shape=SHAPE, dtypes=igbp.INTEGERS, bands=4).pixels[0]
    codes = igbp.codes(cover, lc) if whole else igbp.simplified(cover, lc)
    mask = np.asarray(codes, np.uint8) - np.uint8(1)  # classes begin at 0, and code 0, which is none, becomes 255
    return Sample(image=raster.pixels, mask=mask, fallbacks=int(raster.fallback))


PAGE = "https://mediatum.ub.tum.de/1474000"
HOW = "rsync -av rsync://m1474000@dataserv.ub.tum.de/m1474000/ (password m1474000), or the page; 510 GB with Sentinel-2"
MD5 = {
    "ROIs1158_spring_lc": "6e2e8fa8b8cba77ddab49fd20ff5c37b", "ROIs1158_spring_s1": "fba019bb27a08c1db96b31f718c34d79",
    "ROIs1868_summer_lc": "2c5bd80244440b6f9d54957c6b1f23d4", "ROIs1868_summer_s1": "01044b7f58d33570c6b57fec28a3d449",
    "ROIs1970_fall_lc": "9b126a68b0e3af260071b3139cb57cee", "ROIs1970_fall_s1": "19132e0aab9d4d6862fd42e8e6760847",
    "ROIs2017_winter_lc": "0fa0420ef7bcfe4387c7e6fe226dc728", "ROIs2017_winter_s1": "bb8cbfc16b95a4f054a3d5380e0130ed",
}  # fmt: skip
LISTS = {"train_list.txt": "0a68d4e1eb24f128fccdb930000b2546", "test_list.txt": "c7faad064001e646445c4c634169484d"}
SPEC = DatasetSpec(
    name="sen12ms", version="1.0", revision=1, title="SEN12MS, radar and land cover", evidence="dossier",
    bands=tuple(Band(name=p, polarisation=p, unit="dB", description=f"sigma0 {p}") for p in ("VV", "VH")),
    shape=SHAPE, dtype="float32", wider=("float64",), pixel_size_m=10.0, samples=180_662, calibration="sigma0",
    range_axis="mixed", symmetries=("azimuth-flip", "range-flip"),
    tasks=(Task(name="landcover", kind="segmentation", classes=igbp.DFC),), lists=tuple(LISTS),
    sources=(*(Source(name=f"{name}.tar.gz", url=PAGE, checksum=f"md5:{md5}", manual=HOW) for name, md5 in MD5.items()),
             *(Source(name=name, url="https://github.com/schmitt-muc/SEN12MS", checksum=f"md5:{md5}",
                      manual="splits/ of the repository; research use only") for name, md5 in LISTS.items())),
    licence="CC-BY-4.0", citation="Schmitt et al. 2019, SEN12MS, arXiv:1906.07789",
)  # fmt: skip
BASE = Pipeline(spec=SPEC, units=units, scan=scan, read=read, splits={
    "group": group.Group(), "blocks": blocks.Blocks(), "random": random.Random(),
    "official": official.Official(train="train_list.txt", val=None, test="test_list.txt", mapping=None, subset=True,
                                  id_pattern=PATCH.pattern.replace("_s1_", "_s[12]_"))})  # fmt: skip
PIPELINE = dataclasses.replace(BASE, variants={"igbp": dataclasses.replace(
    BASE, read=partial(read, whole=True), spec=dataclasses.replace(
        SPEC, variant="igbp", title="SEN12MS, radar and 17 classes of land cover",
        tasks=(Task(name="landcover", kind="segmentation", classes=igbp.IGBP),)))})  # fmt: skip
