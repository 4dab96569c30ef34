"""BigEarthNet-S1 v2.0 (reBEN): 549,488 Sentinel-1 patches of ten European countries, with corrected CORINE labels.

A patch is a folder <scene>/<s1_name>/ with two GeoTIFFs (VV and VH, sigma0 in dB, 120x120 pixels of 10 m, UTM); they
are the files of v1.0, unchanged. There is no JSON: labels, split and country come from metadata.parquet, which lies
beside BigEarthNet-S1/. What is odd about the data:
- metadata.parquet covers the 480,038 recommended patches only. The other 69,450 (snow, cloud or shadow in the optical
  partner, which leave SAR sound) are in a second table; they are unused here, and used in the variant "union".
- Labels are names of 19 classes in alphabetical order; indices here are canonical. The split says "validation".
- The split is unrelated to v1.0's: never evaluate v1.0's models on it. No place is in two splits, but tiles are.
- s1_name counts columns and rows without leading zeros, patch_id (of the Sentinel-2 partner) with them.
- The variant "segmentation" adds the CORINE map of 10 m, from Reference_Maps/; what is none of the 19 is ignored.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterator
from datetime import datetime

from pipelines._bigearthnet_s1_v2 import SNOW, TABLE, beside, facts_of
from sar_data.errors import BadRecord, SourceError
from sar_data.labels import corine, sentinel1
from sar_data.raster import tiff
from sar_data.raster.stack import stack
from sar_data.record import Record, Sample, SourceFile
from sar_data.sources.tree import Tree
from sar_data.spec import Band, DatasetSpec, Pipeline, Source, Task
from sar_data.split import blocks, declared, group, random, stratified

SCENE = re.compile(r"S1[AB]_IW_GRDH_1SDV_(\d{8}T\d{6})")
PATCH = re.compile(rf"({SCENE.pattern})_(\d{{2}}[A-Z]{{3}})_(\d{{1,2}})_(\d{{1,2}})")


def units(tree: Tree, path: str = "", below: int = 2) -> Iterator[str]:
    """Yield all folders within scene folders, at the root or up to two levels below; `scan` refuses strange ones."""
    for name in tree.folders(path):
        if SCENE.fullmatch(name):
            yield from (f"{path}{name}/{patch}" for patch in tree.folders(path + name))
        elif below:
            yield from units(tree, f"{path}{name}/", below - 1)


def scan(tree: Tree, unit: str, *, union: bool = False, segmented: bool = False) -> Iterator[Record]:
    """Yield the patch's record, from its name, its row in the tables and the head of a GeoTIFF."""
    *top, scene, key = unit.split("/")
    named = PATCH.fullmatch(key)
    if named is None or named[1] != scene:
        raise BadRecord(unit, f"expected a patch of scene {scene} that matches {PATCH.pattern}, found {key}")
    facts = facts_of(tree, "/".join(top), unit, key)
    if union and facts is None:
        raise SourceError(f"variant union: expected {SNOW} beside {TABLE}, found none: fetch it and put it there")
    files = [SourceFile(path, tree.size(path)) for path in (f"{unit}/{key}_{end}.tif" for end in ("VV", "VH"))]
    attrs = {"scene": scene, "tile": named[3], "column": named[4], "row": named[5], "orbit_pass_source": "derived"}
    attrs |= {"country": facts.country, "s2_name": facts.s2_name} if facts else {}
    why = None if union else facts.why if facts else f"not in {TABLE}"
    if segmented and facts and not why:
        tile, name = facts.s2_name[:-6], facts.s2_name
        path = f"{beside(tree, '/'.join(top))[2]}/{tile}/{name}/{name}_reference_map.tif"
        files.append(SourceFile(path, tree.size(path)))
    crs, transform = tiff.georeference(tree.head(files[0].path, 1024))
    if crs is None or transform is None or not crs.startswith(("EPSG:326", "EPSG:327")):
        raise BadRecord(files[0].path, f"expected a georeference in a UTM zone, found {crs}, {transform}")
    west, north = transform[2], transform[5]
    time = datetime.strptime(f"{named[2]}+0000", "%Y%m%dT%H%M%S%z")
    yield Record(
        key=key, files=tuple(files), official=facts.official if facts else None, group=scene, time=time,
        labels={"clc19": facts.labels if facts else ()} | ({"landcover": ()} if segmented else {}),
        orbit_pass=sentinel1.orbit_pass(time, 6 * int(crs[-2:]) - 183), crs=crs, transform=transform,
        footprint=(west, north - 1200, west + 1200, north), unused=why, attrs=attrs,
    )  # fmt: skip


def read(tree: Tree, record: Record) -> Sample:
    """Return [VV, VH] in dB, float32 [2, 120, 120], and with a third file the mask of the 19 classes."""
    bands = [(file.path, tree.read(file.path)) for file in record.files[:2]]
    sample = stack(bands, shape=(120, 120), dtype="float32")
    for path in (file.path for file in record.files[2:]):
        codes = tiff.read(data := tree.read(path), path, shape=(120, 120), dtypes=("uint16",), bands=1)
        if (found := tiff.georeference(data)) != (record.crs, record.transform):
            raise BadRecord(path, f"expected the georeference of {bands[0][0]}, {record.transform}, found {found}")
        try:
            mask = corine.mask_19(codes.pixels[0])
        except ValueError as error:
            raise BadRecord(path, str(error)) from None
        return dataclasses.replace(sample, mask=mask, fallbacks=sample.fallbacks + codes.fallback)
    return sample


ZENODO = "https://zenodo.org/records/10891137/files"
MD5 = {
    **{"BigEarthNet-S1.tar.zst": "a55eaa2cdf6a917e296bd6601ec1e348", TABLE: "55687065e77b6d0b0f1ff604a6e7b49c"},
    **{SNOW: "fe31856f4986d446c9468b59d6387c91", "Reference_Maps.tar.zst": "95d85a222fa983faddcac51a19f28917"},
}
PLAIN = Pipeline(
    spec=DatasetSpec(
        name="bigearthnet-s1-v2", version="2.0", revision=1, title="BigEarthNet-S1 v2.0 (reBEN)", evidence="real-lists",
        bands=tuple(Band(name=p, polarisation=p, unit="dB", description=f"sigma0 {p}") for p in ("VV", "VH")),
        shape=(120, 120), dtype="float32", pixel_size_m=10.0, samples=480_038, calibration="sigma0",
        terrain_corrected=True, range_axis="mixed", symmetries=("azimuth-flip", "range-flip"),
        tasks=(Task(name="clc19", kind="multilabel", classes=corine.CLASSES_19),),
        sources=tuple(Source(name=name, url=f"{ZENODO}/{name}", checksum=f"md5:{md5}") for name, md5 in MD5.items()),
        lists=(), licence="CDLA-Permissive-1.0",
        citation="Clasen et al. 2024, reBEN: Refined BigEarthNet Dataset, arXiv:2407.03653",
    ),
    units=units, scan=scan, read=read,
    splits={"official": declared.Declared(), "random": random.Random(), "stratified": stratified.Stratified(),
            "group": group.Group(), "blocks": blocks.Blocks()},
)  # fmt: skip


MAPPED = Task(name="landcover", kind="segmentation", classes=corine.CLASSES_19)
UNION = dataclasses.replace(PLAIN.spec, variant="union", samples=549_488, title="BigEarthNet-S1 v2.0, snow included")
SEGMENTED = dataclasses.replace(PLAIN.spec, variant="segmentation", title="BigEarthNet-S1 v2.0 with reference maps",
                                tasks=(*PLAIN.spec.tasks, MAPPED))  # fmt: skip
PIPELINE = dataclasses.replace(PLAIN, variants={
    "union": dataclasses.replace(PLAIN, spec=UNION, scan=functools.partial(scan, union=True)),
    "segmentation": dataclasses.replace(PLAIN, spec=SEGMENTED, scan=functools.partial(scan, segmented=True)),
})  # fmt: skip
