"""SEN12MS: 180,662 Sentinel-1 patches of 252 scenes all over the world, in four seasons, with MODIS land cover.

A patch is a GeoTIFF <season>/s1_<scene>/<season>_s1_<scene>_p<n>.tif of two bands, 1 = VV and 2 = VH, sigma0 in dB,
256x256 pixels of 10 m; in lc_<scene>/ lies a file of four bands of MODIS classes (500 m, resampled). What is odd:
- Patches of a scene overlap by half: no split may part a scene ("group" does not, and "random" is for comparison).
- The official lists name the Sentinel-2 partners, hold out 26 scenes for test and know no val; "official-val" takes
  whole scenes of train for it. Their licence forbids to copy them: they are fetched, and their md5 is known.
- ROIs1868_summer_s1_146_p202.tif holds NaN; it is in no list, and unused here.
- Documents do not agree on the type of the values: any float is read, and stored as float32.
- Band 1 of lc is IGBP (17 classes). Labels are the ten of the contest of 2020; the variant "igbp" keeps the 17.
- SEN12MS-CR has the same archive names in another tree; it is another dataset.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterator

import numpy as np

from sar_data.errors import BadRecord
from sar_data.labels import igbp
from sar_data.raster import tiff
from sar_data.record import Record, Sample, SourceFile
from sar_data.spec import Band, DatasetSpec, Pipeline, Processing, Source, Task, Tree
from sar_data.split import blocks, group, official, official_with_val, random

SEASONS = "1158_spring|1868_summer|1970_fall|2017_winter"
FOLDER, SEASON = re.compile(r"s1_(\d+)"), re.compile(rf"ROIs(?:{SEASONS})/$")
APART = re.compile(rf"ROIs(?:{SEASONS})_s1/(?:ROIs(?:{SEASONS})/)?$")  # archives unpacked to folders of their names
FILE = re.compile(rf"(?P<season>ROIs(?:{SEASONS}))_s1_(?P<scene>\d+)_p(?P<patch>\d+)\.tif")
PARTNER = re.compile(rf"ROIs(?:{SEASONS})_s2_\d+_p\d+\.tif")
BROKEN = {"ROIs1868_summer_s1_146_p202": "holds NaN, and is in no official list"}
SHAPE, FLOATS = (256, 256), ("float16", "float32", "float64")


def units(tree: Tree, path: str = "", below: int = 3, season: re.Pattern[str] = SEASON) -> Iterator[str]:
    """Yield the radar images of all scene folders up to three levels below the root."""
    for name in tree.folders(path):
        if FOLDER.fullmatch(name) and season.search(path) and (season is APART or not APART.search(path)):
            yield from (f"{path}{name}/{file}" for file in tree.files(path + name) if file.endswith(".tif"))
        elif below:
            yield from units(tree, f"{path}{name}/", below - 1, season)


def copies(tree: Tree, ten: bool = True) -> tuple[Pipeline, str] | None:
    """Return the pipeline of archives that were each unpacked to a folder of its name."""
    apart = functools.partial(units, season=APART)
    if next(apart(tree), None) is None:
        return None
    base = PIPELINE if ten else SEVENTEEN
    copy = dataclasses.replace(base, units=apart, scan=functools.partial(scan, apart=True), copies=None)
    return copy, "a folder for each archive, such as ROIs1158_spring_s1 and ROIs1158_spring_lc"


def scan(tree: Tree, unit: str, apart: bool = False) -> Iterator[Record]:
    """Yield the patch's record, from its name and its header; images and labels may lie `apart`."""
    folder, name = unit.split("/")[-2:]
    named = FILE.fullmatch(name)
    if named is None or folder != f"s1_{named['scene']}":
        raise BadRecord(unit, f"expected a patch of {folder} whose name matches {FILE.pattern}, found {name}")
    labels = unit.removesuffix(f"{folder}/{name}") + f"lc_{named['scene']}/{name.replace('_s1_', '_lc_')}"
    if apart:
        labels = labels.replace(f"{named['season']}_s1/", f"{named['season']}_lc/", 1)
    crs, transform = tiff.georeference(tree, unit)
    footprint = None
    if crs and transform:
        a, _, west, _, e, north = transform
        footprint = (west, north + SHAPE[0] * e, west + SHAPE[1] * a, north)
    key = name.removesuffix(".tif")
    yield Record(
        key=key,
        files=(SourceFile(unit, tree.size(unit)), SourceFile(labels, tree.size(labels))),
        labels={"landcover": ()},
        group=(ground := f"{named['season']}_{named['scene']}"),
        place=ground,
        unused=BROKEN.get(key),
        crs=crs,
        transform=transform,
        footprint=footprint,
        attrs={
            "season": named["season"].partition("_")[2],
            "scene": named["scene"],
            "patch": named["patch"],
            "s2_name": name.replace("_s1_", "_s2_"),
        },
    )


def named(key: str) -> Record | None:
    """Return the record of a patch by its name alone, or by its partner's, which official lists have.

    It tells the scene, not where in it the patch lies.
    """
    key = key.replace("_s2_", "_s1_")
    if (match := FILE.fullmatch(f"{key}.tif")) is None:
        return None
    scene = f"{match['season']}_{match['scene']}"
    return Record(key=key, files=(), group=scene, place=scene)


def read(tree: Tree, record: Record, ten: bool = True) -> Sample:
    """Return [VV, VH] in dB, float [2, 256, 256], and the mask of the ten classes, or of the 17 of IGBP."""
    path, labels = (file.path for file in record.files)
    raster = tiff.read(tree.read(path), path, shape=SHAPE, dtypes=FLOATS, bands=2)
    cover = tiff.read(tree.read(labels), labels, shape=SHAPE, dtypes=igbp.INTEGERS, bands=4)
    codes = (igbp.simplify if ten else igbp.codes)(cover.codes(0)[0], labels)
    image = raster.pixels.astype(np.float32) if raster.pixels.dtype == np.float16 else raster.pixels
    mask = np.where(codes == 0, 255, codes - 1).astype(np.uint8)  # codes count from 1, indices from 0
    return Sample(image=image, mask=mask, nodata=raster.filled, fallbacks=raster.fallback + cover.fallback)


MD5 = {
    "ROIs1158_spring_lc": "6e2e8fa8b8cba77ddab49fd20ff5c37b",
    "ROIs1158_spring_s1": "fba019bb27a08c1db96b31f718c34d79",
    "ROIs1868_summer_lc": "2c5bd80244440b6f9d54957c6b1f23d4",
    "ROIs1868_summer_s1": "01044b7f58d33570c6b57fec28a3d449",
    "ROIs1970_fall_lc": "9b126a68b0e3af260071b3139cb57cee",
    "ROIs1970_fall_s1": "19132e0aab9d4d6862fd42e8e6760847",
    "ROIs2017_winter_lc": "0fa0420ef7bcfe4387c7e6fe226dc728",
    "ROIs2017_winter_s1": "bb8cbfc16b95a4f054a3d5380e0130ed",
}
LISTS = {"train_list.txt": "0a68d4e1eb24f128fccdb930000b2546", "test_list.txt": "c7faad064001e646445c4c634169484d"}
TOOLBOX = "https://raw.githubusercontent.com/schmitt-muc/SEN12MS/master/splits"
HOME = "https://mediatum.ub.tum.de/1474000"
HOW = "get it by rsync://m1474000@dataserv.ub.tum.de/m1474000/ (password m1474000) and unpack it"
SPEC = DatasetSpec(
    name="sen12ms",
    version="1.0",
    revision=1,
    title="SEN12MS, Sentinel-1",
    evidence="documents-only",
    samples=180_662,
    bands=tuple(Band(name=p, polarization=p, unit="dB", description=f"sigma0 {p}") for p in ("VV", "VH")),
    shape=SHAPE,
    dtype="float32",
    wider=("float64",),
    pixel_size_m=10.0,
    calibration="sigma0",
    terrain_corrected=True,
    processing=Processing(),
    range_axis="mixed",
    symmetries=("azimuth-flip", "range-flip"),
    lists=tuple(LISTS),
    tasks=(Task(name="landcover", kind="segmentation", classes=igbp.DFC),),
    sources=(
        *(Source(name=f"{name}.tar.gz", url=HOME, checksum=f"md5:{md5}", manual=HOW) for name, md5 in MD5.items()),
        *(Source(name=name, url=f"{TOOLBOX}/{name}", checksum=f"md5:{md5}") for name, md5 in LISTS.items()),
    ),
    licence="CC-BY-4.0",
    citation="Schmitt et al. 2019, SEN12MS, doi:10.14459/2019mp1474000",
)
PLAIN = Pipeline(
    spec=SPEC,
    units=units,
    scan=scan,
    read=read,
    named=named,
    copies=copies,
    layouts={
        "one season": ("s1_*/ROIs1158_spring_s1_*_p*.tif", "lc_*/ROIs1158_spring_lc_*_p*.tif"),
        "a folder an archive": (
            "ROIs1158_spring_s1/ROIs1158_spring/s1_*/*.tif",
            "ROIs1158_spring_lc/ROIs1158_spring/lc_*/*.tif",
        ),
    },
    splits={
        "official": official.Official(
            train="train_list.txt", val=None, test="test_list.txt", mapping=None, id_pattern=PARTNER.pattern
        ),
        "official-val": official_with_val.OfficialWithVal(
            train="train_list.txt", val=None, test="test_list.txt", mapping=None, id_pattern=PARTNER.pattern
        ),
        "group": group.Group(),
        "blocks": blocks.Blocks(),
        "random": random.Random(),
    },
)
WHOLE = dataclasses.replace(
    SPEC,
    variant="igbp",
    title="SEN12MS, Sentinel-1, with the 17 classes of IGBP",
    tasks=(Task(name="landcover", kind="segmentation", classes=igbp.IGBP),),
)
SEVENTEEN = dataclasses.replace(
    PLAIN, spec=WHOLE, read=functools.partial(read, ten=False), copies=functools.partial(copies, ten=False)
)
PIPELINE = dataclasses.replace(PLAIN, variants={"igbp": SEVENTEEN})
