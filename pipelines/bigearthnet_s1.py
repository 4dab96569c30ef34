"""BigEarthNet-S1 v1.0: 590,326 Sentinel-1 patches of ten European countries with CORINE land cover labels.

A patch is a folder with two GeoTIFFs (VV and VH, sigma0 in dB, 120x120 pixels of 10 m, UTM) and one JSON. The
pixels are neither speckle-filtered nor clipped; -40 to +10 dB occur. What is odd about the data:
- Labels are names of 43 CORINE classes. The usual task groups 32 into 19 and drops 11; 57 patches have only those.
- Official lists name the *Sentinel-2* partner. Its name is never parsed: some lost the leading zero of the hour,
  some have seconds of 60 and 61. Place and time come from the JSON (whose "lly" is "lry" in Sentinel-2's).
- Snow and cloud leave SAR sound, yet the official splits exclude their patches.
- The official split parts direct neighbours, patch by patch, and so does "group", for acquisitions see the same ground
  again: "group:by=place" (tiles of the MGRS) and "blocks" hold ground apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import xxhash

from pipelines._bigearthnet import named
from pipelines._steps_before import LIKE_UNFILTERED
from sar_data.errors import BadRecord
from sar_data.labels import corine, sentinel1
from sar_data.labels.fields import read_fields
from sar_data.raster.stack import stack
from sar_data.record import Record, Sample, SourceFile
from sar_data.spec import Band, DatasetSpec, Pipeline, Source, Task, Tree
from sar_data.split import blocks, group, official, random, stratified

PATCH = re.compile(r"(S1[AB]_IW_GRDH_1SDV_\d{8}T\d{6})_(\d{2}[A-Z]{3})_(\d{1,2})_(\d{1,2})")
PARTNER = re.compile(r"S2[AB]_MSIL2A_\d{8}T\d{5,6}_\d{1,2}_\d{1,2}")
KEYS = {"labels": list, "coordinates": dict, "projection": str, "scene_source": str, "acquisition_time": str}


def units(tree: Tree, path: str = "", below: int = 2) -> Iterator[str]:
    """Yield the patch folders at the root or up to two levels below; those in folders of their scenes are of v2.0."""
    for name in tree.folders(path):
        if named := PATCH.fullmatch(name):
            yield from [] if path.endswith(f"{named[1]}/") else [path + name]
        elif below:
            yield from units(tree, f"{path}{name}/", below - 1)


def scan(tree: Tree, unit: str) -> Iterator[Record]:
    """Yield the patch's record, from its JSON and the sizes of its two GeoTIFFs."""
    key = unit.rpartition("/")[2]
    scene, tile, column, row = key.rsplit("_", 3)
    vv, vh, path = (f"{unit}/{key}_{end}" for end in ("VV.tif", "VH.tif", "labels_metadata.json"))
    facts = read_fields(path, raw := tree.read(path), KEYS)
    try:
        labels = corine.indices(facts["labels"])
        usual = corine.group_classes(labels)
        west, north, east, south = (float(facts["coordinates"].get(k, "nan")) for k in ("ulx", "uly", "lrx", "lly"))
        if (east - west, north - south) != (1200, 1200):
            raise ValueError(f"expected ulx, uly, lrx, lly 1200 m apart, found {facts['coordinates']}")
        crs, meridian = sentinel1.utm_zone(facts["projection"])
        orbit = sentinel1.relative_orbit(facts["scene_source"])
        time = datetime.fromisoformat(facts["acquisition_time"]).replace(tzinfo=UTC)
    except (ArithmeticError, TypeError, ValueError) as error:
        raise BadRecord(path, str(error)) from None
    attrs = {
        "scene": scene,
        "product": facts["scene_source"],
        "tile": tile,
        "column": column,
        "row": row,
        "orbit_pass_source": "derived",
    }
    if "corresponding_s2_patch" in facts:
        attrs["s2_name"] = str(facts["corresponding_s2_patch"])
    yield Record(
        key=key,
        files=(
            SourceFile(vv, tree.size(vv)),
            SourceFile(vh, tree.size(vh)),
            SourceFile(path, len(raw), xxhash.xxh3_128_hexdigest(raw)),
        ),
        labels={"clc19": usual, "clc43": labels},
        group=scene,
        place=tile,
        time=time,
        orbit_pass=sentinel1.orbit_pass(time, meridian),
        relative_orbit=orbit,
        crs=crs,
        transform=(10.0, 0.0, west, 0.0, -10.0, north),
        footprint=(west, south, east, north),
        unused=None if usual else "no label in the 19-class nomenclature",
        attrs=attrs,
    )


def read(tree: Tree, record: Record) -> Sample:
    """Return [VV, VH] in dB, float32 [2, 120, 120]; both files must be of the same place."""
    return stack([(file.path, tree.read(file.path)) for file in record.files[:2]], shape=(120, 120), dtype="float32")


RSIM = "https://git.tu-berlin.de/rsim/BigEarthNet-MM"
SPLITS = f"{RSIM}_19-classes_models/-/raw/9a5be07346ab0884b2d9517475c27ef9db9b5104/splits"
EXCLUDED = "http://bigearth.net/static/documents/patches_with"
NAMES = "https://github.com/kai-tub/bigearthnet_common/raw/main/src/bigearthnet_common"
MAPPED = "sha256:c59ebca3e2b8d9af5b01a6524331f091d54905bd2322fee056176ddd4c963e30"
LISTS = {
    "train.csv": (f"{SPLITS}/train.csv", "md5:623e501b38ab7b12fe44f0083c00986d"),
    "val.csv": (f"{SPLITS}/val.csv", "md5:22efe8ed9cbd71fa10742ff7df2b7978"),
    "test.csv": (f"{SPLITS}/test.csv", "md5:697fb90677e30571b9ac7699b7e5b432"),
    "patches_with_seasonal_snow.csv": (f"{EXCLUDED}_seasonal_snow.csv", "md5:7219803bde2ab2925ded75c5109450f5"),
    "patches_with_cloud_and_shadow.csv": (f"{EXCLUDED}_cloud_and_shadow.csv", "md5:7388ec3bee2d519846f01ecb9f95cc4d"),
    "patches_with_no_19_class_targets.csv": (f"{NAMES}/patches_with_no_19_class_targets.csv.bz2", None),
    "s1s2_mapping.csv": (f"{RSIM}_tools/-/raw/master/files/s1s2_mapping.csv", MAPPED),
}
NOTE = "looked for beside the data, or in the folder of `lists=…`; lists of Sentinel-2 names alone do as well"
DATA = Source(
    name="BigEarthNet-S1-v1.0.tar.gz",
    url="https://zenodo.org/records/12687186/files/BigEarthNet-S1-v1.0.tar.gz",
    checksum="md5:94ced73440dea8c7b9645ee738c5a172",
    note="68.5 GB as a plain tar",
)

PIPELINE = Pipeline(
    spec=DatasetSpec(
        name="bigearthnet-s1",
        aliases=("bigearthnet", "ben", "ben-s1"),
        version="1.0",
        revision=2,
        title="BigEarthNet-S1 v1.0",
        evidence="real-files",
        bands=tuple(Band(name=p, polarization=p, unit="dB", description=f"sigma0 {p}") for p in ("VV", "VH")),
        shape=(120, 120),
        dtype="float32",
        pixel_size_m=10.0,
        tasks=(
            Task(name="clc19", kind="multilabel", classes=corine.CLASSES_19),
            Task(name="clc43", kind="multilabel", classes=corine.CLASSES_43),
        ),
        sources=(
            DATA,
            *(Source(name=name, url=url, checksum=checksum, note=NOTE) for name, (url, checksum) in LISTS.items()),
        ),
        lists=tuple(LISTS),
        licence="CDLA-Permissive-1.0",
        samples=590_326,
        published={"train": 269_695, "val": 123_723, "test": 125_866},
        calibration="sigma0",
        processing=LIKE_UNFILTERED,
        range_axis="mixed",
        symmetries=("azimuth-flip", "range-flip"),
        citation="Sumbul et al. 2021, BigEarthNet-MM, doi:10.1109/MGRS.2021.3089174",
    ),
    units=units,
    scan=scan,
    read=read,
    named=named,
    splits={
        "official": official.Official(
            exclude={name: name[13:-4].replace("_", " ") for name in LISTS if name.startswith("patches_with_")},
            id_pattern=f"{PARTNER.pattern}|{PATCH.pattern}",
        ),
        "random": random.Random(),
        "stratified": stratified.Stratified(),
        "group": group.Group(),
        "blocks": blocks.Blocks(),
    },
)
