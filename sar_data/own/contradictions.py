"""Compare a declaration with the files: each contradiction is a warning, because a person decides."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress

from sar_data.dtypes import apply_scale, without
from sar_data.errors import SarDataError
from sar_data.naming import few
from sar_data.own.band_metadata import BandMetadata, read_band_metadata
from sar_data.own.declaration import Declaration
from sar_data.own.evidence import MAX_IMAGES, MAX_PIXELS, Values, spaced_sample
from sar_data.own.images import stem_of
from sar_data.own.reading import Plan, read, scan
from sar_data.own.survey import Survey
from sar_data.progress import WARNING
from sar_data.raster import any_format, tiff
from sar_data.record import Image
from sar_data.spec import DatasetSpec, Tree

_POLARIZATION = re.compile(r"(?<![a-z])(vv|vh|hh|hv)(?![a-z])", re.I)
_LIKE_ONE = re.compile("[VHRLX]{2}")


def contradictions(tree: Tree, plan: Plan, spec: DatasetSpec, survey: Survey) -> list[str]:
    """Return a warning for each contradiction between `spec` and the names, metadata and values of some files."""
    units = spaced_sample(list(survey.chips), MAX_IMAGES)
    a_sample = len(plan.declaration.band_suffixes) or 1
    samples = [survey.chips[unit].files[:a_sample] for unit in units]
    notes = read_band_metadata(tree, samples)
    lines = (
        *_check_band_order(spec, notes.names, "describe them as"),
        *_check_band_order(spec, _polarizations_in_names(samples, len(spec.bands)), "are called"),
        *_check_polarizations(spec),
        *_check_scales(plan.declaration, spec, notes),
        *_check_places(tree, plan.declaration, samples),
        *_check_values(_images(tree, plan, units), spec),
    )
    return [f"{WARNING}{line}" for line in lines]


def _check_band_order(spec: DatasetSpec, names_in_files: Sequence[str], verb: str) -> Iterator[str]:
    """Compare the names of the bands with those in the files, band by band."""
    names = [band.name for band in spec.bands]
    if len(names_in_files) != len(names):
        return
    polarizations = [match[-1].upper() if (match := _POLARIZATION.findall(name)) else "" for name in names_in_files]
    pairs = zip([band.polarization for band in spec.bands], polarizations, strict=True)
    differs = any(a != b for a, b in pairs if a and b)
    declared_names, file_names = ([name.casefold() for name in group] for group in (names, names_in_files))
    if differs or (declared_names != file_names and sorted(declared_names) == sorted(file_names)):
        yield f"bands: declared {few(names)}, but the files {verb} {few(names_in_files)}"


def _polarizations_in_names(samples: Sequence[Sequence[str]], bands: int) -> tuple[str, ...]:
    """Return the polarizations at the end of the names of single-band files; () where samples differ."""
    ends = set()
    for files in samples:
        words = [re.split(r"[^A-Za-z]", stem_of(path).rpartition("/")[2])[-1].upper() for path in files]
        ends.add(tuple(word if _POLARIZATION.fullmatch(word) else "" for word in words))
    (first, *further) = ends or {()}
    return first if not further and len(first) == bands and any(first) else ()


def _check_polarizations(spec: DatasetSpec) -> Iterator[str]:
    """Name the bands that look like a polarization and are none."""
    odd = [band.name for band in spec.bands if not band.polarization and _LIKE_ONE.fullmatch(band.name.upper())]
    if odd:
        yield f"bands: {few(odd)} is none of the polarizations VV, VH, HH and HV"


def _check_scales(declaration: Declaration, spec: DatasetSpec, notes: BandMetadata) -> Iterator[str]:
    """Compare the declared scale with that of the metadata; a declared 1 means that no scaling is needed."""
    if not notes.scales or (declaration.scale and not spec.scale):
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


def _check_places(tree: Tree, declaration: Declaration, samples: Sequence[Sequence[str]]) -> Iterator[str]:
    """Warn that declared coordinates are not used where files have a georeference."""
    placed = [
        path for path, *_ in samples if declaration.x_column and any_format.is_tiff(path) and _is_placed(tree, path)
    ]
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
            if bands * height * width <= MAX_PIXELS:
                images.append(read(tree, record, plan).image)
        except SarDataError:  # the build refuses it or leaves it out
            continue
    return images


def _check_values(images: Sequence[Image], spec: DatasetSpec) -> Iterator[str]:
    """Compare each unit with the values of its bands."""
    if spec.nodata is not None:
        images = [without(image, spec.nodata)[0] for image in images]
    if spec.scale:
        images = [apply_scale(image, spec.scale, spec.offset) for image in images]
    for unit in dict.fromkeys(spec.units):
        of_unit = [i for i, other in enumerate(spec.units) if other == unit]
        values = Values.of(*(image[..., of_unit, :, :] for image in images))
        if values and values.contradicts(unit):
            yield f"unit: declared {unit}, but {values.sentence()}"
