"""BigEarthNet v2.0 (reBEN), its Sentinel-1 half: the patches of v1.0 with new labels and a split by regions.

A patch is BigEarthNet-S1/<scene>/<patch>/<patch>_VV.tif and _VH.tif, sigma0 in dB, 120x120 pixels of 10 m, UTM; the
pixels are those of v1.0. All else is in metadata.parquet, beside that folder. What is odd about the data:
- There are no JSON files, and names of patches have no leading zeros where those of Sentinel-2 partners have.
- Labels in the table are sorted by the alphabet; here they are indices in the canonical order of the 19 classes.
- The table says "validation" for val. Its split has nothing to do with that of v1.0: never mix the two.
- 480,038 patches are recommended. Another 69,450, with snow or clouds over the Sentinel-2 partner, are in a table of
  their own and unused here, although SAR sees through clouds: the variant "all" takes them, in their official splits.
- The variant "segmentation" adds Reference_Maps, CORINE level-3 codes of every pixel, as a mask of the 19 classes.
- The variant "copernicus-bench" is that benchmark's subset of 24,002 patches: both bands in one file, and tables of its
  own, which have labels and split.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from pipelines import _copernicus_bench
from pipelines._bigearthnet import named
from pipelines._steps_before import LIKE_UNFILTERED
from sar_data.errors import BadRecord, SourceError
from sar_data.labels import corine, parquet, sentinel1, table
from sar_data.raster import tiff
from sar_data.raster.stack import stack
from sar_data.record import Record, Sample, SourceFile
from sar_data.sources.tree import find_parent, read_with_digest
from sar_data.spec import Band, DatasetSpec, Pipeline, Source, Task, Tree
from sar_data.split import blocks, declared, group, random, stratified

PATCH = re.compile(r"(S1[AB]_IW_GRDH_1SDV_(\d{8}T\d{6}))_(\d{2}[A-Z]{3})_(\d{1,2})_(\d{1,2})")
TABLE, EXTRA = "metadata.parquet", "metadata_for_patches_with_snow_cloud_or_shadow.parquet"
COLUMNS = ("patch_id", "labels", "split", "country", "contains_seasonal_snow", "contains_cloud_or_shadow")
SPLITS = {"train": "train", "validation": "val", "test": "test"}
STACKED = "_allbands.tif"
MULTILABEL = {split: f"multilabel-{split}.csv" for split in ("train", "val", "test")}
NAMES = {name: i for i, name in enumerate(corine.CLASSES_19)}


def units(tree: Tree) -> Iterator[str]:
    """Yield the patch folders; none where the first has both bands in one file, which is a copy's.

    Raises SourceError where the table is not here: it may lie one folder up.
    """
    names = patches(tree)
    if (first := next(names, None)) is not None and not is_stacked(tree, first):
        _table_home(tree)
        yield first
        yield from names


def patches(tree: Tree, path: str = "", below: int = 3) -> Iterator[str]:
    """Yield the patch folders, which lie in folders of their scenes (those of v1.0 do not), two levels down or less."""
    for name in tree.folders(path):
        if named := PATCH.fullmatch(name):
            yield from [path + name] if path.endswith(f"{named[1]}/") else []
        elif below and not name.startswith(("BigEarthNet-S2", "Reference_Maps")):
            yield from patches(tree, f"{path}{name}/", below - 1)


def _table_home(tree: Tree) -> str:
    """Return the folder of the table; raise SourceError where there is none."""
    if (home := find_parent(tree, TABLE)) is None:
        raise SourceError(f"expected {TABLE} beside the folder BigEarthNet-S1, found none: it has labels and split")
    return home


def scan(tree: Tree, unit: str, union: bool = False, maps: bool = False) -> Iterator[Record]:
    """Yield the patch's record, from its name, its header and its row of the table."""
    key = unit.rpartition("/")[2]
    home = _table_home(tree)
    row = parquet.table(tree, home + TABLE, "s1_name", COLUMNS).get(key)
    if extra := row is None and EXTRA in tree.files(home):
        row = parquet.table(tree, home + EXTRA, "s1_name", COLUMNS).get(key)
    paths = [f"{unit}/{key}_{band}.tif" for band in ("VV", "VH")]
    if row is None and not extra:  # mirrors carry the first table alone
        yield Record(
            key=key,
            files=tuple(SourceFile(path, tree.size(path)) for path in paths),
            labels={"clc19": ()} | ({"clc19_map": ()} if maps else {}),
            unused=f"not in {TABLE}, and there is no {EXTRA}",
        )
        return
    if row is None:
        raise BadRecord(paths[0], f"expected {key} in a table, found it in neither {TABLE} nor {EXTRA}")
    if unknown := [name for name in row["labels"] if name not in NAMES]:
        raise BadRecord(paths[0], f"expected labels among the 19 classes, found {unknown}")
    if row["split"] not in SPLITS:
        raise BadRecord(paths[0], f"expected a split of {', '.join(SPLITS)}, found {row['split']!r}")
    if maps:
        folder = f"{home}Reference_Maps/{row['patch_id'].rsplit('_', 2)[0]}/{row['patch_id']}"
        paths.append(f"{folder}/{row['patch_id']}_reference_map.tif")
    flags = [text for text in ("seasonal_snow", "cloud_or_shadow") if row[f"contains_{text}"]]
    reason = "; ".join(text.replace("_", " ") for text in flags) if flags and not union else None
    known = {"s2_name": row["patch_id"], "country": row["country"]}
    known |= {f"contains_{text}": "true" for text in flags} if union else {}
    yield Record(
        key=key,
        files=tuple(SourceFile(path, tree.size(path)) for path in paths),
        official=SPLITS[row["split"]],
        labels={"clc19": tuple(sorted(NAMES[name] for name in row["labels"]))} | ({"clc19_map": ()} if maps else {}),
        unused=reason,
        **place_of(tree, paths[0], key, known),
    )


def place_of(tree: Tree, path: str, key: str, known: Mapping[str, str]) -> dict[str, Any]:
    """Return what a patch's name and the header of one of its files tell."""
    scene, start, tile, column, number = PATCH.fullmatch(key).groups()  # type: ignore[union-attr]  # `units` matched it
    time = datetime.strptime(f"{start}+0000", "%Y%m%dT%H%M%S%z")
    crs, transform = tiff.georeference(tree, path)
    footprint = crs and transform and (transform[2], transform[5] - 1200, transform[2] + 1200, transform[5])
    where = {"scene": scene, "tile": tile, "column": column, "row": number}
    return {
        "group": scene,
        "place": tile,
        "time": time,
        "crs": crs,
        "transform": transform,
        "footprint": footprint or None,
        "orbit_pass": sentinel1.orbit_pass(time, 6 * int(tile[:2]) - 183),
        "attrs": {**where, **known, "orbit_pass_source": "derived"},
    }


def is_stacked(tree: Tree, patch: str) -> bool:
    """Say whether a patch has both bands in one file, as the subset of Copernicus-Bench does."""
    return f"{patch.rpartition('/')[2]}{STACKED}" in tree.files(patch)


@functools.lru_cache(maxsize=2)
def _read_lists(tree: Tree) -> dict[str, tuple[str, str, tuple[int, ...], SourceFile]]:
    """Return patch → split, Sentinel-2 path, labels and table of the tables of Copernicus-Bench."""
    rows: dict[str, tuple[str, str, tuple[int, ...], SourceFile]] = {}
    columns = [f"c{i}" for i in range(len(NAMES))]
    for split, name in MULTILABEL.items():
        if (home := find_parent(tree, name)) is None:
            raise SourceError(f"expected {name} beside the patches, found none: it has labels and split")
        file, data = read_with_digest(tree, home + name)
        for row in table.read_table(file.path, data, ("s1_path", "s2_path", *columns)):
            key = row["s1_path"].rpartition("/")[2].removesuffix(STACKED)
            labels = tuple(i for i, column in enumerate(columns) if row[column] == "1")
            if rows.setdefault(key, (split, row["s2_path"], labels, file))[0] != split:
                raise SourceError(f"{file.path}: expected {key} in one table, found it in that of {rows[key][0]} too")
    return rows


def scan_stacked(tree: Tree, unit: str) -> Iterator[Record]:
    """Yield the record of a patch of Copernicus-Bench's subset."""
    key = unit.rpartition("/")[2]
    if (row := _read_lists(tree).get(key)) is None:
        raise BadRecord(unit, f"expected {key} in one of {', '.join(MULTILABEL.values())}, found it in none")
    split, partner, labels, file = row
    path = f"{unit}/{key}{STACKED}"
    yield Record(
        key=key,
        files=(SourceFile(path, tree.size(path)), file),
        official=split,
        labels={"clc19": labels},
        **place_of(tree, path, key, {"s2_path": partner}),
    )


def read_stacked(tree: Tree, record: Record) -> Sample:
    """Return [VV, VH] in dB, float32 [2, 120, 120], of the file that has both."""
    path = record.files[0].path
    raster = tiff.read(tree.read(path), path, shape=(120, 120), dtypes=("float32",), bands=2)
    return Sample(image=raster.pixels, fallbacks=int(raster.fallback))


def copies(tree: Tree) -> tuple[Pipeline, str] | None:
    """Return the pipeline of Copernicus-Bench's subset, if the patches of a tree are of it."""
    _read_lists.cache_clear()  # a build begins here: the source may have changed since the last
    first = next(patches(tree), None)
    if first is None or not is_stacked(tree, first):
        return None
    counts = Counter(row[0] for row in _read_lists(tree).values())
    sizes = " + ".join(f"{counts[split]:,} {split}" for split in MULTILABEL)
    stacked = dataclasses.replace(BASE, units=patches, scan=scan_stacked, read=read_stacked, copies=None)
    return stacked, f"the subset of Copernicus-Bench, both bands in one file, {sizes} in its tables"


def read(tree: Tree, record: Record) -> Sample:
    """Return [VV, VH] in dB, float32 [2, 120, 120], and with a third file the mask of the 19 classes."""
    files = [(file.path, tree.read(file.path)) for file in record.files]
    sample = stack(files[:2], shape=(120, 120), dtype="float32")
    if len(files) < 3:
        return sample
    raster = tiff.read(files[2][1], files[2][0], shape=(120, 120), dtypes=("uint16",), bands=1)
    try:
        return dataclasses.replace(sample, mask=corine.mask_19(raster.pixels[0]))
    except ValueError as error:
        raise BadRecord(files[2][0], str(error)) from None


HOME = "https://zenodo.org/records/10891137/files/"
MD5 = {
    "BigEarthNet-S1.tar.zst": "a55eaa2cdf6a917e296bd6601ec1e348",
    TABLE: "55687065e77b6d0b0f1ff604a6e7b49c",
    EXTRA: "fe31856f4986d446c9468b59d6387c91",
    "Reference_Maps.tar.zst": "95d85a222fa983faddcac51a19f28917",
}
SPEC = DatasetSpec(
    name="bigearthnet-s1-v2",
    aliases=("bigearthnet-v2", "reben", "reben-s1"),
    version="2.0",
    revision=1,
    title="BigEarthNet-S1 v2.0 (reBEN)",
    evidence="real-lists",
    bands=tuple(Band(name=p, polarization=p, unit="dB", description=f"sigma0 {p}") for p in ("VV", "VH")),
    shape=(120, 120),
    dtype="float32",
    pixel_size_m=10.0,
    samples=480_038,
    published={"train": 237_871, "val": 122_342, "test": 119_825},
    calibration="sigma0",
    processing=LIKE_UNFILTERED,
    range_axis="mixed",
    symmetries=("azimuth-flip", "range-flip"),
    tasks=(Task(name="clc19", kind="multilabel", classes=corine.CLASSES_19),),
    lists=(),
    licence="CDLA-Permissive-1.0",
    sources=tuple(Source(name=name, url=HOME + name, checksum=f"md5:{md5}") for name, md5 in MD5.items()),
    citation="Clasen et al. 2024, reBEN: Refined BigEarthNet, arXiv:2407.03653",
)
MAPPED = (*SPEC.tasks, Task(name="clc19_map", kind="segmentation", classes=corine.CLASSES_19))
BASE = Pipeline(
    spec=SPEC,
    units=units,
    scan=scan,
    read=read,
    named=named,
    copies=copies,
    layouts={
        "mirror without the second table": ("BigEarthNet-S1/*/*/*_VV.tif", "metadata.parquet"),
        "Copernicus-Bench, 5 %": ("BigEarthNet-S1-5%/*/*/*_allbands.tif", "multilabel-{train,val,test}.csv"),
    },
    splits={
        "official": declared.Declared(),
        "random": random.Random(),
        "stratified": stratified.Stratified(),
        "group": group.Group(),
        "blocks": blocks.Blocks(),
    },
)
PIPELINE = dataclasses.replace(
    BASE,
    variants={
        "all": dataclasses.replace(
            BASE,
            scan=partial(scan, union=True),
            copies=None,
            spec=dataclasses.replace(
                SPEC,
                variant="all",
                revision=2,
                samples=549_488,
                published={},
                title=f"{SPEC.title}, with snow and clouds",
            ),
        ),
        "segmentation": dataclasses.replace(
            BASE,
            scan=partial(scan, maps=True),
            copies=None,
            spec=dataclasses.replace(SPEC, variant="segmentation", tasks=MAPPED, title=f"{SPEC.title}, with maps"),
        ),
        _copernicus_bench.NAME: dataclasses.replace(
            _copernicus_bench.copy(
                BASE,
                "l2_bigearthnet_s1s2/bigearthnetv2.zip",
                "269355db0449e0da7213c95f30c346d4",
                policy=BASE.splits["official"],
                keeps=("random", "stratified", "group", "blocks"),
                samples=24_002,
                published={},
                evidence="documents-only",
            ),
            units=patches,
            scan=scan_stacked,
            read=read_stacked,
        ),
    },
)
