"""The spec of a user's dataset, by its declaration and what its files hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from sar_data.errors import SourceError
from sar_data.naming import few
from sar_data.own.declaration import Declaration
from sar_data.own.evidence import Values
from sar_data.own.guess import POLARIZATIONS
from sar_data.record import Image
from sar_data.spec import Band, DatasetSpec, Task, Unit

TASKS: Mapping[str, tuple[str, Any]] = {
    "classification": ("class", "multiclass"),
    "multilabel": ("labels", "multilabel"),
    "segmentation": ("mask", "segmentation"),
    "change": ("change", "change"),
    "detection": ("objects", "detection"),
}
"""Task of a declaration → its name and kind in a build."""
Kind = tuple[int, str]
"""Bands of a file, and dtype."""


def bands_of(
    declaration: Declaration, kind: Kind, otherwise: Unit | None, example: Callable[[], tuple[str, Image]]
) -> tuple[Band, ...]:
    """Return the bands with their declared fields; raise SourceError where their number differs from the files'.

    `example` returns the name and the pixels of an image, as evidence for the unit that is asked for.
    """
    (a_file, dtype), suffixes = kind, declaration.band_suffixes
    if suffixes and a_file != 1:
        raise SourceError(f"band_suffixes: expected files of one band each, found {a_file} bands in a file")
    count = len(suffixes) or a_file
    names = declaration.bands or tuple(str(i + 1) for i in range(count))
    if len(names) != count:
        raise SourceError(f"bands: expected the names of {count} bands, found {few(names)}")
    units = declaration.unit or _units_by(dtype, otherwise)
    if units is None or (declaration.unit is None and (declaration.scale or declaration.offset)):
        raise SourceError(_ask_unit(*example()))
    if len(units) not in (1, count):
        raise SourceError(f"unit: expected one, or one for each of {count} bands, found {few(units)}")
    polarizations: Sequence[str] | None = declaration.polarizations
    if polarizations is None:
        polarizations = tuple(name.upper() if name.upper() in POLARIZATIONS else "" for name in names)
    if len(polarizations) != count:
        raise SourceError(f"polarizations: expected one for each of {count} bands, found {few(polarizations)}")
    return tuple(
        Band(
            name=name,
            polarization=polarizations[i],
            unit=units[i if len(units) > 1 else 0],
            description=f"file that ends in {suffixes[i]}" if suffixes else f"band {i + 1} of the file",
        )
        for i, name in enumerate(names)
    )


def _units_by(dtype: str, otherwise: Unit | None) -> tuple[Unit, ...] | None:
    """Return the unit that a pixel type implies: of 8-bit pictures, and of I and Q of complex numbers."""
    if dtype == "uint8":
        return ("8-bit",)
    if dtype.startswith("complex"):  # the two bands made of each have their own units
        return ("DN",)
    return (otherwise,) if otherwise else None


def _ask_unit(path: str, image: Image) -> str:
    """Return the question for a missing unit, with the values of one image as evidence."""
    values = Values.of(image)
    shown = f" In {path} {values.sentence()}." if values else ""
    units = ", ".join(get_args(Unit))
    return f"unit: expected one of {units}, found none.{shown} Give `unit=…`, or write it into dataset.toml"


def _scaling(declaration: Declaration, count: int, dtype: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return scale and offset [band], both () where none is declared; raise SourceError where their number is wrong."""
    if not (declaration.scale or declaration.offset):
        return (), ()
    if dtype.startswith("complex"):
        raise SourceError(f"scale: expected files of real numbers, found {dtype}")
    scale, offset = declaration.scale or (1.0,), declaration.offset or (0.0,)
    for field, numbers in (("scale", scale), ("offset", offset)):
        if len(numbers) not in (1, count):
            raise SourceError(f"{field}: expected one, or one for each of {count} bands, found {few(numbers)}")
    changes = {*scale} != {1} or {*offset} != {0}
    return ((scale * count)[:count], (offset * count)[:count]) if changes else ((), ())


def spec_of(
    base: DatasetSpec, declaration: Declaration, bands: tuple[Band, ...], classes: tuple[str, ...], dtype: str
) -> DatasetSpec:
    """Return the spec of a declaration, before any pixel is read; scaled values are floats."""
    scale, offset = _scaling(declaration, len(bands), dtype)
    tasks: tuple[Task, ...] = ()
    if (task := TASKS.get(declaration.task or "none")) is not None:
        tasks = (Task(name=task[0], kind=task[1], classes=classes),)
    return dataclasses.replace(
        base,
        name=declaration.name or base.name,
        version=declaration.version,
        title=declaration.title or declaration.name or base.title,
        licence=declaration.licence,
        citation=declaration.citation,
        bands=bands,
        frames=len(declaration.frames) or 1,
        dtype="float32" if scale else dtype,
        nodata=declaration.nodata,
        scale=scale,
        offset=offset,
        pixel_size_m=declaration.pixel_size_m,
        calibration=declaration.calibration or base.calibration,
        terrain_corrected=declaration.terrain_corrected,
        tasks=tasks,
    )
