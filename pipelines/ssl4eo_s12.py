"""SSL4EO-S12 v1.0, Sentinel-1: 251,079 places of the world, each seen in four seasons, for self-supervised learning.

A place is a folder s1/<7 digits>/ with a folder for each season, named like the product, which holds VV.tif, VH.tif
(sigma0 in dB, 264x264 pixels) and metadata.json of Google Earth Engine. There are no labels and no official split.
What is odd about the data:
- Pixels lie in degrees (EPSG:4326), about 10 m each, and are not square.
- Season folders bear no number: frames are in the order of their start. A place with fewer than four has its missing
  frames at the end, all NaN. Both passes occur: what a season of ascending orbits shows, the next need not.
- Pixels outside the swath are exactly 0, which in dB would be a legal value: 0 in both bands is no data.
- Numbers of places have gaps (97 are void), so that nothing may count from 0.
- The archive comes in ten parts, formerly s1.tar.gz.partaa, now s1_grd.tar.gz.partaa: join them, then unpack.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

import numpy as np
import xxhash

from pipelines._steps_before import EARTH_ENGINE
from sar_data.errors import BadRecord
from sar_data.labels import sentinel1
from sar_data.labels.fields import read_fields
from sar_data.raster import tiff
from sar_data.raster.stack import stack
from sar_data.record import Record, Sample, SourceFile
from sar_data.spec import Band, DatasetSpec, Pipeline, Source, Tree
from sar_data.split import blocks, group, random

PLACE = re.compile(r"\d{7}")
SEASON = re.compile(r"S1[AB]_IW_GRDH_1SDV_(\d{8}T\d{6})_\d{8}T\d{6}_\d{6}_[0-9A-F]{6}_[0-9A-F]{4}")
FRAMES, SIDE, BANDS = 4, 264, ("VV", "VH")


def units(tree: Tree, path: str = "", below: int = 2) -> Iterator[str]:
    """Yield the places' folders, at the root or up to two levels below."""
    for name in tree.folders(path):
        if PLACE.fullmatch(name):
            yield path + name
        elif below:
            yield from units(tree, f"{path}{name}/", below - 1)


def scan(tree: Tree, unit: str) -> Iterator[Record]:
    """Yield the place's record, from the names of its seasons, their JSONs and the heads of their GeoTIFFs."""
    seasons = sorted((named[1], named[0]) for name in tree.folders(unit) if (named := SEASON.fullmatch(name)))
    if not 1 <= len(seasons) <= FRAMES or len(seasons) != len(tree.folders(unit)):
        names = ", ".join(sorted(tree.folders(unit))) or "none"
        raise BadRecord(unit, f"expected 1 to {FRAMES} folders named like Sentinel-1 products, found {names}")
    rasters, notes, passes, places = [], [], [], []
    for _, product in seasons:
        paths = [f"{unit}/{product}/{band}.tif" for band in BANDS]
        rasters += [SourceFile(path, tree.size(path)) for path in paths]
        raw = tree.read(path := f"{unit}/{product}/metadata.json")
        notes.append(SourceFile(path, len(raw), xxhash.xxh3_128_hexdigest(raw)))
        passes.append(str(read_fields(path, raw, {"orbitProperties_pass": str})["orbitProperties_pass"]).lower())
        if passes[-1] not in ("ascending", "descending"):
            raise BadRecord(path, f"expected orbitProperties_pass ASCENDING or DESCENDING, found {passes[-1]!r}")
        places.append(tiff.georeference(tree, paths[0]))
    (crs, transform), others = places[0], set(places)
    if len(others) > 1:
        raise BadRecord(unit, f"expected seasons of one place, found {sorted(others, key=str)}")
    if crs != "EPSG:4326" or transform is None:
        raise BadRecord(rasters[0].path, f"expected a georeference in EPSG:4326, found {crs}, {transform}")
    a, _, west, _, e, north = transform
    orbits = [sentinel1.relative_orbit(product) for _, product in seasons]
    yield Record(
        key=unit.rpartition("/")[2],
        files=(*rasters, *notes),
        group=unit.rpartition("/")[2],
        time=datetime.strptime(f"{seasons[0][0]}+0000", "%Y%m%dT%H%M%S%z"),
        orbit_pass=passes[0] if len(set(passes)) == 1 else None,
        relative_orbit=orbits[0] if len(set(orbits)) == 1 else None,
        crs=crs,
        transform=transform,
        footprint=(west, north + SIDE * e, west + SIDE * a, north),
        attrs={
            "products": " ".join(product for _, product in seasons),
            "orbit_passes": " ".join(passes),
            "relative_orbits": " ".join(map(str, orbits)),
            "seasons": str(len(seasons)),
        },
    )


def read(tree: Tree, record: Record) -> Sample:
    """Return [season, (VV, VH), y, x] in dB, float32 [4, 2, 264, 264]; what is 0 in both bands is NaN."""
    image = np.full((FRAMES, len(BANDS), SIDE, SIDE), np.nan, np.float32)
    fallbacks, seasons, declared = 0, int(record.attrs["seasons"]), np.zeros(len(BANDS), np.int64)
    for i in range(seasons):
        files = [(file.path, tree.read(file.path)) for file in record.files[2 * i : 2 * i + 2]]
        season = stack(files, shape=(SIDE, SIDE), dtype="float32")
        image[i] = season.image
        fallbacks += season.fallbacks
        declared += season.nodata
    filled = (image[:seasons] == 0).all(axis=1)
    np.copyto(image[:seasons], np.nan, where=filled[:, None])
    declared += int(filled.sum()) + (FRAMES - seasons) * SIDE * SIDE
    return Sample(image=image, nodata=tuple(declared.tolist()), fallbacks=fallbacks)


REVISION = "https://huggingface.co/datasets/wangyi111/SSL4EO-S12/resolve/3f5ddad68ba2ea29d019b0cef6cf292ff8af0d62"
PARTS = {
    "aa": "6df278053fc3e4c3fd7de2f77856e606",
    "ab": "837755b4ba8d82faf254df9e5fec13a7",
    "ac": "6400423305d6084e2006eede75cf288e",
    "ad": "22a50d7362d9cbc9714e0740fe2122c7",
    "ae": "d6ac97ead00b4296a95376949c946b12",
    "af": "d8047814061431dc627b9ae345c80891",
    "ag": "089ce0548cb7902ce873181cc61f5d70",
    "ah": "745b48c2896ca764ef54f91e4e7c555e",
    "ai": "c36595cf9617b3b7ea722f63dcccbedc",
    "aj": "cf16f1d81e8bff2d663e4eba79ec6fa3",
}
NOTE = "one of ten parts: join them in order, then unpack the tar.gz (561 GB, 3 million files)"
PIPELINE = Pipeline(
    spec=DatasetSpec(
        name="ssl4eo-s12",
        aliases=("ssl4eo", "ssl4eo-s12-v1.0"),
        version="1.0",
        revision=1,
        title="SSL4EO-S12 v1.0, Sentinel-1",
        evidence="real-files",
        bands=tuple(Band(name=p, polarization=p, unit="dB", description=f"sigma0 {p}") for p in BANDS),
        tasks=(),
        shape=(SIDE, SIDE),
        frames=FRAMES,
        dtype="float32",
        pixel_size_m=10.0,
        samples=251_079,
        calibration="sigma0",
        terrain_corrected=True,
        processing=EARTH_ENGINE,
        range_axis="mixed",
        symmetries=("azimuth-flip", "range-flip"),
        lists=(),
        sources=tuple(
            Source(
                name=f"s1_grd.tar.gz.part{part}",
                url=f"{REVISION}/s1_grd/s1_grd.tar.gz.part{part}",
                checksum=f"md5:{md5}",
                about=47_300_000_000 if part == "aj" else 48_300_000_000,
                note=NOTE,
            )
            for part, md5 in PARTS.items()
        ),
        licence="CC-BY-4.0",
        citation="Wang et al. 2023, SSL4EO-S12, arXiv:2211.07044",
    ),
    units=units,
    scan=scan,
    read=read,
    splits={"random": random.Random(), "blocks": blocks.Blocks(), "group": group.Group()},
)
