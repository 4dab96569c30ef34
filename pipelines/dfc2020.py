"""DFC2020: 6,114 Sentinel-1 patches of the IEEE GRSS data fusion contest 2020, with land cover for every pixel.

A patch is a GeoTIFF ROIs0000_<part>_s1_0_p<N>.tif of two bands, 1 = VV and 2 = VH, sigma0 in dB, 256x256 pixels of
10 m; files of the same name with "dfc" hold its classes, "lc" the MODIS maps, "s2" the optical image. What is odd:
- The files hold float64, which is narrowed to float32, and an identity transform, which is no georeference.
- dfc codes are 1 to 10, of which 3 (savanna) and 8 (snow) never occur: eight classes remain, all else is ignored.
- The variant "lc" learns from the coarse maps instead: band 1 is IGBP, which is translated into the same classes.
- Folders say s1_validation, or s1_0; files always say _0. Archives wrap a folder of their name, or do not, and bring
  __MACOSX junk: files are known by their names alone, wherever they lie.
- "official" trains on the 986 validation patches and tests on 5,128, as the contest's baseline does; there is no val.
  "copernicus-bench" draws all three from the 5,128: 3,156/986/986, the others are unused. The variant of that name is
  the benchmark's copy, which has these patches and the lists.
- Where a patch was is not told, so no split can hold places apart, and leakage is unknown. The public release, by
  seasons and cities, tells the city ("group") and often the place; its seasons are no official split.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections import Counter
from collections.abc import Iterator

import numpy as np

from pipelines import _copernicus_bench
from sar_data.errors import BadRecord, SourceError
from sar_data.labels import igbp
from sar_data.naming import few
from sar_data.raster import tiff
from sar_data.record import Record, Sample, SourceFile
from sar_data.spec import Band, DatasetSpec, Pipeline, Processing, Source, Task, Tree
from sar_data.split import blocks, declared, group, official, random

FILE = re.compile(r"ROIs0000_(?P<part>validation|test)_(?P<kind>s1|s2|lc|dfc)_(?P<scene>\d+)_p(?P<n>\d+)\.tif")
PUBLIC = re.compile(
    r"ROIs0000_(?P<season>autumn|spring|summer|winter)_(?P<kind>s1|s2|lc|dfc)_(?P<city>[A-Za-z]+)_p(?P<n>\d+)\.tif"
)
KEPT = (1, 2, 4, 5, 6, 7, 9, 10)  # the codes that occur, in the order of their contiguous indices
CLASSES = tuple(igbp.DFC[code - 1] for code in KEPT)
SHAPE, OFFICIAL = (256, 256), {"validation": "train", "test": "test"}


def _tiffs(tree: Tree, path: str = "", below: int = 4) -> Iterator[str]:
    for name in tree.files(path):
        if name.endswith(".tif") and name[0] != ".":
            yield path + name
    for name in tree.folders(path) if below else ():
        if name != "__MACOSX":
            yield from _tiffs(tree, f"{path}{name}/", below - 1)


def units(tree: Tree, below: int = 4) -> Iterator[str]:
    """Yield the radar images up to `below` levels down, and beside such TIFFs of strange names: `scan` refuses them."""
    named = {path: FILE.fullmatch(path.rpartition("/")[2]) for path in _tiffs(tree, below=below)}
    yield from (p for p, name in named.items() if any(named.values()) and (name is None or name["kind"] == "s1"))


@functools.lru_cache(maxsize=2)
def _labels(tree: Tree) -> dict[str, str]:
    """Return the path of every file of labels, by its name."""
    paths: dict[str, str] = {}
    for path in _tiffs(tree):
        name = path.rpartition("/")[2]
        if "_s1_" not in name and paths.setdefault(name, path) != path:
            raise SourceError(f"expected {name} once, found {paths[name]} and {path}: remove one of the copies")
    return paths


def scan(tree: Tree, unit: str, kind: str = "dfc") -> Iterator[Record]:
    """Yield the patch's record, from its name and the place of its labels."""
    name = unit.rpartition("/")[2]
    if (named := FILE.fullmatch(name)) is None:
        raise BadRecord(unit, f"expected a name that matches {FILE.pattern}, found {name}")
    partner = name.replace("_s1_", f"_{kind}_")
    if (labels := _labels(tree).get(partner)) is None:
        raise BadRecord(unit, f"expected {partner} in the source, found none")
    yield Record(
        key=name.removesuffix(".tif"),
        files=(SourceFile(unit, tree.size(unit)), SourceFile(labels, tree.size(labels))),
        labels={"landcover": ()},
        official=OFFICIAL[named["part"]],
        attrs={"part": named["part"], "dfc_name": name.replace("_s1_", "_dfc_")},
    )


def public_units(tree: Tree) -> Iterator[str]:
    """Yield the radar images of the public release, and beside such TIFFs of strange names, which its scan refuses."""
    named = {path: PUBLIC.fullmatch(path.rpartition("/")[2]) for path in _tiffs(tree)}
    yield from (p for p, name in named.items() if any(named.values()) and (name is None or name["kind"] == "s1"))


def scan_public(tree: Tree, unit: str, kind: str = "dfc") -> Iterator[Record]:
    """Yield the record of a patch of the public release: its city is told, and its place where it has one."""
    name = unit.rpartition("/")[2]
    if (named := PUBLIC.fullmatch(name)) is None:
        raise BadRecord(unit, f"expected a name that matches {PUBLIC.pattern}, found {name}")
    partner = name.replace("_s1_", f"_{kind}_")
    if (labels := _labels(tree).get(partner)) is None:
        raise BadRecord(unit, f"expected {partner} in the source, found none")
    crs, transform = tiff.georeference(tree, unit)
    footprint = None
    if crs and transform:
        a, _, west, _, e, north = transform
        footprint = (west, north + SHAPE[0] * e, west + SHAPE[1] * a, north)
    yield Record(
        key=name.removesuffix(".tif"),
        files=(SourceFile(unit, tree.size(unit)), SourceFile(labels, tree.size(labels))),
        labels={"landcover": ()},
        group=named["city"],
        place=named["city"],
        crs=crs,
        transform=transform,
        footprint=footprint,
        attrs={"season": named["season"], "city": named["city"]},
    )


def copies(tree: Tree, kind: str = "dfc") -> tuple[Pipeline, str] | None:
    """Return the pipeline of the public release by seasons and cities; raise SourceError for crops of another label."""
    _labels.cache_clear()  # a build begins here: the source may have changed since the last
    named = (PUBLIC.fullmatch(path.rpartition("/")[2]) for path in public_units(tree))
    cities = Counter(name["city"] for name in named if name)
    if not cities:
        words = {word for path in _tiffs(tree) for word in re.split(r"[/_.]", path.lower())}
        if {"radar", "optical", "label"} <= words:
            raise SourceError(
                "expected the contest's maps (dfc) as labels, found crops called radar, optical and label, as in "
                "GFM-Bench: its labels are the MODIS maps of 500 m, and no result compares with the contest's. "
                "Take the files of the contest: sar-data info dfc2020"
            )
        return None
    base = PIPELINE if kind == "dfc" else PIPELINE.variants["lc"]
    copy = dataclasses.replace(
        base,
        units=public_units,
        scan=functools.partial(scan_public, kind=kind),
        splits={"group": group.Group(), "blocks": blocks.Blocks(), "random": random.Random()},
        copies=None,
    )
    return copy, f"the public release, {cities.total():,} patches of {few(sorted(cities))}; `split=group` parts cities"


def read(tree: Tree, record: Record, kind: str = "dfc") -> Sample:
    """Return [VV, VH] in dB, [2, 256, 256] in the float type of the file, and the mask of the eight classes."""
    path, labels = (file.path for file in record.files)
    raster = tiff.read(tree.read(path), path, shape=SHAPE, dtypes=("float32", "float64"), bands=2)
    cover = tiff.read(tree.read(labels), labels, shape=SHAPE, dtypes=igbp.INTEGERS, bands=1 if kind == "dfc" else 4)
    codes = cover.codes(0)[0] if kind == "dfc" else igbp.simplify(cover.codes(0)[0], labels)
    if len(strange := np.setdiff1d(codes, np.arange(11))):
        raise BadRecord(labels, f"expected classes 1 to 10, or 0 for none, found {strange[:4].tolist()}")
    mask = np.full(11, 255, np.uint8)
    mask[list(KEPT)] = np.arange(len(KEPT))
    return Sample(
        image=raster.pixels, mask=mask[codes], nodata=raster.filled, fallbacks=raster.fallback + cover.fallback
    )


HOME = "https://ieee-dataport.org/competitions/2020-ieee-grss-data-fusion-contest"
HOW = "log in at IEEE DataPort, download it from the contest's page and unpack it; no checksum is published"
BENCH, BENCH_MD5 = "l2_dfc2020_s1s2/dfc2020.zip", "f10ba017dab6f38b7a6857b169ea924b"
UNPACK = f"unpack it from this zip (md5 {BENCH_MD5}) of Copernicus-Bench; name it by `lists=…`"
ZIPS = {"s1_validation": 948, "dfc_validation": 6, "s1_0": 4960, "dfc_0": 36}  # MB, as one user found them
LISTS = ("dfc-train-new.csv", "dfc-val-new.csv", "dfc-test-new.csv")
SPEC = DatasetSpec(
    name="dfc2020",
    aliases=("dfc-2020",),
    version="1.0",
    revision=1,
    title="DFC2020",
    evidence="documents-only",
    samples=6114,
    published={"train": 986, "test": 5128},
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
    tasks=(Task(name="landcover", kind="segmentation", classes=CLASSES),),
    sources=(
        *(Source(name=f"{name}.zip", url=HOME, note=f"{mb} MB", manual=HOW) for name, mb in ZIPS.items()),
        *(Source(name=name, url=_copernicus_bench.HOME + BENCH, manual=UNPACK) for name in LISTS),
    ),
    lists=LISTS,
    licence="CC-BY-4.0",
    citation="Robinson et al. 2021, DFC2020, doi:10.21227/rha7-m332",
)
PLAIN = Pipeline(
    spec=SPEC,
    units=units,
    scan=scan,
    read=read,
    copies=copies,
    copy_splits={"group": group.Group(), "blocks": blocks.Blocks()},
    layouts={
        "public release": ("ROIs0000_*/s1_*/ROIs0000_*_s1_*_p*.tif", "ROIs0000_*/dfc_*/ROIs0000_*_dfc_*_p*.tif"),
        "packs of IEEE DataPort": ("s1_{0,validation}.zip", "dfc_{0,validation}.zip"),
        "Copernicus-Bench": ("s1/ROIs0000_test_s1_0_p*.tif", "dfc/ROIs0000_test_dfc_0_p*.tif", "dfc-*-new.csv"),
    },
    splits={
        "official": declared.Declared(),
        "random": random.Random(),
        "copernicus-bench": official.Official(
            train=LISTS[0],
            val=LISTS[1],
            test=LISTS[2],
            alias_attr="dfc_name",
            mapping=None,
            id_pattern=FILE.pattern,
            subset=True,
        ),
    },
)
COARSE = dataclasses.replace(SPEC, variant="lc", title="DFC2020 with the MODIS maps as labels")
PIPELINE = dataclasses.replace(
    PLAIN,
    variants={
        "lc": dataclasses.replace(
            PLAIN,
            spec=COARSE,
            scan=functools.partial(scan, kind="lc"),
            read=functools.partial(read, kind="lc"),
            copies=functools.partial(copies, kind="lc"),
        ),
        _copernicus_bench.NAME: dataclasses.replace(
            _copernicus_bench.copy(
                PLAIN,
                BENCH,
                BENCH_MD5,
                policy=PLAIN.splits["copernicus-bench"],
                keeps=("random",),
                samples=5128,
                published={},
            ),
            units=functools.partial(units, below=2),  # from where the lists are at most one folder down
        ),
    },
)
