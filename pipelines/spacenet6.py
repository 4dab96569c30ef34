"""SpaceNet 6: 3,401 tiles of Rotterdam by an airborne X-band radar of four polarizations, with building footprints.

A tile is a GeoTIFF SN6_Train_AOI_11_Rotterdam_SAR-Intensity_<start>_<end>_tile_<n>.tif, 900x900 pixels of 0.5 m; a
GeoJSON of the same name with "Buildings" has its footprints, which become both a mask and objects. What is odd:
- Band order HH, HV, VH, VV and the unit (a log-scaled intensity) are hearsay: the unit is "DN", and a file with
  another number of bands stops the build. Pixels that are 0 in all bands are the wedge outside the strip: no data.
- The aircraft flew both ways. SummaryData/SAR_orientations.txt tells which: "1" strips look the other way. Tiles are
  kept as they are; the variant "turned" turns image, mask and footprints of those strips by 180 degrees.
- 204 strips cover the same ground again and again: only "blocks" holds places apart; "group" holds strips apart.
- test_public has no footprints, so its tiles are unused. SAR-HUB parts the labelled tiles 2,380/1,021 ("sarhub").
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from datetime import datetime
from functools import partial

import numpy as np

from pipelines._steps_before import NOT_SENTINEL_1
from sar_data.errors import BadRecord
from sar_data.labels import geojson, lists
from sar_data.raster import gdal, tiff
from sar_data.record import Object, Record, Sample, SourceFile
from sar_data.sources.tree import read_with_digest
from sar_data.spec import Band, DatasetSpec, Pipeline, Source, Task, Tree
from sar_data.split import blocks, group, official, random
from sar_data.split.ground.cells import cell_of

TILE = re.compile(r"SN6_(?:Train|Test_Public)_AOI_11_Rotterdam_SAR-Intensity_((\d{14})_\d{14})_tile_(\d+)")
LISTED = re.compile(r"(?:SN6_\w+_SAR-Intensity_)?((\d{14})_\d{14})_tile_(\d+)")
POLARIZATIONS = ("HH", "HV", "VH", "VV")
SIDE = 900
CELL_KM = 1.0  # of the city, which is 10 km wide: cells of Major-TOM's usual 10 km would make two places of it


def units(tree: Tree, path: str = "", below: int = 3) -> Iterator[str]:
    """Yield the radar tiles of any SAR-Intensity folder, up to three levels below the root."""
    for name in tree.folders(path):
        if name == "SAR-Intensity":
            yield from (f"{path}{name}/{file}" for file in tree.files(path + name) if file.endswith(".tif"))
        elif below:
            yield from units(tree, f"{path}{name}/", below - 1)


def scan(tree: Tree, unit: str, turned: bool = False) -> Iterator[Record]:
    """Yield the tile's record, from its name, its header, its footprints and its strip's orientation."""
    folder, name = unit.split("SAR-Intensity/")[0], unit.rpartition("/")[2].removesuffix(".tif")
    if (named := TILE.fullmatch(name)) is None:
        raise BadRecord(unit, f"expected a name that matches {TILE.pattern}, found {name}")
    strip, start, number = named.groups()
    crs, transform = tiff.georeference(tree, unit)
    if crs is None or transform is None:
        raise BadRecord(unit, "expected a georeference, found none")
    looks = f"{folder}SummaryData/SAR_orientations.txt"
    orientation = lists.pairs(tree, looks).get(strip) if "SummaryData" in tree.folders(folder) else None
    if turned and orientation is None:
        raise BadRecord(unit, f"expected strip {strip} in {looks}, found it nowhere")
    files, objects = [SourceFile(unit, tree.size(unit))], []
    if labelled := "_Train_" in name:
        path = f"{folder}geojson_buildings/{name.replace('SAR-Intensity', 'Buildings')}.geojson"
        file, data = read_with_digest(tree, path)
        files += (
            [file, read_with_digest(tree, looks)[0]] if turned else [file]
        )  # what turns the pixels is part of the recipe
        for shape in geojson.shapes(data, path, transform):
            if visible := shape.seen(SIDE, SIDE, label=0):
                objects.append(_turn(visible) if turned and orientation == "1" else visible)
    a, _, west, _, e, north = transform
    yield Record(
        key=f"{strip}_tile_{number}",
        files=tuple(files),
        objects=tuple(objects),
        unused=None if labelled else "test_public has no footprints",
        labels={"footprint": (), "buildings": (0,) if objects else ()},
        group=strip,
        place=cell_of(crs, footprint := (west, north + SIDE * e, west + SIDE * a, north), CELL_KM),
        crs=crs,
        transform=transform,
        time=_time(start),
        footprint=footprint,
        attrs={"name": name, "strip": strip} | ({"orientation": orientation} if orientation else {}),
    )


def named(key: str) -> Record | None:
    """Return the record of a tile by its name alone, which tells strip and time, not the ground."""
    if (match := LISTED.fullmatch(key)) is None:
        return None
    strip, start, number = match.groups()
    return Record(key=f"{strip}_tile_{number}", files=(), group=strip, time=_time(start))


def _time(start: str) -> datetime:
    return datetime.strptime(f"{start}+0000", "%Y%m%d%H%M%S%z")


def _turn(shape: Object) -> Object:
    right, bottom, left, top = (SIDE - v for v in shape.box)
    polygons = tuple(tuple(SIDE - v for v in ring) for ring in shape.polygons)
    return dataclasses.replace(shape, box=(left, top, right, bottom), polygons=polygons)


def read(tree: Tree, record: Record, turned: bool = False) -> Sample:
    """Return [HH, HV, VH, VV], float32 [4, 900, 900], NaN in the wedge, and the mask of the footprints."""
    path, labels = (file.path for file in record.files[:2])
    raster = tiff.read(tree.read(path), path, shape=(SIDE, SIDE), dtypes=("float32",), bands=4)
    wedge = ((raster.pixels == 0) | np.isnan(raster.pixels)).all(axis=0)
    image = np.where(wedge, np.float32(np.nan), raster.pixels)
    filled = np.array(raster.filled) + (raster.pixels[:, wedge] == 0).sum(axis=1)
    shapes = geojson.shapes(tree.read(labels), labels, record.transform or (1, 0, 0, 0, 1, 0))
    mask = gdal.rasterize(((shape.polygons, 1) for shape in shapes), (SIDE, SIDE))
    mask[wedge] = 255
    if turned and record.attrs["orientation"] == "1":
        image, mask = (np.ascontiguousarray(array[..., ::-1, ::-1]) for array in (image, mask))
    return Sample(image=image, mask=mask, nodata=tuple(filled.tolist()), fallbacks=int(raster.fallback))


TARS = "https://spacenet-dataset.s3.amazonaws.com/spacenet/SN6_buildings/tarballs/SN6_buildings_AOI_11_Rotterdam_"
MD5 = {"train": "md5:10ca26d2287716e3b6ef0cf0ad9f946e", "test_public": "md5:a07823a5e536feeb8bb6b6f0cb43cf05"}
LISTS = ("SN6_train.txt", "SN6_test.txt")
HOW = "SAR-HUB's list of image names, one a line; put it beside the data or name its folder by `lists=…`"
SPEC = DatasetSpec(
    name="spacenet6",
    aliases=("spacenet-6", "sn6"),
    version="1.0",
    revision=1,
    title="SpaceNet 6 SAR",
    evidence="real-lists",
    samples=3401,
    bands=tuple(Band(name=p, polarization=p, unit="DN", description=f"{p}, log scale") for p in POLARIZATIONS),
    shape=(SIDE, SIDE),
    dtype="float32",
    pixel_size_m=0.5,
    calibration="undocumented log scale",
    processing=NOT_SENTINEL_1,
    symmetries=(),
    tasks=(
        Task(name="footprint", kind="segmentation", classes=("background", "building")),
        Task(name="buildings", kind="detection", classes=("building",)),
    ),
    sources=(
        *(Source(name=f"{part}.tar.gz", url=f"{TARS}{part}.tar.gz", checksum=md5) for part, md5 in MD5.items()),
        *(Source(name=name, url="https://github.com/XAI4SAR/SAR-HUB", manual=HOW) for name in LISTS),
    ),
    lists=LISTS,
    licence="CC-BY-SA-4.0",
    citation="Shermeyer et al. 2020, SpaceNet 6: Multi-Sensor All Weather Mapping, arXiv:2004.06500",
)
PLAIN = Pipeline(
    spec=SPEC,
    units=units,
    scan=scan,
    read=read,
    named=named,
    splits={
        "blocks": blocks.Blocks(),
        "group": group.Group(),
        "random": random.Random(),
        "sarhub": official.Official(
            train=LISTS[0], val=None, test=LISTS[1], alias_attr="name", mapping=None, id_pattern=TILE.pattern
        ),
    },
)
TURNED = dataclasses.replace(SPEC, variant="turned", title="SpaceNet 6 SAR, strips turned to one look")
PIPELINE = dataclasses.replace(
    PLAIN,
    variants={
        "turned": dataclasses.replace(
            PLAIN, spec=TURNED, scan=partial(scan, turned=True), read=partial(read, turned=True)
        )
    },
)
