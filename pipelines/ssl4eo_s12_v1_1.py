"""SSL4EO-S12 v1.1, Sentinel-1 GRD: 246,144 places in four seasons, packed by 64 in zips of zarr arrays.

A shard is <split>/S1GRD/ssl4eos12_<split>_seasonal_data_<6 digits>.zarr.zip, zarr version 2. Its array "bands" is
(sample, time, band, y, x), float16, in dB, 264x264 pixels of 10 m; shards of the same number under S2L1C, S2L2A and
S2RGB hold the same places. There are no labels. What is odd about the data:
- Values were rounded to float16 by their publishers (at most 0.016 dB); they are kept as they are.
- The name of a place, such as 0080717, is in the coordinate "sample"; the bands are vv and vh, in an order that the
  coordinate "band" tells. Seasons are numbered 0 to 3 there, and the time of each in "time_" is not read.
- The official split has 3,812 shards of train and 34 of val (2,176 places), and no test.
- Codec and chunks are not documented: blosc and zlib in any chunks are read, anything else stops the build.
- Pixels that are exactly 0 in both bands lie outside the swath, as in v1.0, and are no data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from sar_data.errors import BadRecord
from sar_data.raster.zarrzip import ZarrZip
from sar_data.record import Record, Sample, SourceFile
from sar_data.spec import Band, DatasetSpec, Pipeline, Processing, Source, Tree
from sar_data.split import blocks, declared, group, random
from sar_data.split.ground.frames import from_degrees, is_on_earth

SHARD = re.compile(r"ssl4eos12_(train|val)_seasonal_data_\d{6}\.zarr\.zip")
PLACE = re.compile(r"\d{7}")
FRAMES, SIDE, BANDS = 4, 264, ("VV", "VH")
HALF_M, PLACED = 1320.0, ("crs", "center_lat", "center_lon")
OTHERS = frozenset(("S2L1C", "S2L2A", "S2RGB"))


def units(tree: Tree, path: str = "", below: int = 3) -> Iterator[str]:
    """Yield the zips at the root or up to three levels below, but for Sentinel-2's; `scan` refuses strange names."""
    yield from (path + name for name in tree.files(path) if name.endswith(".zarr.zip") and name[0] != ".")
    for name in tree.folders(path) if below else ():
        if name not in OTHERS:
            yield from units(tree, f"{path}{name}/", below - 1)


def scan(tree: Tree, unit: str) -> Iterator[Record]:
    """Yield the records of a shard's places, from its coordinates; of its bands only the shape is read."""
    if (named := SHARD.fullmatch(unit.rpartition("/")[2])) is None:
        raise BadRecord(unit, f"expected a name that matches {SHARD.pattern}")
    shard, size = ZarrZip(tree, unit), tree.size(unit)
    names, shape = shard.texts("sample"), shard.shape("bands")
    if shape != (len(names), FRAMES, len(BANDS), SIDE, SIDE):
        raise BadRecord(unit, f"expected bands of {(len(names), FRAMES, len(BANDS), SIDE, SIDE)}, found {shape}")
    order = [name.upper() for name in shard.texts("band")]
    if sorted(order) != sorted(BANDS):
        raise BadRecord(unit, f"expected the bands vv and vh, found {', '.join(order)}")
    places = _footprints(shard, len(names))
    for i, name in enumerate(names):
        key = name.zfill(7)
        if not PLACE.fullmatch(key):
            raise BadRecord(unit, f"expected names of seven digits, found {name!r}")
        yield Record(
            key=key,
            files=(SourceFile(unit, size),),
            group=key,
            **places[i],
            official=named[1],
            attrs={"shard": unit.rpartition("/")[2], "position": str(i), "bands": " ".join(order)},
        )


def _footprints(shard: ZarrZip, count: int) -> list[dict[str, Any]]:
    """Return crs and footprint of each place: 264 pixels of 10 m around its centre; nothing where a shard lacks it."""
    if not all(shard.has(name) for name in PLACED):
        return [{}] * count
    codes, latitudes, longitudes = (shard.read(name).ravel() for name in PLACED)
    if not len(codes) == len(latitudes) == len(longitudes) == count:
        raise BadRecord(shard.path, f"expected {', '.join(PLACED)} of {count} places, found other numbers of them")
    records = []
    for code, latitude, longitude in zip(codes.tolist(), latitudes.tolist(), longitudes.tolist(), strict=True):
        crs = f"EPSG:{code}"
        if not is_on_earth(crs) or not (abs(latitude) <= 90 and abs(longitude) <= 180):
            raise BadRecord(shard.path, f"expected a zone of UTM and degrees, found {crs}, {latitude}, {longitude}")
        ((x, y),) = from_degrees(crs, np.array([[longitude, latitude]])).tolist()
        records.append({"crs": crs, "footprint": (x - HALF_M, y - HALF_M, x + HALF_M, y + HALF_M)})
    return records


def read(tree: Tree, record: Record) -> Sample:
    """Return [season, (VV, VH), y, x] in dB, float16 [4, 2, 264, 264]; what is 0 in both bands is NaN."""
    path, order = record.files[0].path, record.attrs["bands"].split()
    stack = ZarrZip(tree, path).read("bands", int(record.attrs["position"]))
    if (stack.shape, stack.dtype) != ((FRAMES, len(BANDS), SIDE, SIDE), np.dtype(np.float16)):
        raise BadRecord(path, f"expected bands of float16, found {stack.shape} {stack.dtype}")
    image = stack[:, [order.index(band) for band in BANDS]].copy()
    filled = (image == 0).all(axis=1, keepdims=True)
    np.copyto(image, np.nan, where=filled)
    return Sample(image=image, nodata=(int(filled.sum()),) * len(BANDS))


NOTE = "{} shards of 72 MB as they come; no checksum is published, and any number of shards makes a source"
HOW = "download the folder {}/S1GRD of the Hugging Face dataset embed2scale/SSL4EO-S12-v1.1, or a part of it"
PIPELINE = Pipeline(
    spec=DatasetSpec(
        name="ssl4eo-s12-v1-1",
        aliases=("ssl4eo-s12-v1.1",),
        version="1.1",
        revision=1,
        title="SSL4EO-S12 v1.1, Sentinel-1",
        evidence="real-lists",
        bands=tuple(Band(name=p, polarization=p, unit="dB", description=f"sigma0 {p}") for p in BANDS),
        tasks=(),
        shape=(SIDE, SIDE),
        frames=FRAMES,
        dtype="float16",
        pixel_size_m=10.0,
        samples=246_144,
        calibration="sigma0",
        terrain_corrected=True,
        processing=Processing(),
        range_axis="mixed",
        symmetries=("azimuth-flip", "range-flip"),
        lists=(),
        sources=tuple(
            Source(
                name=f"{split}_S1GRD",
                manual=HOW.format(split),
                note=NOTE.format(count),
                url="https://huggingface.co/datasets/embed2scale/SSL4EO-S12-v1.1",
            )
            for split, count in (("train", "3,812"), ("val", 34))
        ),
        licence="CC-BY-4.0",
        citation="Blumenstiel et al. 2025, SSL4EO-S12 v1.1, arXiv:2503.00168",
    ),
    units=units,
    scan=scan,
    read=read,
    splits={
        "official": declared.Declared(),
        "random": random.Random(),
        "blocks": blocks.Blocks(),
        "group": group.Group(),
    },
)
