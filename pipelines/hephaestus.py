"""Hephaestus: 19,919 annotated interferograms of volcanoes (Sentinel-1, processed by LiCSAR) with deformation masks.

A sample is a pair of 8-bit PNGs, <frame>/interferograms/<d1>_<d2>/<d1>_<d2>.geo.diff.png (wrapped phase, as grey) and
.geo.cc.png (coherence), and annotations/<uid>.json. What is odd about it:
- Frames differ in size. 8-bit grey is neither radians nor dB, so both bands have the unit "8-bit".
- The README calls the pictures InSAR.png and Coherence.png; the loaders read the .geo.* names, which count here.
- A segmentation_mask is a list of flat polygons [x, y, ...] or one flat polygon. Polygon i belongs to activity_type i;
  one activity holds for all. Classes 1 to 6 of the masks are Mogi, Dyke, Sill, Spheroid, Earthquake, Unidentified.
- Frames of one place recur with every pair of dates: only "group" (by frame) is honest.
- The cropped patches that most papers train on are a dataset of their own: hephaestus-crops.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from pipelines._steps_before import LICSAR
from sar_data.errors import BadRecord, Reading
from sar_data.labels.fields import read_fields
from sar_data.raster import gdal, image
from sar_data.record import Record, Sample, SourceFile, window_of
from sar_data.sources.tree import find_parent, read_with_digest
from sar_data.spec import Band, DatasetSpec, Pipeline, Source, Task, Tree
from sar_data.split import group, random

ACTIVITIES = ("Background", "Mogi", "Dyke", "Sill", "Spheroid", "Earthquake", "Unidentified")
LABELS = ("Non_Deformation", "Deformation", "Earthquake")
KEYS = {"frameID": str, "label": list, "segmentation_mask": list}
FRINGES = ("atmospheric_fringes", "glacier_fringes", "orbital_fringes")
ATTRIBUTES = (*FRINGES, "low_coherence", "phase", "intensity_level", "confidence", "caption")
FRAME = re.compile(r"\d{3}[AD]_.+")


def _frames(tree: Tree, home: str) -> list[str]:
    return tree.folders(f"{home}Hephaestus_Raw") if "Hephaestus_Raw" in tree.folders(home) else []


def units(tree: Tree) -> Iterator[str]:
    """Yield the annotations."""
    home = find_parent(tree, "annotations")
    if home is not None and any(FRAME.fullmatch(name) for name in (*tree.folders(home), *_frames(tree, home))):
        yield from (f"{home}annotations/{name}" for name in tree.files(f"{home}annotations") if name.endswith(".json"))


def scan(tree: Tree, unit: str) -> Iterator[Record]:
    """Yield the record of one annotation."""
    file, data = read_with_digest(tree, unit)
    facts = read_fields(unit, data, KEYS)
    dates = "_".join(str(facts.get(key)) for key in ("primary_date", "secondary_date"))
    home = unit.rpartition("annotations/")[0]
    home += "Hephaestus_Raw/" if "Hephaestus_Raw" in tree.folders(home) else ""
    stem = f"{home}{facts['frameID']}/interferograms/{dates}/{dates}.geo"
    paths = [f"{stem}.diff.png", f"{stem}.cc.png"]
    if unknown := [name for name in facts["label"] if name not in LABELS]:
        raise BadRecord(unit, f"expected labels among {', '.join(LABELS)}, found {unknown}")
    _shapes(unit, facts)  # a broken annotation is known before any pixel is read
    size = image.dimensions(tree, paths[0])
    yield Record(
        key=str(facts.get("uniqueID", unit.rpartition("/")[2].removesuffix(".json"))),
        group=facts["frameID"],
        place=facts["frameID"],
        shape=size,
        **window_of(f"Hephaestus {facts['frameID']}", row=0, column=0, height=size[0], width=size[1]),
        files=(*(SourceFile(path, tree.size(path)) for path in paths), file),
        labels={"deformation": tuple(sorted({LABELS.index(name) for name in facts["label"]})), "activity": ()},
        unused=next((f"marked {key}" for key in ("corrupted", "processing_error", "no_info") if facts.get(key)), None),
        attrs={key: str(facts[key]) for key in ATTRIBUTES if facts.get(key) not in (None, "", [])} | {"dates": dates},
    )


def _shapes(path: str, facts: dict[str, Any]) -> list[tuple[tuple[tuple[tuple[float, ...], ...], ...], int]]:
    """Return (polygons, class) of an annotation, in its order."""
    with Reading(path, f"polygons of numbers, with activities of {', '.join(ACTIVITIES[1:])}"):
        mask, activities = facts["segmentation_mask"], list(facts.get("activity_type") or [])
        polygons = [mask] if mask and not isinstance(mask[0], list) else mask
        named = activities * len(polygons) if len(activities) == 1 else activities
        if polygons and len(named) != len(polygons):
            raise BadRecord(path, f"expected an activity_type for each of {len(polygons)} polygons, found {activities}")
        pairs = [(ring, name) for ring, name in zip(polygons, named, strict=False) if len(ring) >= 6]
        if odd := [len(ring) for ring, _ in pairs if len(ring) % 2]:
            raise BadRecord(path, f"expected x and y of every corner of a polygon, found {odd[0]} numbers")
        return [(((tuple(map(float, ring)),),), ACTIVITIES.index(str(name).capitalize())) for ring, name in pairs]


def read(tree: Tree, record: Record) -> Sample:
    """Return [InSAR, coherence], uint8 [2, y, x], and the mask of the activities, class 0 where there is none."""
    pictures = [image.grey(tree.read(file.path), file.path, shape=record.shape) for file in record.files[:2]]
    path, pixels = record.files[2].path, np.concatenate(pictures)
    mask = gdal.rasterize(_shapes(path, read_fields(path, tree.read(path), KEYS)), (pixels.shape[1], pixels.shape[2]))
    return Sample(image=pixels, mask=mask)


BY_HAND = "a Dropbox share: open it in a browser, save the zip and unpack it beside the others"
DROPBOX = {"annotations_hephaestus": "i08mz5514gczksz", "Hephaestus_Raw": "uhyr4gefregqvdx"}
BANDS = tuple(
    Band(name=name, polarization="", unit="8-bit", description=text)
    for name, text in (("InSAR", "wrapped phase as grey"), ("coherence", "coherence as grey"))
)
SPEC = DatasetSpec(
    name="hephaestus",
    version="1.0",
    revision=1,
    title="Hephaestus",
    evidence="documents-only",
    samples=19_919,
    bands=BANDS,
    shape=None,
    dtype="uint8",
    pixel_size_m=None,
    calibration="stretched phase and coherence",
    processing=LICSAR,
    tasks=(
        Task(name="deformation", kind="multilabel", classes=LABELS),
        Task(name="activity", kind="segmentation", classes=ACTIVITIES),
    ),
    sources=tuple(
        Source(name=f"{name}.zip", url=f"https://www.dropbox.com/s/{share}/{name}.zip", manual=BY_HAND)
        for name, share in DROPBOX.items()
    ),
    lists=(),
    symmetries=(),
    licence="unverified (repository: MIT)",
    citation="Bountos et al. 2022, Hephaestus, CVPR EarthVision, arXiv:2204.09435",
)
PIPELINE = Pipeline(
    spec=SPEC, units=units, scan=scan, read=read, splits={"group": group.Group(), "random": random.Random()}
)
