"""The chips of OpenSARShip, joined by their centres to the ships they show."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

import numpy as np

from pipelines._opensarship_products import CHIP, FOLDERS, POLARIZATIONS, advice, open_scene, scenes
from sar_data.errors import BadRecord
from sar_data.labels import ais, sentinel1
from sar_data.raster import tiff
from sar_data.record import Record, Sample, SourceFile, window_of
from sar_data.spec import Tree


def units(tree: Tree, form: str) -> Iterator[str]:
    """Yield scene/folder/chip, without prefix, polarization and ending; other files are no chips."""
    open_scene.cache_clear()  # the source may have been corrected since this process last read it
    for scene in scenes(tree):
        folder = posixpath.join(scene, FOLDERS[form])
        if FOLDERS[form] not in tree.folders(scene):
            yield folder
            continue
        names = [name for name in tree.files(folder) if name.endswith(".tif")]
        yield from {f"{folder}/{match[1] if (match := CHIP.fullmatch(name)) else name}" for name in names}


def scan(tree: Tree, unit: str, kind: str, form: str) -> Iterator[Record]:
    """Yield the chip's record; that of another kind of product is unused, for its bands are others."""
    folder, chip = posixpath.split(unit)
    named = CHIP.fullmatch(f"{chip}.tif")
    if named is None:
        raise BadRecord(unit, f"expected {FOLDERS[form]}/<Type>_x<X>_y<Y>.tif, found {chip}")
    scene = open_scene(tree, at := posixpath.dirname(folder), tree.size(posixpath.join(at, "Ship.xml")))
    ship = scene.ships.get(place := (int(named["x"]), int(named["y"])))
    if ship is None:
        raise BadRecord(scene.file.path, f"expected a ship at the centre {place} of {chip}, found none")
    when = ais.time(ship, scene.file.path)
    attrs = {"scene": scene.product, "type": named["type"], **ais.attributes(ship, scene.file.path)}
    turn = sentinel1.orbit_pass(when, float(attrs["longitude"])) if when and "longitude" in attrs else None
    unused = f"product of kind {scene.kind}: {advice(scene.kind, form)}" if scene.kind != kind else None
    yield Record(
        key=f"{scene.product}_x{named['x']}_y{named['y']}",
        files=(*files(tree, folder, chip, scene.kind, form), scene.file),
        labels={"ship": (ais.agree_class(named["type"], ship.get("Ship_Type"), unit),)},
        shape=ais.shape(ship, scene.file.path),
        group=scene.product,
        place=attrs.get("mmsi"),
        **window_of(scene.product, **ais.window(ship, scene.file.path)),
        time=when,
        orbit_pass=turn,
        relative_orbit=sentinel1.relative_orbit(scene.product),
        unused=unused,
        attrs=attrs | ({"orbit_pass_source": "derived"} if turn else {}),
    )


def files(tree: Tree, folder: str, chip: str, kind: str, form: str) -> tuple[SourceFile, ...]:
    """Return the chip's TIFFs: one of all bands, or a picture of each polarization."""
    pols = POLARIZATIONS[kind[4:]]
    names = [f"Visual_{chip}_{p.lower()}.tif" for p in pols] if form == "uint8" else [f"{chip}.tif"]
    paths = [f"{folder}/{name}" for name in names]
    try:
        return tuple(SourceFile(path, tree.size(path)) for path in paths)
    except BadRecord:
        if form != "uint8" or len(pols) > 1:
            raise
        return (SourceFile(alone := f"{folder}/Visual_{chip}.tif", tree.size(alone)),)  # the only one is not named


def read(tree: Tree, record: Record, bands: int, dtype: str) -> Sample:
    """Return the bands as the files have them, [band, y, x]."""
    paths = [file.path for file in record.files[:-1]]
    rasters = [
        tiff.read(tree.read(path), path, shape=record.shape, dtypes=(dtype,), bands=bands // len(paths))
        for path in paths
    ]
    images, filled = zip(*(raster.image() for raster in rasters), strict=True)
    return Sample(
        image=np.concatenate(images), nodata=sum(filled, ()), fallbacks=sum(raster.fallback for raster in rasters)
    )
