"""What both versions of OpenSARShip have in common: a pipeline for each kind of product in each form."""

from __future__ import annotations

import dataclasses
from collections import Counter
from functools import partial

from pipelines._opensarship_chips import read, scan, units
from pipelines._opensarship_products import (
    FOLDERS,
    KINDS,
    POLARIZATIONS,
    advice,
    bands,
    list_ends,
    order,
    product,
    scenes,
    variant,
)
from pipelines._steps_before import IW_FLOOR
from sar_data.errors import SourceError
from sar_data.labels import ais
from sar_data.spec import DatasetSpec, Pipeline, Processing, Task, Tree
from sar_data.split import group, random, stratified

TASK = Task(name="ship", kind="multiclass", classes=ais.CLASSES)
BY_IPF = Processing(
    processor="Sentinel-1 IPF, its version in each scene's metadata",
    noise_floor=IW_FLOOR,
    source="Metedata.xml or <product>.xml of real scenes; noise floor by Sentinel-1's specification of IW",
)
AS_PRODUCT = dataclasses.replace(
    BY_IPF,
    thermal_noise="kept",
    border_noise="kept",
    speckle_filter="none",
    interpolation="none",
    source="real chips: the product's whole digital numbers, and sigma0 = DN² / A² with one A a chip; noise floor by "
    "Sentinel-1's specification of IW",
)


def fit(tree: Tree, base: Pipeline, kind: str, form: str) -> tuple[Pipeline, tuple[str, ...]]:
    """Return the pipeline with what scenes there are; raise SourceError where none is of its kind."""
    kinds = {scene: product(tree, scene)[1] for scene in scenes(tree)}
    counts = ", ".join(f"{number} {name}" for name, number in sorted(Counter(kinds.values()).items()))
    if kind not in kinds.values():
        remedy = " or ".join(advice(name, form) for name in sorted({*kinds.values()}))
        raise SourceError(
            f"expected scenes of kind {kind}, found {counts or 'no folder with a folder Patch'}: "
            f"{remedy or 'unpack each archive to a folder of its name'}"
        )
    sentences = [f"scenes by product: {counts}"]
    spec = base.spec
    if kind.endswith("dh") and form != "uint8":
        pols = order(tree, next(scene for scene in sorted(kinds) if kinds[scene] == kind), kind, form)
        spec = dataclasses.replace(spec, bands=bands(kind, form, pols))
        sentences.append(f"bands in the order {', '.join(pols)}, by their likeness to the named pictures")
    if repaired := sum(ais.is_repaired(end) for scene in kinds for end in list_ends(tree, scene)):
        sentences.append(f"{repaired} lists Ship.xml end in <\\ShipList>, which is read as </ShipList>")
    return dataclasses.replace(base, spec=spec, fit=None), tuple(sentences)


def pipeline(spec: DatasetSpec, kind: str, form: str, known: bool) -> Pipeline:
    """Return the pipeline of one kind of product in one form; `known`: its real files were read."""
    own = bands(kind, form, POLARIZATIONS[kind[4:]])
    dtype = "uint8" if form == "uint8" else "float32"
    spec = dataclasses.replace(
        spec,
        title=", ".join(filter(None, (spec.title, variant(kind, form)))),
        variant=variant(kind, form),
        bands=own,
        dtype=dtype,
        evidence="real-files" if known else "documents-only",
        pixel_size_m=10.0 if kind[:3] == "grd" else None,
        calibration={"": "DN", "cal": "sigma0", "uint8": "stretched"}[form],
        processing=AS_PRODUCT if known and kind[:3] == "grd" and form != "uint8" else BY_IPF,
    )
    declared = Pipeline(
        spec=spec,
        units=partial(units, form=form),
        scan=partial(scan, kind=kind, form=form),
        read=partial(read, bands=len(own), dtype=dtype),
        layouts={"a zip a scene": ("S1*.zip",), "a folder a scene": ("S1*/Patch/*.tif", "S1*/Ship.xml")},
        splits={"group": group.Group(), "stratified": stratified.Stratified(), "random": random.Random()},
    )
    return dataclasses.replace(declared, fit=partial(fit, base=declared, kind=kind, form=form))


def family(spec: DatasetSpec, known: str) -> Pipeline:
    """Return the pipeline of a version with all of its variants; `known` is the kind of which real files were read."""
    pipelines = {(kind, form): pipeline(spec, kind, form, kind == known) for kind in KINDS for form in FOLDERS}
    default = pipelines.pop(("grd-dv", ""))
    return dataclasses.replace(default, variants={variant(*which): each for which, each in pipelines.items()})
