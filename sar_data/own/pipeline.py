"""Make a pipeline of a declaration, by which a folder is listed, scanned and read."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn, get_args

from sar_data.errors import BadRecord, SourceError, UsageError
from sar_data.naming import few
from sar_data.own.classes import classes_of
from sar_data.own.contradictions import contradictions
from sar_data.own.declaration import Declaration, read_declaration
from sar_data.own.evidence import Values
from sar_data.own.guess import POLARIZATIONS, complete_declaration, is_open
from sar_data.own.images import Chip
from sar_data.own.reading import Plan, read, scan, units_of
from sar_data.own.survey import Survey, boxes_of, paths_of, survey_folder
from sar_data.raster import any_format, tiff
from sar_data.spec import UNCITED, Band, DatasetSpec, Pipeline, Task, Tree, Unit
from sar_data.split import blocks, group, parse, random, stratified
from sar_data.split import declared as by_declaration
from sar_data.split.policy import SplitPolicy

TASKS: Mapping[str, tuple[str, Any]] = {
    "classification": ("class", "multiclass"),
    "multilabel": ("labels", "multilabel"),
    "segmentation": ("mask", "segmentation"),
    "detection": ("objects", "detection"),
}
"""Task of a declaration → its name and kind in a build."""
DECLARED = {
    "folders": "folders called train, val or test",
    "lists": "lists such as train.txt and test.txt",
    "column": "a table with a column that says train, val or test: give `table=…` and `split_column=…`",
}
"""Splits that the data declare, and how."""
NEEDED = {
    "group": "`group_column=…` or `group=folder`",
    "blocks": "images with a georeference, or `x_column=…`, `y_column=…` and `pixel_size_m=…`",
}
"""Random splits that not all data allow, and what they need."""
HASHED = 1 << 30  # bytes of images up to which a recipe covers their contents: read in a second or two
Kind = tuple[int, str]
"""Bands of a file, and dtype."""
Fit = Callable[..., tuple[Pipeline, tuple[str, ...]]]


def fit(
    tree: Tree,
    base: Pipeline,
    fields: Mapping[str, object] | None = None,
    unit: str | None = None,
    otherwise: Unit | None = None,
) -> tuple[Pipeline, tuple[str, ...]]:
    """Return the pipeline for dataset.toml, overridden by `fields` and completed from the folder, with sentences.

    `unit` is the unit of the values where neither has one, `otherwise` the default where it is unknown; without a
    default that is an error. Raises SourceError where the folder is ambiguous, UsageError for a wrong field.
    """
    paths_of.cache_clear()  # a build starts here: the source may have changed since the last one
    survey_folder.cache_clear()
    boxes_of.cache_clear()
    declared_fields, where = read_declaration(tree, fields)
    if declared_fields.unit is None and unit is not None:
        declared_fields, _ = read_declaration(tree, {**(fields or {}), "unit": unit})
    declaration, guessed = complete_declaration(tree, declared_fields)
    survey = survey_folder(tree, declaration)
    if not survey.chips:
        kinds, where = ", ".join(any_format.ENDINGS), declaration.images or "the folder"
        endings = Counter(path.rpartition(".")[2] for path in paths_of(tree) if "." in path)
        other_files = few([f"{n:,} .{ending}" for ending, n in endings.most_common()])
        absent = next((f": {row.where} names {row.image:.120}" for row in survey.absent.values()), "")
        raise SourceError(f"expected images ({kinds}) in {where}, found no image{absent} among {other_files}")
    if is_open(declaration):
        raise SourceError(f"task: expected one that the folder shows, found none. {guessed[-1]}")
    (count, dtype), sizes = _read_heads(tree, survey)
    classes, sentences = classes_of(tree, declaration, survey)
    bands = _bands(tree, declaration, survey, (count, dtype), otherwise)
    plan = Plan(declaration=declaration, classes=classes, bands_a_file=count, one_size=len(sizes) == 1)
    spec = _spec(base.spec, declaration, bands, classes, dtype)
    splits = _splits(tree, declaration, survey)
    fitted = dataclasses.replace(
        base,
        spec=dataclasses.replace(spec, shape=next(iter(sizes)) if len(sizes) == 1 else None),
        units=partial(units_of, plan=plan),
        scan=partial(scan, plan=plan),
        read=partial(read, plan=plan),
        splits=splits,
        withheld={name: needed for name, needed in NEEDED.items() if name not in splits},
        rehash=_is_small(tree, survey),
        fit=None,
        declare=None,
    )
    description = _describe_sample(spec, dtype, sizes), *sentences, *survey.columns(), *survey.left()
    return fitted, (*([where] if where else []), *guessed, *description, *contradictions(tree, plan, spec, survey))


def by_lists(
    tree: Tree, base: Pipeline, fields: Mapping[str, object] | None = None, unit: str | None = None
) -> tuple[Pipeline, tuple[str, ...]]:
    """Return the pipeline of lists at the root, as `fit` does: their split is called official, the default unit DN."""
    declaration, _ = read_declaration(tree, fields)
    all_fields = {**(fields or {}), **({} if declaration.split else {"split": "lists"})}
    fitted, sentences = fit(tree, base, all_fields, unit, otherwise="DN")
    splits = {"official" if name == "lists" else name: policy for name, policy in fitted.splits.items()}
    return dataclasses.replace(fitted, splits=splits), sentences


def declare(fields: Mapping[str, object], unit: str | None, base: Pipeline, fit: Fit) -> Pipeline:
    """Return `base` with fields that override dataset.toml; raise UsageError for a wrong one."""
    read_declaration(None, fields)
    fitted = partial(fit, base=base, fields=dict(fields), unit=unit)
    return dataclasses.replace(base, fit=fitted, declare=partial(declare, base=base, fit=fit))


def pipeline_of(spec: DatasetSpec, units: Callable[[Tree], Iterable[str]], fit: Fit = fit) -> Pipeline:
    """Return the pipeline that a declaration completes; `units` says whether a folder is one of its sets.

    `fit` takes a tree, the pipeline without a declaration, fields and a unit.
    """
    base = Pipeline(
        spec=spec, units=units, scan=_raise_unfitted, read=_raise_unfitted, splits={"random": random.Random()}
    )
    return dataclasses.replace(base, fit=partial(fit, base=base), declare=partial(declare, base=base, fit=fit))


def undeclared_spec(name: str, title: str) -> DatasetSpec:
    """Return the declaration of any user's dataset before its own is read."""
    return DatasetSpec(
        name=name,
        version="1.0",
        revision=1,
        title=title,
        evidence="declared",
        bands=(Band(name="1", polarization="", unit="DN", description="as the declaration says"),),
        shape=None,
        dtype="float32",
        pixel_size_m=None,
        tasks=(),
        sources=(),
        lists=(),
        licence="your own",
        citation=UNCITED,
        symmetries=(),
    )


def _raise_unfitted(tree: Tree, what: object) -> NoReturn:
    raise ValueError("a declared set is scanned and read by the pipeline that `fit` returns")


def _describe_sample(spec: DatasetSpec, dtype: str, sizes: set[tuple[int, int]]) -> str:
    """Return the contents of a sample in words, with the units of its values."""
    size = "x".join(map(str, next(iter(sizes)))) if len(sizes) == 1 else f"{len(sizes)} sizes"
    bands, units = len(spec.bands), few(list(dict.fromkeys(spec.units)))
    numbers = (few([f"{value:g}" for value in dict.fromkeys(values)]) for values in (spec.scale, spec.offset))
    scaled = f" times {next(numbers)} plus {next(numbers)}," if spec.scale else ""
    return f"{bands} band{'s' * (bands > 1)} a sample, {size}, {dtype},{scaled} taken for {units}"


def _is_small(tree: Tree, survey: Survey) -> bool:
    """Say whether all images together have at most HASHED bytes."""
    total = 0
    for path in (path for chip in survey.chips.values() for path in chip.files):
        with suppress(BadRecord):  # scan refuses it or leaves it out
            total += tree.size(path)
        if total > HASHED:
            return False
    return True


def _read_heads(tree: Tree, survey: Survey) -> tuple[Kind, set[tuple[int, int]]]:
    """Return the kind and the sizes of all valid images; raise SourceError where there are several kinds."""
    kinds: dict[Kind, str] = {}
    sizes = set()
    flaw: BadRecord | None = None
    for chip in survey.chips.values():
        try:
            (count, height, width), dtype = any_format.header(tree, chip.files[0])
        except BadRecord as error:  # scan refuses it or leaves it out
            flaw = flaw or error
            continue
        kinds.setdefault((count, dtype), chip.files[0])
        sizes.add((height, width))
    if not kinds and flaw:
        raise flaw
    if len(kinds) > 1:
        several = few([f"{count} of {dtype} in {path}" for (count, dtype), path in kinds.items()])
        remedy = "give `images=…`, or `masks=…` if some are masks"
        raise SourceError(f"expected images of one number of bands and one dtype, found {several}: {remedy}")
    return next(iter(kinds)), sizes


def _bands(
    tree: Tree, declaration: Declaration, survey: Survey, kind: Kind, otherwise: Unit | None
) -> tuple[Band, ...]:
    """Return the bands with their declared fields; raise SourceError where their number differs from the files'."""
    (a_file, dtype), suffixes = kind, declaration.band_suffixes
    if suffixes and a_file != 1:
        raise SourceError(f"band_suffixes: expected files of one band each, found {a_file} bands in a file")
    count = len(suffixes) or a_file
    names = declaration.bands or tuple(str(i + 1) for i in range(count))
    if len(names) != count:
        raise SourceError(f"bands: expected the names of {count} bands, found {few(names)}")
    units = declaration.unit or _units_by(dtype, otherwise)
    if units is None or (declaration.unit is None and (declaration.scale or declaration.offset)):
        raise SourceError(_ask_unit(tree, next(iter(survey.chips.values()))))
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


def _ask_unit(tree: Tree, chip: Chip) -> str:
    """Return the question for a missing unit, with the values of one image as evidence."""
    path = chip.files[0]
    values = Values.of(any_format.read(tree.read(path), path).image)
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


def _spec(
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
        frames=len(declaration.frame_suffixes) or 1,
        dtype="float32" if scale else dtype,
        nodata=declaration.nodata,
        scale=scale,
        offset=offset,
        pixel_size_m=declaration.pixel_size_m,
        calibration=declaration.calibration or base.calibration,
        terrain_corrected=declaration.terrain_corrected,
        tasks=tasks,
    )


def _splits(tree: Tree, declaration: Declaration, survey: Survey) -> dict[str, SplitPolicy]:
    """Return the splits that these data allow, the declared one first; by default a stratified one."""
    chip = next(iter(survey.chips.values()))
    offered: dict[str, SplitPolicy] = {}
    name_asked = (declaration.split or "").partition(":")[0].strip()
    if name_asked in DECLARED:
        splits_of_rows = (row.split for row in survey.rows.values())
        if not any(map(survey.split_by_folder, survey.chips) if name_asked == "folders" else splits_of_rows):
            raise SourceError(f"split: expected {DECLARED[name_asked]}, found none")
        offered[name_asked] = by_declaration.Declared(otherwise=f"in no split of the {name_asked}")
    offered |= {"stratified": stratified.Stratified()} if declaration.task in TASKS else {}
    offered["random"] = random.Random()
    if declaration.group or any(row.group for row in survey.rows.values()):
        offered["group"] = group.Group()
    placed = tiff.georeference(tree, chip.files[0]) if any_format.is_tiff(chip.files[0]) else (None, None)
    if None not in placed or declaration.x_column:
        offered["blocks"] = blocks.Blocks()
    if declaration.split is None:
        return offered
    try:
        name, policy = parse.parse(declaration.split, offered)
    except UsageError as error:
        remedy = (
            f". For {name_asked} give {NEEDED[name_asked]}"
            if name_asked in NEEDED and name_asked not in offered
            else ""
        )
        raise SourceError(f"split: {error}{remedy}") from None
    return {name: policy} | {other: offered[other] for other in offered if other != name}
