"""The contents of a folder, by a declaration: the samples, and what tables, lists, folders and masks say of each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from types import MappingProxyType

from sar_data.errors import BadRecord, SourceError
from sar_data.labels.discovery import AnnotatedImages, discover
from sar_data.labels.lists import list_names
from sar_data.labels.words import flags_length, numbers_of
from sar_data.naming import few, suggest
from sar_data.own.declaration import Declaration
from sar_data.own.images import (
    SPLITS,
    Chip,
    Names,
    candidates,
    chips,
    in_folder,
    is_image,
    root_of,
    split_and_class_of_folders,
    stem_of,
    walk,
)
from sar_data.own.rows import Columns, Row, TableRows, read_rows, time_of
from sar_data.spec import Tree

TABLES = (".csv", ".tsv", ".parquet")
LIST_FOLDERS = ("lists", "list", "splits", "split", "imagesets")
ROLES = {
    "image": "the image",
    "label": "the label",
    "split": "the split",
    "group": "the group",
    "date": "the time",
    "x": "x of the centre",
    "y": "y of the centre",
}


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """The samples by the path of their first file, and the facts about them.

    If rows name images, the images without a row are in `unnamed` and are no samples. `absent` has the rows without an
    image, by their place in the file; `strangers` are images with none of the declared suffixes; `lists` are the lists
    that were read, by split. `flags` is the length of the lists of 0 and 1 for each class from which the rows'
    labels are, 0 without such. `undated` is the reason why the dates of a column are not used, `unplaced` are
    undeclared columns that have the names of coordinates. `used` has the columns of the table, or of the first list, by
    role.
    """

    chips: Mapping[str, Chip]
    strangers: tuple[str, ...]
    unnamed: tuple[str, ...]
    rows: Mapping[str, Row]
    flags: int
    absent: Mapping[str, Row]
    folders: Mapping[str, tuple[str | None, str | None]]
    masks: Mapping[str, str]
    lists: Mapping[str, str]
    boxes: AnnotatedImages | None
    undated: str | None
    unplaced: tuple[str, str] | None
    used: Mapping[str, str]

    def split_by_folder(self, unit: str) -> str | None:
        """Return the split of a sample by its folders, or by the documents of its boxes."""
        picture = self.boxes.pictures.get(unit) if self.boxes else None
        return self.folders[unit][0] or (picture.split if picture else None)

    def columns(self) -> list[str]:
        """Return sentences about the columns that are used, and for what."""
        text = ", ".join(f"{column} is {ROLES[role]}" for role, column in self.used.items())
        return [f"columns: {text}"] if text else []

    def left(self) -> list[str]:
        """Return sentences about the images that are no samples, and about unused columns."""
        suffixes, rows = "whose names end in none of the suffixes", "that no row or line names"
        sentences = [
            f"left out: {len(paths):,} of the images, {reason}, such as {paths[0]}"
            for paths, reason in ((self.strangers, suffixes), (self.unnamed, rows))
            if paths
        ]
        if self.undated:
            sentences.append(f"left out: the column of dates: {self.undated}")
        if self.unplaced:
            x, y = self.unplaced
            sentences.append(
                f"left out: the columns {x} and {y}, named like coordinates: `x_column={x}`, `y_column={y}`, `crs=…` "
                "and `pixel_size_m=…` give a place to images that have none"
            )
        return sentences


@lru_cache(maxsize=4)
def paths_of(tree: Tree) -> tuple[str, ...]:
    """Return every file of the tree, listed once a process."""
    return tuple(walk(tree))


@lru_cache(maxsize=4)
def survey_folder(tree: Tree, declaration: Declaration) -> Survey:
    """Return the contents of a tree, once a process; raise SourceError where documents contradict it."""
    paths = paths_of(tree)
    samples, strangers = chips(declaration, paths)
    root = root_of(declaration)
    names = Names(samples, root)
    rows: dict[str, Row] = {}
    absent: dict[str, Row] = {}
    headings: list[Mapping[str, str]] = []
    lists = lists_of(tree) if declaration.labels == "lists" or _by_lists(declaration) else {}
    for row in _read_all_rows(tree, declaration, lists, names, headings):
        if (unit := names.find(row.image)) is None:
            absent[row.where] = row
        elif (other := rows.setdefault(unit, row)) is not row:
            raise SourceError(f"{row.where}: expected every image once, found {row.image:.120} in {other.where} too")
    undated = None if declaration.date_column else _date_flaw(rows.values())
    if undated:
        rows = {unit: replace(row, date=None) for unit, row in rows.items()}
    rows, flags = _without_flags(rows, declaration)
    has_rows = bool(rows or absent)
    unnamed = tuple(unit for unit in samples if unit not in rows) if has_rows else ()
    samples = {unit: chip for unit, chip in samples.items() if not has_rows or unit in rows}
    folders = split_and_class_of_folders([chip.stem for chip in samples.values()], root)
    return Survey(
        chips=MappingProxyType(samples),
        strangers=tuple(strangers),
        unnamed=unnamed,
        rows=rows,
        flags=flags,
        absent=absent,
        folders={unit: folders[chip.stem] for unit, chip in samples.items()},
        masks=_masks(declaration, samples, paths, root),
        lists=lists,
        boxes=_boxes(tree, declaration),
        undated=undated,
        unplaced=None if declaration.x_column else _coordinates(headings),
        used=_used_columns(declaration, headings[0] if headings else {}, dated=undated is None),
    )


@lru_cache(maxsize=4)
def boxes_of(tree: Tree) -> AnnotatedImages | None:
    """Return the boxes of a tree in any form, read once a process; images of one name may be in several folders."""
    return discover(tree, unique=False)


def _boxes(tree: Tree, declaration: Declaration) -> AnnotatedImages | None:
    """Return the declared boxes; raise SourceError where there are none, or others."""
    if declaration.task != "detection":
        return None
    annotated = boxes_of(tree)
    if annotated is None or annotated.form is None:
        raise SourceError("boxes: expected COCO, VOC, YOLO or DOTA annotations of the images, found none")
    if declaration.boxes and declaration.boxes != annotated.form.lower():
        raise SourceError(f"boxes: expected {declaration.boxes}, found {annotated.sentence()}")
    return annotated


def lists_of(tree: Tree, folders: Collection[str] = LIST_FOLDERS) -> dict[str, str]:
    """Return split → list at the root, else in one of the folders; {} where there is no list of train.

    Raises SourceError for two lists of one split.
    """
    for folder in ("", *sorted(name for name in tree.folders() if name.lower() in folders)):
        inside = f"{folder}/" if folder else ""
        try:
            return {split: inside + name for split, name in list_names(tree.files(inside), "the source").items()}
        except SourceError as error:
            if "expected one list" in str(error):
                raise
    return {}


def columns(declaration: Declaration) -> Columns:
    """Return the declared columns; columns of 0 and 1 have the names of the declared classes, in their order."""
    flags = declaration.label_columns
    roles = {role: getattr(declaration, f"{role}_column") for role in ROLES}
    return Columns(roles, dict(zip(flags, declaration.classes or flags, strict=False)))


def _by_lists(declaration: Declaration) -> bool:
    return (declaration.split or "").partition(":")[0] == "lists"


def _read_all_rows(
    tree: Tree, declaration: Declaration, lists: Mapping[str, str], names: Names, headings: list[Mapping[str, str]]
) -> Iterator[Row]:
    """Yield the rows of the table, and of each list with its split; append their headings."""
    is_known = partial(_is_known, names)
    if declaration.table:
        table = rows_of_table(tree, declaration.table, declaration, is_known)
        headings.append(table.heading)
        yield from table.rows
        if declaration.labels != "lists" and not lists:
            return
    for split, path in lists.items():
        table = read_rows(tree, path, Columns() if declaration.table else columns(declaration), is_known)
        headings.append(table.heading)
        for row in table.rows:
            yield Row(row.image, row.where, row.labels, split, row.group, row.date, row.x, row.y)


def rows_of_table(tree: Tree, table: str, declaration: Declaration, is_known: Callable[[str], bool]) -> TableRows:
    """Return the rows of a declared table, as `read_rows` does; raise SourceError for a wrong name."""
    _check_exists("table", table, [path for path in paths_of(tree) if path.lower().endswith(TABLES)])
    return read_rows(tree, table, columns(declaration), is_known)


def _check_exists(field: str, name: str, existing: Collection[str]) -> None:
    """Raise SourceError, with the existing names, where a declared file or folder is missing."""
    if name not in existing:
        near = suggest(name, existing)
        hint = f". Did you mean {near!r}?" if near else f", only {few(sorted(existing))}"
        raise SourceError(f"{field}: expected a file or a folder, found no {name!r:.120}{hint}")


def _used_columns(declaration: Declaration, heading: Mapping[str, str], *, dated: bool) -> dict[str, str]:
    """Return the columns of a heading that are used, by role."""
    uses = {
        "label": declaration.labels in ("table", "lists"),
        "split": (declaration.split or "").partition(":")[0] == "column",
        "date": dated,
        "x": declaration.x_column is not None,
        "y": declaration.y_column is not None,
    }
    return {role: heading[role] for role in ROLES if role in heading and uses.get(role, True)}


def _without_flags(rows: dict[str, Row], declaration: Declaration) -> tuple[dict[str, Row], int]:
    """Return rows with numbers of classes in place of 0 and 1 for each, and how many classes these lists have."""
    if declaration.labels not in ("table", "lists") or declaration.label_columns:
        return rows, 0
    counts = (len(declaration.classes),) if declaration.classes else ()
    labels = {unit: row.labels for unit, row in rows.items() if row.labels}
    if flags := flags_length(labels.values(), counts):
        changed = {unit: numbers_of(words, flags, rows[unit].where) for unit, words in labels.items()}
        rows = rows | {unit: replace(rows[unit], labels=words) for unit, words in changed.items()}
    return rows, flags


def _coordinates(headings: Iterable[Mapping[str, str]]) -> tuple[str, str] | None:
    """Return the first columns with the names of x and y, or of longitude and latitude."""
    return next(((heading["x"], heading["y"]) for heading in headings if {"x", "y"} <= heading.keys()), None)


def _date_flaw(rows: Iterable[Row]) -> str | None:
    """Return the error of the first invalid date, None where all are valid."""
    for row in rows:
        try:
            time_of(row)
        except BadRecord as error:
            return str(error)
    return None


def _is_known(names: Names, name: str) -> bool:
    return names.find(name) is not None


def _masks(declaration: Declaration, samples: Mapping[str, Chip], paths: Iterable[str], root: str) -> dict[str, str]:
    """Return sample → mask: the name of the image and the suffix, below the mask folder where there is one.

    Both are in the same subfolders, except for that of masks and one of the images, or the mask's name is unique.
    """
    suffix, folder = declaration.mask_suffix or "", (declaration.masks or "").strip("/")
    if not suffix and not folder:
        return {}
    if folder and not any(in_folder(path, folder) for path in paths):
        _check_exists("masks", folder, {name for path in paths for name in path.split("/")[:-1]})
    images = set(candidates(declaration, paths))
    by_path: dict[str, str] = {}
    by_name: dict[tuple[str, ...], str | None] = {}  # None where several have the name
    parent = "".join(f"/{word}" for word in folder.split("/")[:-1])
    for path in paths:
        stem = stem_of(path)
        inside = not folder or in_folder(path, folder)
        if is_image(path) and path not in images and stem.endswith(suffix) and inside:
            stem = stem[: len(stem) - len(suffix)]
            by_path[stem.removeprefix(f"{folder}/")] = path
            by_path[f"/{stem}".replace(f"/{folder}/", f"{parent}/", 1)[1:]] = path
            by_name[_name_and_split(stem)] = None if _name_and_split(stem) in by_name else path
    masks = {}
    for unit, chip in samples.items():
        parts = chip.stem.split("/")
        without_one = ("/".join(parts[:i] + parts[i + 1 :]) for i in range(len(parts) - 1))
        for key in (chip.stem, chip.stem.removeprefix(root), *without_one):
            if key in by_path:
                masks[unit] = by_path[key]
                break
        else:
            if (other := by_name.get(_name_and_split(chip.stem))) is not None:
                masks[unit] = other
    return masks


def _name_and_split(stem: str) -> tuple[str, ...]:
    """Return the name and the split of a file, by which an image and its mask are matched in any folders."""
    *folders, name = stem.split("/")
    return name, *(SPLITS[folder.lower()] for folder in folders if folder.lower() in SPLITS)
