"""EuroSAT-SAR: 27,000 Sentinel-1 patches of the places of EuroSAT, one land use class each.

A sample is one GeoTIFF <Class>/<Class>_<n>.tif with two bands, 1 = VV and 2 = VH, sigma0 in dB, 64x64 pixels of
nearly 10 m. What is odd about the data:
- The order of the classes is alphabetical here, as in FG-MAE; Copernicus-Bench numbers the same ten otherwise.
- There is no official split. FG-MAE draws 80/20 with scikit-learn ("fgmae", no val); its run scripts say seed 42.
  "fgmae-val" has the same test, and a val of blocks of places of its train.
  "stratified" is a 60/20/20 of the sizes that Copernicus-Bench uses, but not its list; the variant "copernicus-bench"
  is its copy, with its lists.
- The scene of a patch is not recorded, so no split can hold scenes apart: "blocks" and "group" (cells of 10 km) hold
  places apart.
- The statistics that circulate (VV -12.59, VH -20.26 dB) are those of SSL4EO-S12, not of these files.
No real file was at hand: band order, unit and georeference are those of the documents. A file may lack a
georeference, and may hold float64 as its sibling DFC2020 does: it is narrowed to float32, and the manifest counts it.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator
from functools import partial

from pipelines import _copernicus_bench, _eurosat_rows
from sar_data.errors import BadRecord
from sar_data.labels.discovery import walk
from sar_data.labels.splits import split_of
from sar_data.naming import few
from sar_data.raster import tiff
from sar_data.record import Record, Sample, SourceFile
from sar_data.spec import Band, DatasetSpec, Pipeline, Processing, Source, Task, Tree
from sar_data.split import blocks, folders, group, path_lists, random, sklearn_with_val, stratified
from sar_data.split.folders import ATTR
from sar_data.split.policy import SPLITS

CLASSES = (
    "AnnualCrop",
    "Forest",
    "HerbaceousVegetation",
    "Highway",
    "Industrial",
    "Pasture",
    "PermanentCrop",
    "Residential",
    "River",
    "SeaLake",
)
LISTED = "all_imgs"  # the folder of Copernicus-Bench, beside its lists
PLACED = ("blocks", "fgmae-val", "group")  # the splits that need to know where a patch lies
FILE = re.compile(r"(?P<cls>[A-Za-z]+)_(?P<n>\d+)\.tif")


def units(tree: Tree, path: str = "", below: int = 2, parted: bool = False) -> Iterator[str]:
    """Yield the GeoTIFFs of the class folders at the root or up to two levels below.

    Without `parted`, those below folders that a copy is split or listed by are left to `copies`.

    Folders beside a class folder count as such if they hold files named like patches: `scan` refuses those, for
    an unknown class is no reason to leave samples out.
    """
    here = tree.folders(path)
    if not parted and (split_of(path) or path.endswith(f"{LISTED}/")):
        return
    if set(CLASSES).isdisjoint(here):
        for name in here if below else ():
            yield from units(tree, f"{path}{name}/", below - 1, parted)
        return
    for name in here:
        for file in tree.files(path + name):
            if FILE.fullmatch(file) or (name in CLASSES and file.endswith(".tif") and file[0] != "."):
                yield f"{path}{name}/{file}"


def by_name(tree: Tree) -> Iterator[str]:
    """Yield the GeoTIFFs that are named as patches are, in folders of any names."""
    for path in walk(tree):
        if (named := FILE.fullmatch(path.rpartition("/")[2])) and named["cls"] in CLASSES:
            yield path


def scan(tree: Tree, unit: str, in_folders: bool = True) -> Iterator[Record]:
    """Yield the file's record, from its name and its header; the name and the class folder say the same."""
    above, _, name = unit.rpartition("/")
    named = FILE.fullmatch(name)
    folder = above.rpartition("/")[2] if in_folders or named is None else named["cls"]
    if named is None or named["cls"] != folder:
        raise BadRecord(unit, f"expected a name like {folder}_1.tif in the folder {folder}, found {name}")
    if folder not in CLASSES:
        raise BadRecord(unit, f"expected one of the classes {few(CLASSES)}, found {folder}")
    size = tree.size(unit)
    yield Record(
        key=name.removesuffix(".tif"),
        files=(SourceFile(unit, size),),
        labels={"landuse": (CLASSES.index(folder),)},
        attrs={ATTR: split} if (split := split_of(unit)) else {},
        **_eurosat_rows.place(*tiff.georeference(tree, unit)),
    )


def read(tree: Tree, record: Record) -> Sample:
    """Return [VV, VH] in dB, [2, 64, 64], in the float type of the file."""
    path = record.files[0].path
    raster = tiff.read(tree.read(path), path, shape=(64, 64), dtypes=("float32", "float64"), bands=2)
    return Sample(image=raster.pixels, nodata=raster.filled, fallbacks=int(raster.fallback))


def list_units(tree: Tree) -> Iterator[str]:
    """Yield the GeoTIFFs of Copernicus-Bench's copy."""
    yield from (path for path in units(tree, below=3, parted=True) if f"{LISTED}/" in path)


def copies(tree: Tree) -> tuple[Pipeline, str] | None:
    """Return the pipeline of class folders below those of a split, of Copernicus-Bench's copy, or of Parquet files."""
    splits = dict(PIPELINE.splits)
    if patches := list(units(tree, below=3, parted=True)):
        parts = Counter(split_of(path) for path in patches)
        copy = dataclasses.replace(PIPELINE, units=partial(units, below=3, parted=True), copies=None)
        if any(f"{LISTED}/" in path for path in patches):
            return copy, f"class folders in {LISTED}, {len(patches):,} patches; its lists are `split=copernicus-bench`"
        if None in parts:
            return copy, f"class folders in {patches[0].rsplit('/', 2)[0]}, {len(patches):,} patches"
        for drawn in ("fgmae", "fgmae-val"):  # in the order of the classes' folders, which a split of folders changes
            del splits[drawn]
        counts = " + ".join(f"{parts[name]:,} {name}" for name in SPLITS if parts[name])
        own = {"folders": folders.Folders()} if parts["train"] else {}
        return dataclasses.replace(copy, splits={**own, **splits}), f"class folders in {counts}: `split=folders`"
    if patches := list(by_name(tree)):
        copy = dataclasses.replace(PIPELINE, units=by_name, scan=partial(scan, in_folders=False), copies=None)
        if any(split_of(path) == "train" for path in patches):
            copy = dataclasses.replace(copy, splits={"folders": folders.Folders(), **splits})
        return copy, f"{len(patches):,} patches whose names tell the class, wherever they lie"
    files = list(_eurosat_rows.units(tree))
    if not files or not _eurosat_rows.holds_tiffs(tree, min(files)):
        return None
    placed = _eurosat_rows.is_placed(tree, min(files))
    georeference = "with their georeference" if placed else "without a georeference: no place is known"
    return dataclasses.replace(
        PIPELINE,
        units=_eurosat_rows.units,
        scan=partial(_eurosat_rows.scan, classes=CLASSES, name=FILE),
        read=_eurosat_rows.read,
        splits={name: policy for name, policy in splits.items() if placed or name not in PLACED},
        copies=None,
    ), f"Parquet, {len(files):,} files whose rows are patches {georeference}"


BENCH = path_lists.PathLists(
    train="eurosat-train.txt", val="eurosat-val.txt", test="eurosat-test.txt", pattern=r"([A-Za-z]+_\d+)\.\w+"
)
PLAIN = Pipeline(
    spec=DatasetSpec(
        name="eurosat-sar",
        aliases=("eurosat", "eurosat-s1"),
        version="1.0",
        revision=1,
        title="EuroSAT-SAR",
        evidence="documents-only",
        bands=tuple(Band(name=p, polarization=p, unit="dB", description=f"sigma0 {p}") for p in ("VV", "VH")),
        shape=(64, 64),
        dtype="float32",
        wider=("float64",),
        pixel_size_m=10.0,
        tasks=(Task(name="landuse", kind="multiclass", classes=CLASSES),),
        sources=(
            Source(
                name="EuroSAT-SAR.zip",
                about=922_000_000,
                note="the address follows `main`, for no revision was verified",
                url="https://huggingface.co/datasets/wangyi111/EuroSAT-SAR/resolve/main/EuroSAT-SAR.zip",
            ),
        ),
        lists=(),
        licence="MIT",
        samples=27_000,
        published=dict(zip(CLASSES, (3000, 3000, 3000, 2500, 2500, 2000, 2500, 3000, 2500, 3000), strict=True)),
        calibration="sigma0",
        processing=Processing(),
        range_axis="mixed",
        symmetries=("azimuth-flip", "range-flip"),
        citation="Wang et al. 2023, Feature Guided Masked Autoencoder, arXiv:2310.18653",
    ),
    units=units,
    scan=scan,
    read=read,
    copies=copies,
    copy_splits={"folders": folders.Folders(), "copernicus-bench": BENCH},
    layouts={
        "folders of a split": ("train/*/*_1.tif", "test/*/*_1.tif"),
        "Copernicus-Bench": ("all_imgs/*/*_1.tif", "eurosat-{train,val,test}.txt"),
        "flat": ("AnnualCrop_1.tif", "SeaLake_1.tif"),
        "Parquet of a hub": ("default/train/*.parquet",),
    },
    splits={
        "fgmae": stratified.SklearnStratified(train=0.8),
        "fgmae-val": sklearn_with_val.SklearnWithVal(train=0.8),
        "stratified": stratified.Stratified(train=0.6, val=0.2, test=0.2),
        "random": random.Random(),
        "blocks": blocks.Blocks(),
        "group": group.Group(by="place"),
    },
)
PIPELINE = dataclasses.replace(
    PLAIN,
    variants={
        _copernicus_bench.NAME: dataclasses.replace(
            _copernicus_bench.copy(
                PLAIN,
                "l2_eurosat_s1s2/eurosat_s1.zip",
                "e7e7f8fc68fc55a7a689cb654912ff3f",
                policy=BENCH,
                keeps=tuple(PLAIN.splits),
                licence="CC-BY-4.0",
            ),
            units=list_units,
        )
    },
)
