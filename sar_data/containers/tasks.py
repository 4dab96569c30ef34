"""Which tasks of a dataset a container has, and where their labels stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sar_data.containers.entry import Labels
from sar_data.containers.exported import LABELS
from sar_data.containers.looked import Looked
from sar_data.containers.targets import TargetForm, labels_of, target_form
from sar_data.errors import BadRecord
from sar_data.labels.classes import fold, index_of
from sar_data.labels.words import flags_length, numbers_of
from sar_data.naming import few
from sar_data.spec import MASKED, Task

Stored = tuple[str, ...] | bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPlan:
    """A task that a container has: masks, boxes, or labels of images.

    Labels stand in the `column` of a table or of rows, "" where they are the labels of the samples themselves. Of these
    `form` is that of targets that are bytes, `flags` the length of lists of 0 and 1 for each class (0 where labels are
    no such lists), `numbered` the classes by which labels and objects are numbered in the container.
    """

    task: Task
    column: str = ""
    form: TargetForm | None = None
    flags: int = 0
    numbered: tuple[str, ...] = ()


def plan_tasks(
    tasks: Sequence[Task], looked: Looked, labels: Sequence[Labels], columns: Sequence[str], classes: tuple[str, ...]
) -> tuple[tuple[TaskPlan, ...], str]:
    """Return the tasks of a dataset that a container has, in the dataset's order, and a sentence.

    `labels` are those of some samples, `columns` the names of the columns with the labels of one task each, `classes`
    those by which the container numbers. Raises SourceError where targets that are bytes mean no classes.
    """
    plans, words = dict[str, TaskPlan](), list[str]()
    if looked.masks and (mask := next((task for task in tasks if task.kind in MASKED), None)):
        plans[mask.name] = TaskPlan(task=mask)
        words.append(f"masks of {mask.name}")
    if looked.boxes and (boxes := next((task for task in tasks if task.kind == "detection"), None)):
        plans[boxes.name] = TaskPlan(task=boxes, numbered=classes)
        words.append(f"boxes of {boxes.name}")
    for task in tasks:
        if task.kind in LABELS and task.name in columns:
            plans[task.name] = TaskPlan(task=task, column=task.name)
            words.append(f"labels of {task.name} in its column")
    known = [task for task in tasks if task.kind in LABELS and task.name not in plans]
    if known and (targets := [label for label in labels if label is not None]):
        plan, text = _find_labels(known, targets, classes)
        plans[plan.task.name] = plan
        words.append(text)
    if left := [task.name for task in tasks if task.name not in plans]:
        words.append(f"no labels of {few(left)} in the container")
    return tuple(plans[task.name] for task in tasks if task.name in plans), "; ".join(words)


def _find_labels(known: Sequence[Task], targets: Sequence[Stored], classes: tuple[str, ...]) -> tuple[TaskPlan, str]:
    """Return the task that some labels mean, and a sentence; raise SourceError where targets mean no classes."""
    form, flags, task = None, 0, next((task for task in known if classes and _means({*classes}, task, ())), known[0])
    if raw := [label for label in targets if isinstance(label, bytes)]:
        form = target_form(raw, (len(classes or task.classes),), task.kind == "multilabel")
        words = {word for label in raw for word in form.labels(label) or ()}
    else:
        lists = [label for label in targets if not isinstance(label, bytes)]
        flags = flags_length(lists, [len(classes)] if classes else [len(task.classes) for task in known])
        words = {*map(str, range(flags))} if flags else {word for label in lists for word in label}
        fitting = [task for task in known if not flags or classes or len(task.classes) == flags]
        task = next((task for task in fitting if _means(words, task, classes)), task)
    order = f", numbers in the order of {few(classes or task.classes)}; `classes=…` says another order"
    plan = TaskPlan(task=task, form=form, flags=flags, numbered=classes)
    return plan, f"labels of {task.name}{order if all(map(str.isdecimal, words)) else ''}"


def _means(words: set[str], task: Task, classes: tuple[str, ...]) -> bool:
    return all(class_of(word, task.classes, classes) is not None for word in words)


def class_of(word: str, classes: Sequence[str], numbered: Sequence[str]) -> int | None:
    """Return which class a word means: by name, in another spelling too, or by its number among `numbered`."""
    if (place := index_of(word, classes)) is not None and not (word.isdecimal() and numbered):
        return place
    if numbered and (number := index_of(word, numbered)) is not None:
        word = numbered[number]
    return {fold(name): i for i, name in enumerate(classes)}.get(fold(word))


def indices(plan: TaskPlan, stored: Labels, where: str) -> tuple[int, ...] | None:
    """Return the labels of a sample by their places among the task's classes, None without a label; raise BadRecord."""
    if stored is None:
        return None
    classes, numbered = plan.task.classes, plan.numbered or plan.task.classes
    words = labels_of(plan.form, stored, where) if isinstance(stored, bytes) else numbers_of(stored, plan.flags, where)
    if isinstance(stored, bytes) or plan.flags:  # these numbers are places, also where names are numbers
        words = tuple(numbered[int(word)] if int(word) < len(numbered) else word for word in words)
    places = {class_of(word, classes, plan.numbered): word for word in words}
    if None in places:
        raise BadRecord(where, f"expected one of {len(classes)} classes, {few(classes)}, found {places[None]!r:.80}")
    if plan.task.kind == "multiclass" and len(words) != 1:
        if not words:
            return None
        raise BadRecord(where, f"expected one label, found {len(words)}: {few(words)}")
    return tuple(sorted(place for place in places if place is not None))
