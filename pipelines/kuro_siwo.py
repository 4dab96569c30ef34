"""Kuro Siwo: 43 floods of all continents, Sentinel-1 on up to two dates before and one after, water drawn by hand.

A chip is a folder of GeoTIFFs of 224x224 pixels of 10 m in EPSG:3857, sigma0 as linear power: MS1 is of the flood
(post), SL1 of the nearest date before (pre), SL2 of an older one (pre2), IVV and IVH their bands. MK0_MLU is 0 on land,
1 on permanent water, 2 on flood; what is 3 there, or not 1 in MK0_MNA (valid), is ignored. What is odd about them:
- 0.0 is no data. Values are filtered by Lee Sigma 3x3, so that speckle has more looks than an unfiltered image.
- Chips lie in data/<activation>/<area>/<id>, those outside of all areas in data/<activation>/00/<2 of id>/<id>. The
  latter have no label and are unused.
- Some floods have no date before, or only one: the image of a date that lacks is NaN as a whole, and has no day.
- The publisher's lists are pickles, which nothing here opens. The official split goes by activation, from the
  publisher's configuration; 1111012 is in none. Names tell the day, and neither platform nor orbit.
- The variant "copernicus-bench" is Flood-S1 of that benchmark: 5,000 chips of SL1 and MS1 in one zip. Its code copies
  the means of the date after into its standard deviations; a build has its own of train. That code ignores 3 alone.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from datetime import datetime

import numpy as np

from pipelines import _copernicus_bench
from sar_data.errors import BadRecord
from sar_data.labels.fields import read_fields
from sar_data.raster import tiff
from sar_data.raster.stack import stack
from sar_data.record import IGNORE, Date, Mask, Record, Sample, SourceFile
from sar_data.sources.tree import read_with_digest
from sar_data.spec import Band, DatasetSpec, Pipeline, Processing, Source, Task, Tree
from sar_data.split import attribute_rules, declared, group, random

ABOVE = {"KuroSiwo", "data", "GRD", "flood_s1"}
CHIP = re.compile(r"(?P<event>\d+)/(?P<area>\d\d)/(?:[0-9a-f]{2}/)?(?P<id>[0-9a-f]{32})")
LEVELS = (re.compile(r"\d+"), re.compile(r"\d\d"), re.compile(r"[0-9a-f]{2}|[0-9a-f]{32}"), re.compile(r"[0-9a-f]{32}"))
FILE = re.compile(r"(?P<what>(?:MS1|SL1|SL2)_(?:IVV|IVH)|MK0_(?:MLU|MNA))_\d+_(?:\d+|NA)_(?P<day>\d{8})\.tif")
ROLES = {"SL2": "pre2", "SL1": "pre", "MS1": "post"}
GRID = re.compile(r"grid_dict_(train|val|test)\.json")
SIDE, BANDS = 224, ("IVV", "IVH")
OUTSIDE = 3
TRAIN = (
    *("130", "470", "555", "118", "174", "324", "421", "554", "427", "518", "502", "498", "497", "496", "492", "147"),
    *("267", "273", "275", "417", "567", "1111011", "1111004", "1111009", "1111010", "1111006", "1111005"),
)
VAL = ("514", "559", "279", "520", "437", "1111003", "1111008")
TEST = ("321", "561", "445", "562", "411", "1111002", "277", "1111007", "205", "1111013")


def units(tree: Tree, path: str = "", level: int = 0) -> Iterator[str]:
    """Yield the folders of chips, which lie three or four levels below that of all activations."""
    for name in tree.folders(path):
        if level == 0 and name in ABOVE:
            yield from units(tree, f"{path}{name}/")
        elif LEVELS[level].fullmatch(name):
            yield from [path + name] if len(name) == 32 else units(tree, f"{path}{name}/", level + 1)


def scan(tree: Tree, unit: str, dates: tuple[str, ...] = tuple(ROLES)) -> Iterator[Record]:
    """Yield the record of a chip, from the names of its files and the head of its newest image."""
    named = [found for name in sorted(tree.files(unit)) if (found := FILE.fullmatch(name))]
    files = {found["what"]: found for found in named}
    chip = CHIP.search(unit)
    if chip is None or len(files) < len(named):
        names = ", ".join(found[0] for found in named)
        raise BadRecord(unit, f"expected one file of each date and band in ACTIVATION/AREA/ID, found {names}")
    parts = [[files.get(f"{date}_{band}") for band in BANDS] for date in dates]
    for date, part in zip(dates, parts, strict=True):
        days = sorted({found["day"] if found else "none" for found in part})
        if len(days) > 1 or (date == "MS1" and "none" in days):
            raise BadRecord(unit, f"expected {date}_IVV and {date}_IVH of one day, found {', '.join(days)}")
    masks = [found for name in ("MK0_MNA", "MK0_MLU") if (found := files.get(name))]
    paths = [f"{unit}/{found[0]}" for found in (*(one for part in parts for one in part if one), *masks)]
    crs, transform = tiff.georeference(tree, f"{unit}/{files['MS1_IVV'][0]}")
    if crs != "EPSG:3857" or transform is None:
        raise BadRecord(paths[0], f"expected a georeference in EPSG:3857, found {crs}, {transform}")
    a, _, west, _, e, north = transform
    labelled = len(masks) == 2
    yield Record(
        key=f"{chip['event']}_{chip['id']}",
        files=tuple(SourceFile(path, tree.size(path)) for path in paths),
        labels={"flood": ()},
        group=chip["event"],
        place=f"{chip['event']}_{chip['area']}",
        dates=tuple(_date(ROLES[date], *part) for date, part in zip(dates, parts, strict=True)),
        crs=crs,
        transform=transform,
        footprint=(west, north + SIDE * e, west + SIDE * a, north),
        unused=None if labelled else "no label" if chip["area"] == "00" else "MK0_MLU or MK0_MNA lacks",
        attrs={"event": chip["event"], "area": chip["area"]},
    )


def _date(role: str, found: re.Match[str] | None, _: re.Match[str] | None) -> Date:
    return Date(role=role, time=found and datetime.strptime(f"{found['day']}+0000", "%Y%m%d%z"))


def read(tree: Tree, record: Record) -> Sample:
    """Return [date, (VV, VH), y, x] in power, float32, NaN where a date lacks, and the mask of the three classes."""
    *paths, valid, labels = (file.path for file in record.files)
    raster = stack([(path, tree.read(path)) for path in paths], shape=(SIDE, SIDE), dtype="float32")
    there = np.array([date.time is not None for date in record.dates])
    image = np.full((len(there), len(BANDS), SIDE, SIDE), np.nan, raster.image.dtype)
    image[there] = raster.image.reshape(-1, len(BANDS), SIDE, SIDE)
    nodata = np.reshape(raster.nodata, (-1, len(BANDS))).sum(axis=0) + int((~there).sum()) * SIDE * SIDE
    known, usable = _codes(tree, labels, OUTSIDE), _codes(tree, valid, 1)
    mask = np.where((known == OUTSIDE) | (usable != 1), IGNORE, known).astype(np.uint8)
    return Sample(image=image, mask=mask, nodata=tuple(nodata.tolist()), fallbacks=raster.fallbacks)


def _codes(tree: Tree, path: str, most: int) -> Mask:
    """Return the whole numbers [y, x] of a mask as its file has them; they are from 0 to `most`."""
    kinds = ("uint8", "uint16", "int16", "int32")
    codes: Mask = tiff.read(tree.read(path), path, shape=(SIDE, SIDE), dtypes=kinds, bands=1).pixels[0]
    if len(strange := np.setdiff1d(codes, range(most + 1))):
        raise BadRecord(path, f"expected values from 0 to {most}, found {strange[0]}")
    return codes


def grids(tree: Tree) -> Iterator[str]:
    """Yield the lists of Copernicus-Bench, each of which names the chips of a split."""
    for folder in ("", *(f"{name}/" for name in tree.folders() if name in ABOVE)):
        yield from (folder + name for name in tree.files(folder.rstrip("/")) if GRID.fullmatch(name))


def scan_grid(tree: Tree, unit: str) -> Iterator[Record]:
    """Yield the records of a list, in its order."""
    folder, _, name = unit.rpartition("/")
    listed, split = read_fields(unit, read_with_digest(tree, unit)[1], {}), GRID.fullmatch(name)
    for key, row in listed.items():
        path = row.get("path") if isinstance(row, dict) else None
        if not isinstance(path, str) or not CHIP.fullmatch(path) or split is None:
            raise BadRecord(unit, f"expected the path ACTIVATION/AREA/ID of {key[:40]}, found {path!r:.80}")
        (record,) = scan(tree, f"{folder}{folder and '/'}data/{path}", ("SL1", "MS1"))
        yield dataclasses.replace(record, official=split[1])


REPOSITORY = "https://github.com/Orion-AI-Lab/KuroSiwo"
HOW = "its README leads to a Dropbox folder: unpack the archives of GRD into data/ (700 GB); no checksum is published"
SPEC = DatasetSpec(
    name="kuro-siwo",
    aliases=("kurosiwo",),
    version="1.0",
    revision=1,
    title="Kuro Siwo, Sentinel-1 GRD before and after floods",
    evidence="documents-only",
    bands=tuple(Band(name=p, polarization=p, unit="power", description=f"sigma0 {p}, linear") for p in ("VV", "VH")),
    shape=(SIDE, SIDE),
    frames=3,
    dtype="float32",
    nodata=0.0,
    pixel_size_m=10.0,
    tasks=(Task(name="flood", kind="change", classes=("land", "permanent water", "flood")),),
    lists=(),
    calibration="sigma0",
    terrain_corrected=True,
    processing=Processing(
        processor="SNAP",
        thermal_noise="removed",
        border_noise="removed",
        speckle_filter="Lee Sigma 3x3",
        source="configs/grd_preprocessing.xml of the publisher's repository",
    ),
    range_axis="mixed",
    symmetries=("azimuth-flip", "range-flip"),
    sources=(Source(name="KuroSiwo", url=REPOSITORY, about=700_000_000_000, manual=HOW),),
    licence="CC-BY-4.0",
    citation="Bountos et al. 2024, Kuro Siwo, NeurIPS Datasets and Benchmarks, arXiv:2311.12056",
)
PLAIN = Pipeline(
    spec=SPEC,
    units=units,
    scan=scan,
    read=read,
    splits={
        "official": attribute_rules.AttributeRules(
            train=(f"event={'|'.join(TRAIN)}",),
            val=(f"event={'|'.join(VAL)}",),
            test=(f"event={'|'.join(TEST)}",),
            otherwise="an activation in no official split",
        ),
        "group": group.Group(),
        "random": random.Random(),
    },
)
BENCH = _copernicus_bench.copy(
    PLAIN,
    "l3_flood_s1/flood_s1.zip",
    "f4337fee5e90203c6d0c3efeb0b97b8a",
    policy=declared.Declared(),
    keeps=("group", "random"),
    frames=2,
    samples=5_000,
    published={"train": 3_000, "val": 1_000, "test": 1_000},
)
BENCH = dataclasses.replace(BENCH, units=grids, scan=scan_grid)
PIPELINE = dataclasses.replace(PLAIN, variants={_copernicus_bench.NAME: BENCH})
