"""Sen1Floods11 v1.1: 446 chips of eleven floods with water drawn by hand, and 4,385 with labels that were computed.

A chip is a GeoTIFF <EVENT>_<CHIP>_S1Hand.tif of VV and VH, sigma0 in dB of Google Earth Engine, 512x512 pixels of 10 m
in degrees, on one date; LabelHand has 1 where there is water, be it flood or river, 0 elsewhere, and -1 where nobody
could see it, which is ignored here. What is odd about them:
- Missing pixels are NaN. Do not make them 0 before normalization: 0 dB is a bright reflector.
- The official lists have no heading, and one row each for train (252), val (89) and test (90) chips of ten floods, so
  that val and test show floods that were trained on. Bolivia (15) is held out: the split "bolivia" tests on it alone.
- The variants "weak" and "weak-otsu" train on the 4,385 chips of WeaklyLabeled, labelled by an index of Sentinel-2 or
  by a threshold of VH, and test on what was drawn by hand.
- Names say Mekong where the publisher's table says Cambodia. That table has a day, a pass and an orbit for each flood.
- Permanent water (perm_water), Sentinel-2 and the labels by JRC are not read.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterator

import numpy as np

from pipelines._steps_before import EARTH_ENGINE
from sar_data.errors import BadRecord
from sar_data.raster import tiff
from sar_data.record import IGNORE, Record, Sample, SourceFile
from sar_data.spec import Band, DatasetSpec, Pipeline, Source, Task, Tree
from sar_data.split import attribute_rules, blocks, group, official, random

# Event → day, pass and relative orbit of its Sentinel-1 image (Sen1Floods11_Metadata.geojson).
EVENTS = {
    "Bolivia": ("2018-02-15", "descending", 156),
    "Colombia": ("2018-08-22", "ascending", 106),
    "Ghana": ("2018-09-18", "ascending", 147),
    "India": ("2016-08-12", "descending", 77),
    "Mekong": ("2018-08-05", "ascending", 26),
    "Nigeria": ("2018-09-21", "ascending", 103),
    "Pakistan": ("2017-06-28", "descending", 5),
    "Paraguay": ("2018-10-31", "descending", 68),
    "Somalia": ("2018-05-07", "ascending", 116),
    "Spain": ("2019-09-17", "descending", 110),
    "Sri-Lanka": ("2017-05-30", "descending", 19),
    "USA": ("2019-05-22", "ascending", 136),
}
HELD_OUT, SIDE = "Bolivia", 512
LABELS = {"S1Hand": "LabelHand", "S1Weak": "S2IndexLabelWeak", "S1": "Labels"}  # the last in the repository's sample
ABOVE = {"sen1floods11", "v1.1", "data", "flood_events", "HandLabeled", "WeaklyLabeled", "sample"}
FILE = re.compile(r"(?P<event>[A-Za-z-]+)_(?P<chip>\d+)_S1(?P<how>Hand|Weak)\.tif")


def units(tree: Tree, path: str = "", how: tuple[str, ...] = ("Hand",)) -> Iterator[str]:
    """Yield the radar images of the folders that the publisher's tree has."""
    for name in tree.folders(path):
        if name in LABELS:
            suffixes = tuple(f"_S1{one}.tif" for one in how)
            yield from (f"{path}{name}/{file}" for file in tree.files(path + name) if file.endswith(suffixes))
        elif name in ABOVE:
            yield from units(tree, f"{path}{name}/", how)


def scan(tree: Tree, unit: str, weak: str = LABELS["S1Weak"]) -> Iterator[Record]:
    """Yield the record of a chip, from its name and its header; `weak` is the folder of the computed labels."""
    home, folder, name = f"/{unit}".rsplit("/", 2)
    named = FILE.fullmatch(name)
    if named is None or (event := named["event"]) not in EVENTS:
        raise BadRecord(unit, f"expected a chip EVENT_NUMBER_S1Hand.tif of {', '.join(EVENTS)}, found {name}")
    beside, kind = (weak, weak) if named["how"] == "Weak" else (LABELS[folder], "LabelHand")
    labels = f"{home}/{beside}/{event}_{named['chip']}_{kind}.tif".removeprefix("/")
    crs, transform = tiff.georeference(tree, unit)
    if crs != "EPSG:4326" or transform is None:
        raise BadRecord(unit, f"expected a georeference in EPSG:4326, found {crs}, {transform}")
    a, _, west, _, e, north = transform
    day, orbit_pass, orbit = EVENTS[event]
    yield Record(
        key=f"{event}_{named['chip']}" + ("_weak" if named["how"] == "Weak" else ""),
        files=(SourceFile(unit, tree.size(unit)), SourceFile(labels, tree.size(labels))),
        labels={"water": ()},
        group=event,
        place=event,
        orbit_pass=orbit_pass,
        relative_orbit=orbit,
        crs=crs,
        transform=transform,
        footprint=(west, north + SIDE * e, west + SIDE * a, north),
        attrs={"event": event, "day": day, "labels": named["how"].lower(), "list_name": name},
    )


def read(tree: Tree, record: Record) -> Sample:
    """Return [VV, VH] in dB, float32 [2, 512, 512], and the mask: 1 is water, 255 was not to be seen."""
    path, labels = (file.path for file in record.files)
    raster = tiff.read(tree.read(path), path, shape=(SIDE, SIDE), dtypes=("float32",), bands=2)
    stored = tiff.read(tree.read(labels), labels, shape=(SIDE, SIDE), dtypes=("int8", "int16"), bands=1)
    codes = stored.codes(-1)[0]
    if len(strange := np.setdiff1d(codes, (-1, 0, 1))):
        raise BadRecord(labels, f"expected labels -1, 0 and 1, found {strange[0]}")
    mask = np.where(codes < 0, IGNORE, codes).astype(np.uint8)
    return Sample(image=raster.pixels, mask=mask, nodata=raster.filled, fallbacks=raster.fallback + stored.fallback)


def by_lists(test: str) -> official.Official:
    """Return the split by the official lists that tests on one of them."""
    return official.Official(
        train="flood_train_data.csv",
        val="flood_valid_data.csv",
        test=test,
        alias_attr="list_name",
        mapping=None,
        id_pattern=r"[A-Za-z-]+_\d+_(?:S1|Label)Hand\.tif",
        subset=True,
    )


BUCKET = "https://storage.googleapis.com/sen1floods11/v1.1"
HOW = "gsutil -m rsync -r gs://sen1floods11/v1.1 v1.1 (14 GB); no checksum is published"
LISTS = tuple(f"flood_{name}_data.csv" for name in ("train", "valid", "test", "bolivia"))
SPEC = DatasetSpec(
    name="sen1floods11",
    version="1.1",
    revision=1,
    title="Sen1Floods11, Sentinel-1",
    evidence="real-files",
    samples=446,
    published={"train": 252, "val": 89, "test": 90},
    bands=tuple(Band(name=p, polarization=p, unit="dB", description=f"sigma0 {p}") for p in ("VV", "VH")),
    shape=(SIDE, SIDE),
    dtype="float32",
    pixel_size_m=10.0,
    tasks=(Task(name="water", kind="segmentation", classes=("no water", "water")),),
    lists=LISTS,
    calibration="sigma0",
    terrain_corrected=True,
    processing=dataclasses.replace(EARTH_ENGINE, processor="Sentinel-1 IPF"),
    range_axis="mixed",
    symmetries=("azimuth-flip", "range-flip"),
    sources=(
        Source(name="v1.1", url=BUCKET, about=14_000_000_000, manual=HOW),
        *(Source(name=name, url=f"{BUCKET}/splits/flood_handlabeled/{name}") for name in LISTS),
    ),
    licence="none stated in the repository: see the publisher's page",
    citation="Bonafilia et al. 2020, Sen1Floods11, CVPR EarthVision, doi:10.1109/CVPRW50498.2020.00113",
)
PLAIN = Pipeline(
    spec=SPEC,
    units=units,
    scan=scan,
    read=read,
    splits={
        "official": by_lists("flood_test_data.csv"),
        "bolivia": by_lists("flood_bolivia_data.csv"),
        "group": group.Group(),
        "blocks": blocks.Blocks(),
        "random": random.Random(),
    },
)


def weakly(variant: str, folder: str, labels: str) -> Pipeline:
    """Return the pipeline that trains on computed labels and tests on those by hand."""
    ten = f"event={'|'.join(sorted(EVENTS.keys() - {HELD_OUT}))}"
    rules = functools.partial(attribute_rules.AttributeRules, train=(f"labels=weak {ten}",))
    return dataclasses.replace(
        PLAIN,
        spec=dataclasses.replace(
            SPEC, variant=variant, title=f"{SPEC.title}, trained on {labels}", samples=4_831, published={}, lists=()
        ),
        units=functools.partial(units, how=("Hand", "Weak")),
        scan=functools.partial(scan, weak=folder),
        splits={
            "hand": rules(test=(f"labels=hand {ten}",), otherwise="Bolivia is held out"),
            "bolivia": rules(test=(f"labels=hand event={HELD_OUT}",), otherwise="not of train, not by hand in Bolivia"),
        },
    )


PIPELINE = dataclasses.replace(
    PLAIN,
    variants={
        "weak": weakly("weak", "S2IndexLabelWeak", "labels by an index of Sentinel-2"),
        "weak-otsu": weakly("weak-otsu", "S1OtsuLabelWeak", "labels by a threshold of VH"),
    },
)
