"""OpenSARUrban: 33,358 Sentinel-1 pictures of urban land use in 21 Chinese cities, 16,679 places in VV and in VH.

A sample is a pair of files, <Class>_x<X>_y<Y>_Polygon<N>_vv and …_vh, said to be 100x100 pixels of 10 m. What is odd:
- The spelling of a class varies with the city: highbuilding and highbuildings, vegetation and Vegetation. Case and a
  trailing "s" are therefore no difference.
- It comes in four formats (original, calibrated, 8-bit grey, pseudo-colour). Neither their folders' names nor the
  numbers in the files are documented: the build looks, says what it found and stops where two answers are possible.
  Numbered packages, one a city, are groups; where there are none, the polygons are. Pseudo-colour is left alone.
- There is no official split. "sarhub" is the 70/20/10 of SAR-HUB (osu_train.txt, osu_val.txt, osu_test.txt: 16,434 VV
  names without a city), so pictures of one polygon lie in all three; "group" holds them together.
"""

from __future__ import annotations

import dataclasses
import posixpath
import re
from collections.abc import Iterator
from functools import partial

import numpy as np

from pipelines._opensarurban import CLASSES, FILE, LABELS, SHAPE, discover, folders, package, window
from sar_data.errors import BadRecord
from sar_data.naming import few
from sar_data.raster import picture
from sar_data.record import Record, Sample, SourceFile
from sar_data.spec import Band, DatasetSpec, Pipeline, Processing, Source, Task, Tree, Unit
from sar_data.split import group, path_lists, random, stratified

LISTS = ("osu_train.txt", "osu_val.txt", "osu_test.txt")
CALIBRATION = {"original": "DN", "calibrated": "sigma0", "uint8": "stretched"}
SHARE = "https://pan.baidu.com/s/1D2TzmUWePYHWtNhuHL7KdQ"
HUB = "https://github.com/XAI4SAR/SAR-HUB"


def units(tree: Tree, form: str = "original") -> Iterator[str]:
    """Yield the VV file of each pair, whether it is there or only its partner."""
    for folder, names in folders(tree, form).items():
        yield from {posixpath.join(folder, FILE.sub(r"\1_vv\g<end>", name)) for name in names}


def scan(tree: Tree, unit: str, top: str = "", shape: tuple[int, int] = SHAPE) -> Iterator[Record]:
    """Yield the pair's record, from its names."""
    folder, name = posixpath.split(unit)
    named = FILE.fullmatch(name)
    if named is None or (label := LABELS.get(named["cls"].lower().rstrip("s"))) is None:
        raise BadRecord(unit, f"expected a name of one of the classes {few(CLASSES)}, found {name}")
    paths = (unit, posixpath.join(folder, FILE.sub(r"\1_vh\g<end>", name)))
    place = package(folder, top)
    key = re.sub(r"[^\w-]", "_", f"{place}_{named[1]}" if place else named[1])
    yield Record(
        key=key,
        files=tuple(SourceFile(path, tree.size(path)) for path in paths),
        labels={"landuse": (label,)},
        group=(ground := place or f"{CLASSES[label]}_Polygon{named['n']}"),
        place=ground,
        attrs={"list_name": named[1], "spelling": named["cls"], **({"package": place} if place else {})},
        **window(key, shape),
    )


def named(key: str) -> Record | None:
    """Return the record of a picture by its name alone, which tells where it lies in its polygon."""
    key = key.removesuffix("_vv")
    return Record(key=key, files=(), **window(key, SHAPE)) if FILE.search(f"{key}_vv.tif") else None


def read(tree: Tree, record: Record, shape: tuple[int, int] = SHAPE, dtype: str = "float32") -> Sample:
    """Return [VV, VH] as the files have them."""
    both = [picture.read(tree, file.path, shape=shape, dtypes=(dtype,)) for file in record.files]
    return Sample(
        image=np.concatenate([band.image for band in both]),
        nodata=tuple(n for band in both for n in band.nodata),
        fallbacks=sum(band.fallbacks for band in both),
    )


def fit(tree: Tree, form: str = "original") -> tuple[Pipeline, tuple[str, ...]]:
    """Return the pipeline of the folders, size and dtype in `tree`; raise SourceError where they are not clear."""
    layout = discover(tree, form)
    dtype, shape, negative = picture.single_kind(tree, layout.first[:24])
    known: tuple[Unit, Unit] = ("power", "dB") if form == "calibrated" else ("amplitude", "DN")
    unit: Unit = "8-bit" if dtype == "uint8" else known[negative]
    published = pipeline(form)
    calibration = "stretched" if dtype == "uint8" else published.spec.calibration
    spec = dataclasses.replace(
        published.spec, bands=bands(calibration, unit), shape=shape, dtype=dtype, calibration=calibration
    )
    return dataclasses.replace(
        published,
        spec=spec,
        scan=partial(scan, top=layout.top, shape=shape),
        read=partial(read, shape=shape, dtype=dtype),
        fit=None,
    ), (
        f"{len(layout.first)} folders of {form} pictures, the first {posixpath.dirname(layout.first[0]) or '.'}",
        f"{len(layout.packages)} packages" if layout.packages else "no packages: the polygons are the groups",
        f"{dtype}, {shape[0]}x{shape[1]}, taken for {unit}",
    )


def bands(calibration: str, unit: Unit) -> tuple[Band, ...]:
    """Return VV and VH in the unit that was found."""
    return tuple(Band(name=p, polarization=p, unit=unit, description=f"{p}, {calibration}") for p in ("VV", "VH"))


SOURCES = (
    Source(
        name="OpenSARUrban",
        url="https://opensar.sjtu.edu.cn/",
        note="unpack into one folder",
        manual=f"sign up at the site, or take {SHARE} (login of the share)",
    ),
    Source(
        name="OpenSARUrban at IEEE DataPort",
        url="https://ieee-dataport.org",
        note="unverified: said to be a copy; its files were not seen",
        manual="log in, search for OpenSARUrban and unpack it into one folder",
    ),
    Source(
        name="OpenSARUrban at Tianchi",
        url="https://tianchi.aliyun.com",
        note="unverified: said to have been a competition; no page of it was found",
        manual="log in and search for it among the competitions; take another source if it is not there",
    ),
    *(
        Source(
            name=name,
            url=HUB,
            note="for the split sarhub only",
            manual="take it from the repository's folder Pre-training/data/OSU",
        )
        for name in LISTS
    ),
)


def pipeline(form: str) -> Pipeline:
    """Return the pipeline of a form, before a source was looked at."""
    return Pipeline(
        spec=DatasetSpec(
            name="opensarurban",
            version="1.0",
            revision=1,
            title=f"OpenSARUrban, {form} pictures",
            evidence="real-lists",
            variant="" if form == "original" else form,
            bands=bands(CALIBRATION[form], "amplitude"),
            shape=SHAPE,
            dtype="float32",
            pixel_size_m=10.0,
            tasks=(Task(name="landuse", kind="multiclass", classes=CLASSES),),
            sources=SOURCES,
            lists=LISTS,
            licence="none stated",
            citation="Zhao et al. 2020, doi:10.1109/JSTARS.2019.2954850",
            samples=16_679,
            calibration=CALIBRATION[form],
            processing=Processing(),
            symmetries=(),
        ),
        units=partial(units, form=form),
        scan=scan,
        read=read,
        named=named,
        fit=partial(fit, form=form),
        splits={
            "group": group.Group(),
            "stratified": stratified.Stratified(),
            "random": random.Random(),
            "sarhub": path_lists.PathLists(
                train=LISTS[0], val=LISTS[1], test=LISTS[2], pattern=r"([A-Za-z]+_x\d+_y\d+_Polygon\d+)_vv\b"
            ),
        },
    )


PIPELINE = dataclasses.replace(
    pipeline("original"), variants={form: pipeline(form) for form in ("calibrated", "uint8")}
)
