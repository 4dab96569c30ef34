"""Complete a declaration from the folder: how files form samples, and what labels them.

Only names and tables are used, and each guess is a sentence. Unit and calibration are never guessed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sar_data.errors import SarDataError, SourceError
from sar_data.labels.masks import SUFFIXES as MASK_SUFFIXES
from sar_data.labels.masks import mask_folders
from sar_data.naming import few
from sar_data.own.declaration import Declaration, Labels
from sar_data.own.images import (
    SPLITS,
    Names,
    candidates,
    chips,
    in_folder,
    is_image,
    root_of,
    split_and_class_of_folders,
    stem_of,
)
from sar_data.own.rows import Row, flags_of, read_rows
from sar_data.own.survey import TABLES, boxes_of, columns, lists_of, paths_of, rows_of_table, survey_folder
from sar_data.spec import MASKED, Tree

HEAD = 4096  # bytes of a file that show its kind
POLARIZATIONS = ("VV", "VH", "HH", "HV")
FRAMES = (("_pre", "_post"), ("_before", "_after"), ("_t0", "_t1"), ("_t1", "_t2"), ("_t1", "_t2", "_t3"))
FRAME_FOLDERS = (*(tuple(end[1:] for end in ends) for ends in FRAMES), ("a", "b"))  # in any case
TASKS_WITHOUT_ROWS = ("segmentation", "change", "detection", "none")  # tasks that need no labels in rows
BOX_SUFFIXES = (".json", ".xml", ".txt")  # suffixes of box files: of all images, or of the image of the same name
_POLARIZED = re.compile(r"[-_. ]?(?:VV|VH|HH|HV)$", re.I)

Guess = tuple[dict[str, Any], str]
"""Fields, and a sentence about their origin."""


def complete_declaration(tree: Tree, declaration: Declaration) -> tuple[Declaration, list[str]]:
    """Return the declaration with the missing fields that the folder shows, and a sentence for each guess."""
    sentences = []
    for guess in (_boxes, _masks, _suffixes, _frames, _rows, _task, _split):
        if (result := guess(tree, declaration)) is not None:
            fields, sentence = result
            declaration = declaration.model_copy(update=fields)
            sentences.append(sentence)
    return declaration, sentences


def is_open(declaration: Declaration) -> bool:
    """Say whether a completed declaration has no labels for its images."""
    return declaration.labels is None and declaration.task in (None, "classification", "multilabel")


def _boxes(tree: Tree, declaration: Declaration) -> Guess | None:
    """Find boxes that annotate at least half of the images."""
    if declaration.boxes or declaration.task not in (None, "detection"):
        return None
    paths = paths_of(tree)
    names = {stem_of(path).rpartition("/")[2] for path in paths if is_image(path)}
    box_files = [path for path in paths if path.lower().endswith(BOX_SUFFIXES)]
    if not any(path.lower().endswith(".json") or stem_of(path).rpartition("/")[2] in names for path in box_files):
        return None
    try:
        annotated_images = boxes_of(tree)
    except SourceError as error:  # lists without boxes, or boxes that contradict each other
        return {}, f"no boxes: {error}"
    if annotated_images is None or annotated_images.form is None:
        return None
    annotated = [picture.labels for picture in annotated_images.pictures.values() if picture.labels]
    if 2 * len(annotated) < len(annotated_images.pictures):
        return None
    if annotated_images.form == "VOC" and b"<annotation" not in tree.head(
        annotated[0], HEAD
    ):  # metadata of a product, for example
        return None
    return {"boxes": annotated_images.form.lower()}, annotated_images.sentence()


def _masks(tree: Tree, declaration: Declaration) -> Guess | None:
    """Find masks by the name of their folder or by their suffix, where images of the same names exist."""
    if declaration.masks or declaration.mask_suffix or declaration.task not in (None, *MASKED, "detection"):
        return None
    beside = ", left out beside boxes" if declaration.boxes else ""
    images = candidates(declaration, paths_of(tree))
    stems = {stem_of(path) for path in images}
    for suffix in MASK_SUFFIXES:
        if mask_stems := [stem for stem in stems if stem.endswith(suffix) and stem.removesuffix(suffix) in stems]:
            return {"mask_suffix": suffix}, f"{len(mask_stems):,} masks named as an image and {suffix}{beside}"
    everywhere = [path for path in paths_of(tree) if is_image(path)]
    tops = Counter(mask_folders(everywhere).values())
    names = {folder.rpartition("/")[2] for folder in tops}
    if len(names) != 1:
        return None
    masks = next(iter(tops if len(tops) == 1 else names))
    inside = {stem_of(path).rpartition("/")[2] for path in everywhere if in_folder(path, masks)}
    outside = {stem_of(path).rpartition("/")[2] for path in everywhere if not in_folder(path, masks)}
    sentence = f"{sum(tops.values()):,} masks in {few(sorted(tops))}"
    for suffix in ("", *MASK_SUFFIXES):
        mask_stems = sorted(name.removesuffix(suffix) for name in inside if name.endswith(suffix))
        if not outside.isdisjoint(mask_stems) or any(
            other.startswith(name) for name in mask_stems[:1] for other in outside
        ):
            named_so = f", named as an image and {suffix}" if suffix else ""
            return {"masks": masks, "mask_suffix": suffix or None}, f"{sentence}{named_so}{beside}"
    return None


def _suffixes(tree: Tree, declaration: Declaration) -> Guess | None:
    """Find files of one band by the polarization at the end of their names, where all samples have the same ones."""
    if declaration.band_suffixes:
        return None
    images = candidates(declaration, paths_of(tree))
    frames = sorted(declaration.frame_suffixes, key=len, reverse=True)
    stems = [next((stem.removesuffix(f) for f in frames if stem.endswith(f)), stem) for stem in map(stem_of, images)]
    ends = [_POLARIZED.search(stem) for stem in stems]
    endings = {end[0] for end in ends if end}
    if not images or None in ends or len(endings) < 2 or len({end.upper() for end in endings}) < len(endings):
        return None
    names = [name.upper() for name in declaration.bands]
    order = names if set(names) == {end[-2:].upper() for end in endings} else POLARIZATIONS  # names of the bands
    ordered = sorted(endings, key=lambda end: order.index(end[-2:].upper()))
    fields: dict[str, Any] = {"band_suffixes": tuple(ordered)}
    if not declaration.bands:
        fields["bands"] = tuple(end[-2:].upper() for end in ordered)
    elif len(declaration.bands) != len(ordered):
        return None
    return fields, f"one band a file, by the ends {few(ordered)} of their names"


def _frames(tree: Tree, declaration: Declaration) -> Guess | None:
    """Find dates or frames by usual words at the end of the name, where all samples have them.

    Folders of such names may be classes, unless there are masks.
    """
    if declaration.frames:
        return None
    names = {name.lower(): name for path in paths_of(tree) for name in path.split("/")[:-1]}
    masked = declaration.masks or declaration.mask_suffix
    folders = [tuple(names[word] for word in words) for words in FRAME_FOLDERS if masked and names.keys() >= {*words}]
    forms = [
        *(("frame_suffixes", ends, "ends") for ends in FRAMES),
        *(("frame_folders", f, "folders") for f in folders),
    ]
    for field, words, how in forms:
        candidate = declaration.model_copy(update={field: words})
        samples, strangers = chips(candidate, paths_of(tree))
        if samples and not strangers and not any(chip.missing for chip in samples.values()):
            return {field: words}, f"{len(words)} frames a sample, by the {how} {few(words)}"
    return None


def _rows(tree: Tree, declaration: Declaration) -> Guess | None:
    """Find a table or lists at the root with the names of images, or read the declared table."""
    if declaration.labels is not None:
        return None
    samples, _ = chips(declaration, paths_of(tree))
    names = Names(samples, root_of(declaration))

    def is_known(name: str) -> bool:
        return names.find(name) is not None

    flaws: list[str] = []
    lists = {} if declaration.table else lists_of(tree)
    rows_of = {path: _try_table(tree, path, declaration, is_known, flaws) for path in lists.values()}
    if lists and any(rows_of.values()):
        shown = ", ".join(f"{path} with {len(rows_of[path]):,} lines" for path in lists.values())
        fields, labels = _label_fields(tree, declaration, "lists", rows_of)
        return {**fields, "split": declaration.split or "lists"}, f"lists {shown}{labels}"
    tables = [name for name in sorted(tree.files()) if name.lower().endswith(TABLES) and name not in lists.values()]
    naming = {name: rows for name in tables if (rows := _try_table(tree, name, declaration, is_known, []))}
    if declaration.table:
        naming = {declaration.table: rows_of_table(tree, declaration.table, declaration, is_known).rows}
    if not naming and (lacking := columns(declaration).names):
        for path in (*lists.values(), *tables):
            read_rows(tree, path, columns(declaration), is_known)  # raises the error of the file
        raise SourceError(f"table: expected one of these images with the columns {few(lacking)}, found none")
    if len(naming) > 1:
        return {}, f"several tables name images, {few(list(naming))}: give `table=…`"
    if not naming:
        return ({}, f"the lists {few(list(rows_of))} are left out: {flaws[0]}") if flaws else None
    (table, rows), *_ = naming.items()
    fields, labels = _label_fields(tree, declaration, "table", naming)
    fields["table"] = table
    sentence = f"table {table} with {len(rows):,} rows{labels}"
    splits = {row.split for row in rows if row.split}
    if splits and declaration.split is None:
        if not declaration.split_column and (other_words := [word for word in splits if word.lower() not in SPLITS]):
            return (
                fields,
                f"{sentence}, without a split: its column says {few(sorted(other_words))}, not train, val or test",
            )
        fields["split"] = "column"
    return fields, sentence


def _label_fields(
    tree: Tree, declaration: Declaration, where: Labels, rows_of: Mapping[str, Sequence[Row]]
) -> tuple[dict[str, Any], str]:
    """Return the fields for the labels in rows, and words about columns of 0 and 1, or about missing labels.

    Such columns may mean other things than classes, so that class folders have priority.
    """
    if declaration.label_columns or any(row.labels for rows in rows_of.values() for row in rows):
        return {"labels": where}, ""
    if declaration.boxes or declaration.masks or declaration.mask_suffix or declaration.task in TASKS_WITHOUT_ROWS:
        return {}, ", without labels"
    try:
        of_each = [flags_of(tree, path) for path in rows_of]
    except SarDataError:  # a list without a heading
        return {}, ", without labels"
    flags = [name for name in of_each[0] if all(name in names for names in of_each)]
    samples, _ = chips(declaration, paths_of(tree))
    classes = {
        name
        for _, name in split_and_class_of_folders(
            [chip.stem for chip in samples.values()], root_of(declaration)
        ).values()
    }
    if declaration.classes:
        flags = [name for name in declaration.classes if name in flags]
    if len(flags) < max(2, len(declaration.classes)):
        return {}, ", without labels"
    if len(classes - {None}) > 1:
        return {}, f", whose columns of 0 and 1 are left out beside class folders: {few(flags)}"
    return {"labels": where, "label_columns": tuple(flags)}, f", a class a column of 0 and 1: {few(flags)}"


def _try_table(
    tree: Tree, path: str, declaration: Declaration, is_known: Callable[[str], bool], flaws: list[str]
) -> Sequence[Row]:
    """Return the rows of a file, [] where it is no table of these images; append the reason to `flaws`."""
    try:
        rows = read_rows(tree, path, columns(declaration), is_known).rows
    except SarDataError as error:
        flaws.append(str(error))
        return []
    if any(is_known(row.image) for row in rows):
        return rows
    flaws.append(f"{path}: expected names of images, found {rows[0].image[:80]!r}" if rows else f"{path}: it is empty")
    return []


def _task(tree: Tree, declaration: Declaration) -> Guess | None:
    """Find the task: by masks, boxes, rows or folders."""
    task: str | None = declaration.task
    if task is not None and (declaration.labels or task not in ("classification", "multilabel")):
        return None
    if declaration.boxes:
        return {"task": "detection"}, "boxes: detection"
    if declaration.masks or declaration.mask_suffix:
        task = "change" if declaration.frames else "segmentation"
        return {"task": task}, f"masks{' of several dates' * (task == 'change')}: {task}"
    if declaration.labels in ("table", "lists"):
        counts = {len(row.labels or ()) for row in survey_folder(tree, declaration).rows.values()}
        several = max(counts, default=0) > 1 or (declaration.label_columns and counts != {1})
        task = task or ("multilabel" if several else "classification")
        return {"task": task}, f"labels of the {declaration.labels}: {task}"
    survey = survey_folder(tree, declaration)
    if not declaration.labels and (masks := set(mask_folders(list(survey.chips)).values())):
        remedy = "give `masks=…` and `mask_suffix=…`, or `labels=folders`, or `task=none`"
        return {}, f"{few(sorted(masks))} looks like a folder of masks, but no image has the names in it: {remedy}"
    classes = {name for _, name in survey.folders.values()}
    if task is None and (len(classes) < 2 or None in classes):
        return {"task": "none"}, "no labels: a set for self-supervised learning"
    folders = f"class folders {few(sorted(map(str, classes)))}"
    return {"labels": "folders", "task": task or "classification"}, folders


def _split(tree: Tree, declaration: Declaration) -> Guess | None:
    """Find folders with the names train, val or test."""
    if declaration.split is not None:
        return None
    survey = survey_folder(tree, declaration)
    splits = Counter(split for unit in survey.chips if (split := survey.split_by_folder(unit)))
    if "train" not in splits:
        return None
    return {"split": "folders"}, f"split by folder: {', '.join(f'{name} {n:,}' for name, n in splits.items())}"
