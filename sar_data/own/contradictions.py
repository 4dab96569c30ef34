"""What is declared against what the files say: each contradiction is one warning, for a person decides."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress

from sar_data.dtypes import scaled, without
from sar_data.errors import SarDataError
from sar_data.naming import few
from sar_data.own.declaration import Declaration
from sar_data.own.evidence import MOST_IMAGES, MOST_PIXELS, Values, spread
from sar_data.own.images import stem_of
from sar_data.own.noted import Noted, noted
from sar_data.own.reading import Plan, read, scan
from sar_data.own.survey import Survey
from sar_data.progress import WARNING
from sar_data.raster import any_format, tiff
from sar_data.record import Image
from sar_data.spec import DatasetSpec, Tree

_POLARIZATION = re.compile(r"(?<![a-z])(vv|vh|hh|hv)(?![a-z])", re.I)
_LIKE_ONE = re.compile("[VHRLX]{2}")


def contradictions(tree: Tree, plan: Plan, spec: DatasetSpec, found: Survey) -> list[str]:
    """Return a warning for each thing that names, notes and values of some files say otherwise than `spec` does."""
    units = spread(list(found.chips), MOST_IMAGES)
    a_sample = len(plan.declaration.band_suffixes) or 1
    samples = [found.chips[unit].files[:a_sample] for unit in units]
    notes = noted(tree, samples)
    lines = (
        *_order(spec, notes.names, "describe them as"),
        *_order(spec, _called(samples, len(spec.bands)), "are called"),
        *_unpolarized(spec),
        *_scales(plan.declaration, spec, notes),
        *_places(tree, plan.declaration, samples),
        *_values(_images(tree, plan, units), spec),
    )
    return [f"{WARNING}{line}" for line in lines]


def _order(spec: DatasetSpec, said: Sequence[str], verb: str) -> Iterator[str]:
    """Compare the bands with what the files call them, band by band."""
    names = [band.name for band in spec.bands]
    if len(said) != len(names):
        return
    there = [match[-1].upper() if (match := _POLARIZATION.findall(one)) else "" for one in said]
    pairs = zip([band.polarization for band in spec.bands], there, strict=True)
    others = any(a != b for a, b in pairs if a and b)
    ours, theirs = ([one.casefold() for one in these] for these in (names, said))
    if others or (ours != theirs and sorted(ours) == sorted(theirs)):
        yield f"bands: declared {few(names)}, but the files {verb} {few(said)}"


def _called(samples: Sequence[Sequence[str]], bands: int) -> tuple[str, ...]:
    """Return the polarizations that names end in, of files of one band each; none where samples differ."""
    ends = set()
    for files in samples:
        words = [re.split(r"[^A-Za-z]", stem_of(path).rpartition("/")[2])[-1].upper() for path in files]
        ends.add(tuple(word if _POLARIZATION.fullmatch(word) else "" for word in words))
    (one, *others) = ends or {()}
    return one if not others and len(one) == bands and any(one) else ()


def _unpolarized(spec: DatasetSpec) -> Iterator[str]:
    """Name the bands that look like a polarization and are none."""
    odd = [band.name for band in spec.bands if not band.polarization and _LIKE_ONE.fullmatch(band.name.upper())]
    if odd:
        yield f"bands: {few(odd)} is none of the polarizations VV, VH, HH and HV"


def _scales(said: Declaration, spec: DatasetSpec, notes: Noted) -> Iterator[str]:
    """Compare the declared scale with what the files note; a scale of 1 says that values are in the unit already."""
    if not notes.scales or (said.scale and not spec.scale):
        return
    if notes.scaling is None:
        yield "scale: the files note several scales, and none is applied: write all of them with one"
        return
    scale, offset = ([f"{value:g}" for value in dict.fromkeys(numbers)] for numbers in notes.scaling)
    fields = f"`scale={','.join(scale)}`" + (f" and `offset={','.join(offset)}`" if offset != ["0"] else "")
    if not spec.scale:
        yield f"scale: the files note one, which is not applied: give {fields}, or `scale=1` where values need none"
    elif (spec.scale, spec.offset) != notes.scaling:
        yield f"scale: declared otherwise than the files note: {fields}"


def _places(tree: Tree, said: Declaration, samples: Sequence[Sequence[str]]) -> Iterator[str]:
    """Say that declared coordinates are not used, where files have a place."""
    placed = [path for path, *_ in samples if said.x_column and any_format.is_tiff(path) and _is_placed(tree, path)]
    if placed:
        yield f"x_column, y_column: images with a georeference, such as {placed[0]}, keep their own place"


def _is_placed(tree: Tree, path: str) -> bool:
    with suppress(SarDataError):
        return None not in tiff.georeference(tree, path)
    return False


def _images(tree: Tree, plan: Plan, units: Sequence[str]) -> list[Image]:
    """Return some images [..., band, y, x] as a build reads them, in one dtype."""
    images: list[Image] = []
    for unit in units:
        try:
            (record,) = scan(tree, unit, plan)
            (bands, height, width), _ = any_format.header(tree, record.files[0].path)
            if bands * height * width <= MOST_PIXELS:
                images.append(read(tree, record, plan).image)
        except SarDataError:  # which the build refuses or leaves out
            continue
    return images


def _values(images: Sequence[Image], spec: DatasetSpec) -> Iterator[str]:
    """Compare each unit with the values of its bands."""
    if spec.nodata is not None:
        images = [without(image, spec.nodata)[0] for image in images]
    if spec.scale:
        images = [scaled(image, spec.scale, spec.offset) for image in images]
    for unit in dict.fromkeys(spec.units):
        of_unit = [i for i, other in enumerate(spec.units) if other == unit]
        values = Values.of(*(image[..., of_unit, :, :] for image in images))
        if values and values.contradicts(unit):
            yield f"unit: declared {unit}, but {values.sentence()}"
