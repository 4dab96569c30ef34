"""The classes of a dataset, and the class of a label: a name, or a number where the names have an order."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from sar_data.errors import SourceError
from sar_data.labels.classes import index_of
from sar_data.naming import few
from sar_data.own.declaration import Declaration
from sar_data.own.survey import Survey
from sar_data.spec import MASKED, Tree
from sar_data.text import decode

NAMES = "classes.txt"
_NUMBER = re.compile("0|[1-9][0-9]*")  # "01" is a name, not the number 1
MAX_CLASSES = 100_000  # a greater number is no label


def classes_of(tree: Tree, declaration: Declaration, survey: Survey) -> tuple[tuple[str, ...], list[str]]:
    """Return the classes in canonical order, with sentences; raise SourceError where their order is unknown.

    They are those of the declaration, else its columns of 0 and 1, else the lines of classes.txt, else the numbers from
    0 to the greatest label (where no label has leading zeros), else the labels, sorted as text.
    """
    task = declaration.task
    if task in (None, "none"):
        return (), []
    counts = Counter(label for unit in survey.chips for label in labels_of(declaration, survey, unit))
    classes, source = declaration.classes or declaration.label_columns, ""
    if not classes and NAMES in tree.files():
        classes, source = _read_class_file(tree), f" of {NAMES}"
    if survey.flags:
        classes = classes or tuple(map(str, range(survey.flags)))
        if len(classes) != survey.flags:
            raise SourceError(f"labels: expected 0 or 1 for each of {len(classes)} classes, found {survey.flags}")
    elif not classes and task in ("classification", "multilabel"):
        classes, source = infer_classes(counts)
    if not classes and survey.boxes:
        classes = survey.boxes.class_names()
    if not classes and declaration.mask_values:
        classes = tuple(map(str, declaration.mask_values))
    if not classes:
        masks = ", or their values in the masks by `mask_values=…`" if task in MASKED else ""
        raise SourceError(f"classes: expected their names in order, found none: give `classes=…` or {NAMES}{masks}")
    sentence = f"{len(classes)} classes{source}"
    if counts and len(classes) <= 30:
        index = dict.fromkeys(classes, 0)
        for label, n in counts.items():
            place = index_of(label, classes)
            if place is not None:
                index[classes[place]] += n
        sentence += f": {', '.join(f'{name} {n:,}' for name, n in index.items())}"
    return classes, [sentence]


def labels_of(declaration: Declaration, survey: Survey, unit: str) -> tuple[str, ...]:
    """Return the labels of one sample as they are written: the class folder, or those of its row."""
    if declaration.task not in ("classification", "multilabel"):
        return ()
    if declaration.labels == "folders":
        label = survey.folders[unit][1]
        return () if label is None else (label,)
    row = survey.rows.get(unit)
    return () if row is None else row.labels or ()


def _read_class_file(tree: Tree) -> tuple[str, ...]:
    names = tuple(line.strip() for line in decode(tree.read(NAMES)).splitlines() if line.strip())
    if len(set(names)) < len(names):
        raise SourceError(f"{NAMES}: expected every class once, found {few([name[:60] for name in names])}")
    return names


def infer_classes(labels: Iterable[str]) -> tuple[tuple[str, ...], str]:
    """Return the numbers from 0 to the greatest label, else the labels sorted, and words for where they are from."""
    labels = list(labels)
    if not labels:
        return (), ""
    if not all(map(_NUMBER.fullmatch, labels)):
        if len(labels) > MAX_CLASSES:
            raise SourceError(f"classes: expected at most {MAX_CLASSES:,} labels, found {len(labels):,}")
        return tuple(sorted(labels)), ", sorted by name"
    last = max(int(label[:9]) for label in labels)
    if last >= MAX_CLASSES:
        raise SourceError(f"expected numbers of classes below {MAX_CLASSES:,}, found {last:,}: give {NAMES}")
    return tuple(map(str, range(last + 1))), ""
