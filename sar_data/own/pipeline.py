"""Make a pipeline of a declaration, by which a folder is listed, scanned and read."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import NoReturn

from sar_data.containers.exported import export_document
from sar_data.containers.find import find_container
from sar_data.errors import BadRecord, SourceError, UsageError
from sar_data.naming import few
from sar_data.own.classes import classes_of
from sar_data.own.contradictions import contradictions
from sar_data.own.declaration import Declaration, read_declaration
from sar_data.own.guess import complete_declaration, is_open
from sar_data.own.packed import fit_container, fit_export
from sar_data.own.reading import Plan, read, scan, units_of
from sar_data.own.spec import TASKS, Kind, bands_of, spec_of
from sar_data.own.survey import Survey, boxes_of, paths_of, survey_folder
from sar_data.raster import any_format, tiff
from sar_data.record import Image
from sar_data.spec import UNCITED, Band, DatasetSpec, Pipeline, Tree, Unit
from sar_data.split import blocks, group, parse, random, stratified
from sar_data.split import declared as by_declaration
from sar_data.split.policy import SplitPolicy

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
    if not fields and unit is None and (document := export_document(tree)):
        return fit_export(tree, base, declared_fields, document)
    if not declared_fields.images and (container := find_container(tree, named=False)):
        return fit_container(tree, base, declared_fields, container, otherwise)
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
    if declaration.task == "change" and not declaration.frames:
        raise SourceError("task: expected the dates of a change by `frame_folders=…` or `frame_suffixes=…`, found none")
    (count, dtype), sizes = _read_heads(tree, survey)
    classes, sentences = classes_of(tree, declaration, survey)
    first = next(iter(survey.chips.values())).files[0]
    bands = bands_of(declaration, (count, dtype), otherwise, partial(_read_image, tree, first))
    plan = Plan(declaration=declaration, classes=classes, bands_a_file=count, one_size=len(sizes) == 1)
    spec = spec_of(base.spec, declaration, bands, classes, dtype)
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
        revision=2,  # pictures with palettes or of few bits are read as what they show
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
        endings = {path.rpartition(".")[2] for path in kinds.values()}  # previews often lie beside the images
        choices = [f"`images=*.{ending}`" for ending in endings] if len(endings) == len(kinds) else ["`images=…`"]
        remedy = f"give {' or '.join(sorted(choices))}, or `masks=…` if some are masks"
        raise SourceError(f"expected images of one number of bands and one dtype, found {several}: {remedy}")
    return next(iter(kinds)), sizes


def _read_image(tree: Tree, path: str) -> tuple[str, Image]:
    return path, any_format.read(tree.read(path), path).image


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
