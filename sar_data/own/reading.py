"""Scan and read one sample of a user's dataset: its record from names, rows and headers, and its pixels."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sar_data.errors import BadRecord, SourceError
from sar_data.labels.classes import index_of
from sar_data.labels.discovery import ImageObjects
from sar_data.naming import few
from sar_data.own.classes import labels_of
from sar_data.own.declaration import Declaration
from sar_data.own.images import Chip
from sar_data.own.rows import Row, split_of, time_of
from sar_data.own.spec import TASKS
from sar_data.own.survey import Survey, survey_folder
from sar_data.raster import any_format, tiff
from sar_data.record import IGNORE, Date, Mask, Record, Sample, SourceFile
from sar_data.spec import MASKED, Tree

Place = tuple[str | None, tuple[float, float, float, float, float, float] | None]
Footprint = tuple[float, float, float, float]
METRES_A_DEGREE = 111_320.0  # of latitude, on the mean sphere


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What scan and read need: the declaration, the classes, the bands of a file, and whether all sizes are equal."""

    declaration: Declaration
    classes: tuple[str, ...]
    bands_a_file: int
    one_size: bool


def units_of(tree: Tree, plan: Plan) -> list[str]:
    """Return the first file of each sample, and each row without an image."""
    survey = survey_folder(tree, plan.declaration)
    return [*survey.chips, *survey.absent]


def scan(tree: Tree, unit: str, plan: Plan) -> Iterator[Record]:
    """Yield the record of one sample, from names, rows and the heads of its files."""
    survey, declaration = survey_folder(tree, plan.declaration), plan.declaration
    if (absent := survey.absent.get(unit)) is not None:
        message = f"expected an image, found no file that {absent.image:.120} could mean"
        raise BadRecord(unit, f"{message}: {len(survey.absent):,} rows or lines name none")
    chip, row = survey.chips[unit], survey.rows.get(unit)
    if chip.missing is not None:
        lacking = sum(other_chip.missing is not None for other_chip in survey.chips.values())
        raise BadRecord(unit, f"expected {chip.missing} with it, found none: {_share(lacking, survey)} lack a file")
    shape = _shape(tree, chip, plan.bands_a_file)
    place = _georeference(tree, chip)
    labels, unused = _labels(plan, survey, unit, row)
    files = [SourceFile(path, tree.size(path)) for path in chip.files]
    if declaration.task in MASKED:
        if unit not in survey.masks:
            lacking = len(survey.chips.keys() - survey.masks.keys())
            raise BadRecord(unit, f"expected a mask of the same name, found none: {_share(lacking, survey)} have none")
        files.append(SourceFile(mask := survey.masks[unit], tree.size(mask)))
    annotated = _read_objects(plan, survey, unit, shape)
    if declaration.task == "detection":
        labels = {"objects": tuple(sorted({thing.label for thing in annotated.objects}))}
    crs, footprint = _footprint(declaration, place, shape, row)
    yield Record(
        key=re.sub(r"[^\w-]+", "_", chip.stem).strip("_") or "_",
        files=(*files, *annotated.files),
        labels=labels,
        objects=annotated.objects,
        official=_official(declaration, survey, unit, row),
        shape=None if plan.one_size else shape,
        group=chip.stem.rpartition("/")[0] if declaration.group == "folder" else row.group if row else None,
        time=time_of(row) if row else None,
        dates=tuple(Date(role=suffix.strip("_-. ") or suffix) for suffix in declaration.frames),
        crs=crs,
        transform=place[1],
        footprint=footprint,
        unused=unused,
    )


def _share(count: int, survey: Survey) -> str:
    return f"{count:,} of {len(survey.chips):,} samples"


def read(tree: Tree, record: Record, plan: Plan) -> Sample:
    """Return the bands as they are stored, [band, y, x] or [frame, band, y, x], and the mask where there is one."""
    declaration = plan.declaration
    frames, suffixes = len(declaration.frames), len(declaration.band_suffixes)
    count = max(frames, 1) * max(suffixes, 1)
    parts = [any_format.read(tree.read(file.path), file.path) for file in record.files[:count]]
    shapes = {part.image.shape for part in parts}
    if len(shapes) > 1:
        raise BadRecord(record.files[0].path, f"expected files of one shape, found {few(sorted(map(str, shapes)))}")
    image = np.concatenate([part.image for part in parts]) if count > 1 else parts[0].image
    bands = len(image) // max(frames, 1)
    if frames:
        image = image.reshape(frames, bands, *image.shape[1:])
    missing = [n for part in parts for n in (part.nodata or (0,) * len(part.image))]
    nodata = tuple(sum(missing[band::bands]) for band in range(bands)) if any(missing) else ()
    mask = None
    if declaration.task in MASKED:
        mask = _mask(tree, record.files[count].path, plan)
    return Sample(image=image, mask=mask, nodata=nodata, fallbacks=sum(part.fallbacks for part in parts))


def _read_objects(plan: Plan, survey: Survey, unit: str, shape: tuple[int, int]) -> ImageObjects:
    """Return the objects of a sample, and the files that contain them; none without boxes."""
    if survey.boxes is None:
        return ImageObjects((), ())
    annotated = next((path for path in survey.chips[unit].files if path in survey.boxes.pictures), None)
    if annotated is None:
        raise BadRecord(unit, "expected an image that the boxes can be of, found one of another ending")
    return survey.boxes.read_objects(annotated, shape, [name.lower() for name in plan.classes])


def _shape(tree: Tree, chip: Chip, bands: int) -> tuple[int, int]:
    """Return the (height, width) of a sample; raise BadRecord where its files differ."""
    first: tuple[int, int] | None = None
    for path in chip.files:
        (count, height, width), _ = any_format.header(tree, path)
        if count != bands:
            raise BadRecord(path, f"expected {bands} band{'s' * (bands > 1)}, found {count}")
        first = first or (height, width)
        if (height, width) != first:
            raise BadRecord(path, f"expected {first[0]}x{first[1]} pixels, as {chip.files[0]}, found {height}x{width}")
    if first is None:
        raise BadRecord(chip.stem, "expected a file, found none")
    return first


def _georeference(tree: Tree, chip: Chip) -> Place:
    """Return (crs, transform) of the files; raise BadRecord where they differ."""
    places = {path: tiff.georeference(tree, path) for path in chip.files if any_format.is_tiff(path)}
    if len(set(places.values())) > 1:
        path = next(path for path, place in places.items() if place != places[chip.files[0]])
        raise BadRecord(path, f"expected the georeference of {chip.files[0]}, found another")
    return next(iter(places.values()), (None, None))


def _labels(plan: Plan, survey: Survey, unit: str, row: Row | None) -> tuple[dict[str, tuple[int, ...]], str | None]:
    """Return the labels of the task, and the reason why a sample without any is unused."""
    task = plan.declaration.task
    if task not in ("classification", "multilabel"):
        return ({TASKS[task][0]: ()} if task in MASKED else {}), None
    words = labels_of(plan.declaration, survey, unit)
    where = unit if row is None else row.where
    indices = []
    for word in words:
        if (index := index_of(word, plan.classes)) is None:
            raise BadRecord(
                where, f"expected one of {len(plan.classes)} classes, {few(plan.classes)}, found {word!r:.80}"
            )
        indices.append(index)
    if task == "classification":
        if len(indices) > 1:
            raise BadRecord(where, f"expected one label, found {few(words)}: give `task=multilabel`")
        return {"class": tuple(indices)}, None if indices else "without a label"
    return {"labels": tuple(sorted(set(indices)))}, None if row is not None or indices else "without a row"


def _official(declaration: Declaration, survey: Survey, unit: str, row: Row | None) -> str | None:
    """Return the split that the data declare, in the way that the declaration names."""
    way = (declaration.split or "").partition(":")[0]
    if way == "folders":
        return survey.split_by_folder(unit)
    return split_of(row) if row is not None and way in ("lists", "column") else None


def _footprint(
    declaration: Declaration, place: Place, shape: tuple[int, int], row: Row | None
) -> tuple[str | None, Footprint | None]:
    """Return crs and footprint: from the georeference of the file, else around the coordinates of the row."""
    crs, height, width = place[0], *shape
    if (own := tiff.footprint_of(*place, shape)) is not None:
        return crs, own
    if row is None or row.x is None or row.y is None or declaration.x_column is None:
        return crs, None
    try:
        x, y = float(row.x), float(row.y)
    except ValueError:
        raise BadRecord(row.where, f"expected coordinates, found {row.x[:20]!r} and {row.y[:20]!r}") from None
    if declaration.pixel_size_m is None:
        raise SourceError(
            f"pixel_size_m: expected the size of a pixel in metres, for a footprint around {declaration.x_column} and "
            f"{declaration.y_column}, found none: give `pixel_size_m=…`"
        )
    crs = declaration.crs or "EPSG:4326"
    across, down = width * declaration.pixel_size_m / 2, height * declaration.pixel_size_m / 2
    if crs == "EPSG:4326":
        if not (-180 <= x <= 180 and -90 < y < 90):
            raise BadRecord(
                row.where, f"expected longitude and latitude in degrees, found {x:g} and {y:g}: give `crs=…`"
            )
        across, down = across / METRES_A_DEGREE / float(np.cos(np.radians(y))), down / METRES_A_DEGREE
    if not np.isfinite([x, y]).all():
        return crs, None
    return crs, (x - across, y - down, x + across, y + down)


def _mask(tree: Tree, path: str, plan: Plan) -> Mask:
    """Return the class of each pixel; raise BadRecord for a value that is neither a class nor 255."""
    image = any_format.codes(tree.read(path), path)
    if len(image) != 1 or image.dtype.kind not in "iub":
        raise BadRecord(path, f"expected a mask of one band of whole numbers, found {len(image)} of {image.dtype}")
    values = plan.declaration.mask_values or tuple(range(len(plan.classes)))
    mask = np.full(image.shape[1:], IGNORE, np.uint8)
    for index, value in enumerate(values):
        mask[image[0] == value] = index
    strange = set(np.unique(image[0][mask == IGNORE]).tolist()) - {*values, IGNORE}
    if strange:
        raise BadRecord(
            path, f"expected mask values {few(values)} or {IGNORE}, found {few(sorted(strange))}: give `mask_values=…`"
        )
    return mask
