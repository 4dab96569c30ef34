"""Any image set that comes as lists: train.txt, val.txt and test.txt with a line `path label` each.

TerraSAR-X chips, few-shot lists of SAR-HUB and most sets on a lab's own disk look like this; none of it is published
under one name. The source folder holds the lists and, below it, the images: GeoTIFF, PNG, JPEG or .npy. What is odd:
- Paths may lack their ending, begin with "/" or carry the folders of another machine: the longest end that exists wins.
- Labels are numbers, or names; names need classes.txt, one a line in canonical order, for their order is a fact.
- Nothing tells bands, unit and licence. `dataset.json` may: {"title", "bands", "unit", "licence", "citation"}. Without
  it bands are numbered, 8-bit pictures have the unit "8-bit" and all else "DN": numbers of unknown meaning.
The build says what it found. The lists are the split "official"; nothing is known of neighbours, so leakage is not.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from functools import partial
from typing import Any, get_args

from sar_data.errors import BadRecord, SourceError
from sar_data.labels.fields import read_fields
from sar_data.labels.lists import list_names, locate, read_lines
from sar_data.raster import mixed
from sar_data.record import Record, Sample, SourceFile
from sar_data.spec import Band, DatasetSpec, Pipeline, Task, Tree, Unit
from sar_data.split import declared, random, stratified

MOST_CLASSES = 100_000
KNOWN = {"title": str, "bands": list, "unit": str, "licence": str, "citation": str}


def units(tree: Tree) -> list[str]:
    """Return the lists at the root."""
    try:
        return list(list_names(tree.files(), "the source").values())
    except SourceError:
        return []


def scan(tree: Tree, unit: str, classes: tuple[str, ...] = (), one: bool = False) -> Iterator[Record]:
    """Yield the records of one list, from its lines and the heads of the images."""
    split = next(name for name, listed in list_names(tree.files(), "the source").items() if listed == unit)
    for line in read_lines(unit, tree.read(unit)):
        path = locate(line.path, mixed.ENDINGS, partial(_exists, tree))
        if path is None:
            raise BadRecord(unit, f"{line.where}: expected an image, found no file that {line.path:.120} could mean")
        if line.label not in classes:
            raise BadRecord(unit, f"{line.where}: expected one of {len(classes)} classes, found {line.label!r:.80}")
        (_, height, width), _ = mixed.header(tree, path)
        yield Record(
            key=re.sub(r"[^\w-]+", "_", path.rpartition(".")[0]),
            files=(SourceFile(path, tree.size(path)),),
            labels={"class": (classes.index(line.label),)},
            official=split,
            shape=None if one else (height, width),
        )


def _exists(tree: Tree, path: str) -> bool:
    try:
        return tree.size(path) >= 0
    except BadRecord:
        return False


def read(tree: Tree, record: Record) -> Sample:
    """Return the bands as they are stored, [band, y, x]."""
    return mixed.read(tree.read(record.files[0].path), record.files[0].path)


def _classes(tree: Tree, labels: set[str]) -> tuple[str, ...]:
    """Return the classes of classes.txt, else the numbers from 0 to the greatest label."""
    if "classes.txt" in tree.files():
        try:
            lines = tree.read("classes.txt").decode("utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise SourceError(f"classes.txt: expected names in UTF-8, found: {error}") from None
        if classes := tuple(line.strip() for line in lines if line.strip()):
            return classes
    if not all(label.isdecimal() and label.isascii() for label in labels):
        raise SourceError("expected labels that are numbers, or classes.txt with their names in canonical order")
    last = max((int(label[:9]) for label in labels), default=0)
    if last >= MOST_CLASSES:
        raise SourceError(f"expected numbers of classes below {MOST_CLASSES:,}, found {last:,}: give classes.txt")
    return tuple(str(i) for i in range(last + 1))


def _facts(tree: Tree, count: int) -> dict[str, Any]:
    """Return what dataset.json says of images of `count` bands; raise SourceError where it says what none can."""
    if "dataset.json" not in tree.files():
        return {}
    facts = read_fields("dataset.json", tree.read("dataset.json"), {})
    if wrong := [key for key, value in facts.items() if not isinstance(value, KNOWN.get(key, ()))]:
        raise SourceError(f"dataset.json: expected only {', '.join(KNOWN)}, found {', '.join(wrong)[:200]}")
    names = facts.get("bands", [])
    if "bands" in facts and (len(names) != count or not all(isinstance(b, str) and b for b in names)):
        raise SourceError(f"dataset.json: expected the names of {count} bands, found {names!r:.120}")
    if len(set(names)) < len(names):
        raise SourceError(f"dataset.json: expected every band once, found {names!r:.120}")
    if facts.get("unit", "DN") not in (units := get_args(Unit)):
        raise SourceError(f"dataset.json: expected a unit of {', '.join(units)}, found {facts['unit']!r:.60}")
    return facts


def fit(tree: Tree) -> tuple[Pipeline, tuple[str, ...]]:
    """Return the pipeline of the lists in `tree`; raise SourceError where they do not tell one dataset."""
    names = list_names(tree.files(), "the source")
    lines = {split: read_lines(name, tree.read(name)) for split, name in names.items()}
    paths = [locate(line.path, mixed.ENDINGS, partial(_exists, tree)) for rows in lines.values() for line in rows]
    headers = {mixed.header(tree, path) for path in paths if path is not None}
    kinds = {(shape[0], dtype) for shape, dtype in headers}
    if len(kinds) != 1:
        raise SourceError(f"expected images of one number of bands and one dtype, found {sorted(kinds) or 'no image'}")
    ((count, dtype),), shapes = kinds, {(shape[1], shape[2]) for shape, _ in headers}
    labels = {line.label for rows in lines.values() for line in rows}
    classes = _classes(tree, labels)
    facts = _facts(tree, count)
    unit = facts.get("unit", "8-bit" if dtype == "uint8" else "DN")
    bands = facts.get("bands", [str(i + 1) for i in range(count)])
    spec = dataclasses.replace(
        PIPELINE.spec,
        dtype=dtype,
        shape=next(iter(shapes)) if len(shapes) == 1 else None,
        bands=tuple(
            Band(
                name=b,
                polarization=b if b in ("VV", "VH", "HH", "HV") else "",
                unit=unit,
                description=f"band {i} of the file",
            )
            for i, b in enumerate(bands, 1)
        ),
        tasks=(Task(name="class", kind="multiclass", classes=classes),),
        **{key: facts[key] for key in ("title", "licence", "citation") if key in facts},
    )
    sizes = f"{len(shapes)} sizes" if len(shapes) > 1 else "x".join(map(str, next(iter(shapes))))
    found = ", ".join(f"{names[split]} with {len(rows):,} lines" for split, rows in lines.items())
    scanned = partial(scan, classes=classes, one=len(shapes) == 1)
    return dataclasses.replace(PIPELINE, spec=spec, scan=scanned, fit=None), (
        f"lists {found}",
        f"{count} band{'s' * (count > 1)} a sample, {sizes}, {dtype}, taken for {unit}",
        f"{len(classes)} classes",
    )


PIPELINE = Pipeline(
    spec=DatasetSpec(
        name="path-label",
        version="1.0",
        revision=1,
        title="Images by list",
        evidence="documents-only",
        bands=(Band(name="1", polarization="", unit="DN", description="as the file has it"),),
        shape=None,
        dtype="uint8",
        pixel_size_m=None,
        tasks=(),
        sources=(),
        lists=(),
        licence="your own",
        citation="none",
        symmetries=(),
    ),
    units=units,
    scan=scan,
    read=read,
    fit=fit,
    splits={"official": declared.Declared(), "random": random.Random(), "stratified": stratified.Stratified()},
)
