"""A user's own data in the container of another program: what the container says, and what its owner declares."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

from sar_data.containers.dataset import SPLIT, about, count_splits, import_dataset
from sar_data.containers.entry import Container, Entry, Labels
from sar_data.containers.exported import ExportDocument
from sar_data.containers.layouts import EXPORT_FILE
from sar_data.containers.looked import Looked, by_means, look
from sar_data.containers.reading import Keyed, Plan, key_samples, read, scan, units
from sar_data.containers.targets import TargetForm, target_form
from sar_data.containers.tasks import TaskPlan
from sar_data.errors import BadRecord, SourceError, UsageError
from sar_data.labels.words import flags_length, numbers_of
from sar_data.naming import few
from sar_data.own.classes import infer_classes
from sar_data.own.declaration import Declaration
from sar_data.own.guess import POLARIZATIONS
from sar_data.own.spec import bands_of, spec_of
from sar_data.spec import Imported, Pipeline, Tree, Unit
from sar_data.split import declared, parse, random, stratified
from sar_data.split.policy import SplitPolicy

KINDS = {"classification": False, "multilabel": True}
"""Task of a declaration → whether a sample may have several labels."""


def fit_container(
    tree: Tree, base: Pipeline, declaration: Declaration, container: Container, otherwise: Unit | None
) -> tuple[Pipeline, tuple[str, ...]]:
    """Return the pipeline for a container with what is declared of it, and sentences.

    Raises SourceError where only its owner can say what it means: the unit, or the classes.
    """
    names = declaration.bands
    looked = look(tree, container, names, len(names) or None)
    order = tuple(looked.bands.index(name) for name in names) if looked.bands and names else ()
    if not names:
        names = tuple(sorted(looked.bands, key=_place)) or tuple(str(i + 1) for i in range(looked.axes.bands))
        order = tuple(looked.bands.index(name) for name in names) if looked.bands else ()
    samples = key_samples(tree, container, names if looked.bands else ())
    labels, form, flags = _labels(tree, container, samples, looked, declaration)
    count = form.count if form and form.form == "bits" else flags
    numbered = container.classes or tuple(map(str, range(count)))
    task, classes, task_text = _task(declaration, numbered, labels)
    declaration = declaration.model_copy(update={"bands": names, "task": task})
    kind = (looked.axes.bands if not looked.bands else len(names), looked.dtype)
    bands = bands_of(declaration, kind, otherwise, lambda: (looked.entries[0].where, looked.images[0]))
    spec = spec_of(base.spec, declaration, bands, classes, looked.dtype)
    size = looked.sizes[0] if len(looked.sizes) == 1 else None
    spec = dataclasses.replace(spec, shape=size, frames=looked.axes.frames)
    plan = Plan(
        container=container,
        asked=names if looked.bands else (),
        bands=looked.bands,
        axes=looked.axes,
        order=order or tuple(range(len(names))),
        dtype=looked.dtype,
        size=size,
        first=looked.entries[0].where,
        tasks=tuple(TaskPlan(task=task, form=form, flags=flags, numbered=container.classes) for task in spec.tasks),
    )
    fitted = dataclasses.replace(
        base,
        spec=spec,
        units=partial(units, plan=plan),
        scan=partial(scan, plan=plan),
        read=partial(read, plan=plan),
        splits=_splits(declaration, samples),
        fit=None,
        declare=None,
        imported=Imported(container.kind, container.files),
    )
    sentences = (
        count_splits(container, samples),
        _bands_said(looked, names, spec.units[0]),
        task_text,
        *about(samples),
    )
    return fitted, tuple(filter(None, sentences))


def fit_export(
    tree: Tree, base: Pipeline, declaration: Declaration, exported: ExportDocument
) -> tuple[Pipeline, tuple[str, ...]]:
    """Return the pipeline for what one of our own exports says of itself, and sentences; raise SourceError."""
    spec = spec_of(base.spec, declaration, exported.bands, (), exported.dtype)
    spec = dataclasses.replace(spec, tasks=exported.tasks, frames=exported.frames, shape=exported.shape)
    container = import_dataset(tree, dataclasses.replace(base, spec=spec))
    if container is None:
        raise SourceError(f"expected images beside {EXPORT_FILE}, found none")
    fitted, counts, sentences = container
    return dataclasses.replace(fitted, declare=None), (counts, *sentences)


def _place(name: str) -> tuple[int, str]:
    """Return the place of a band where nobody says it: polarizations first, in their usual order."""
    return (POLARIZATIONS.index(name) if name in POLARIZATIONS else len(POLARIZATIONS)), name


def _bands_said(looked: Looked, names: Sequence[str], unit: str) -> str:
    """Return how the order of the bands is known, and where the means suggest another one."""
    if looked.bands:
        return f"bands by name: {few(looked.bands)}"
    if measured := by_means(looked, names, unit):
        order, means = measured
        if order != tuple(names):
            return f"warning: bands are taken as {few(names)}, but their {means} suggest {few(order)}"
        return f"bands {few(names)}, as their {means} suggest, too"
    return f"bands as given: {few(names)}" if not names[0].isdecimal() else ""


def _labels(
    tree: Tree, container: Container, samples: Keyed, looked: Looked, declaration: Declaration
) -> tuple[list[tuple[str, ...]], TargetForm | None, int]:
    """Return the labels of all samples that have some, the form of those that are bytes, and the length of flags."""
    if declaration.task in ("none", "segmentation"):
        return [], None, 0
    all_labels = (_label(tree, container, samples, entry) for entry in samples.entries.values())
    stored = [label for label in all_labels if label is not None]
    raw = [label for label in stored if isinstance(label, bytes)]
    lists = [label for label in stored if not isinstance(label, bytes)]
    classes = declaration.classes or container.classes
    counts = (len(classes),) if classes else ()
    flags = flags_length(lists, counts)
    form = target_form(raw, counts, KINDS.get(declaration.task or "")) if raw else None
    labels = [form.labels(target) for target in raw] if form else []
    with_flags = [numbers_of(words, flags, "labels") for words in lists if words]
    return [*(label for label in labels if label is not None), *with_flags], form, flags


def _label(tree: Tree, container: Container, samples: Keyed, entry: Entry) -> Labels:
    if entry.labels is not None:
        return entry.labels
    with suppress(BadRecord):  # scan refuses it or leaves it out
        if (stored := container.head(tree, entry).labels) is not None:
            return stored
        return samples.table.labels_of(entry.name) if samples.table else None
    return None


def _task(
    declaration: Declaration, numbered: tuple[str, ...], labels: Sequence[tuple[str, ...]]
) -> tuple[str, tuple[str, ...], str]:
    """Return the task, its classes in order, and a sentence; raise SourceError where classes are not known."""
    if declaration.task == "segmentation":
        if not declaration.classes:
            raise SourceError("classes: expected the names of the masks' values in order, found none: give `classes=…`")
        return "segmentation", declaration.classes, f"masks of {len(declaration.classes)} classes"
    if not labels:
        if declaration.task in KINDS:
            raise SourceError(f"task: expected labels for `task={declaration.task}`, found none in the container")
        return "none", (), "no labels: a set for self-supervised learning"
    task = declaration.task or ("classification" if all(len(label) == 1 for label in labels) else "multilabel")
    counts = Counter(word for label in labels for word in label)
    classes, source = declaration.classes or numbered, ""
    if not classes:
        classes, source = infer_classes(counts)
    return task, classes, f"labels: {task} of {len(classes)} classes{source}, {few(classes)}"


def _splits(declaration: Declaration, samples: Keyed) -> Mapping[str, SplitPolicy]:
    """Return the splits that these data allow, that of the container first where it has one."""
    offered: dict[str, SplitPolicy] = {}
    by_table = samples.table is not None and samples.table.split is not None
    if by_table or any(entry.split for entry in samples.entries.values()):
        offered[SPLIT] = declared.Declared(otherwise="in no split of the container")
    if declaration.task in KINDS:
        offered["stratified"] = stratified.Stratified()
    offered["random"] = random.Random()
    if declaration.split is None:
        return offered
    try:
        name, policy = parse.parse(declaration.split, offered)
    except UsageError as error:
        raise SourceError(f"split: {error}") from None
    return {name: policy} | {other: offered[other] for other in offered if other != name}
