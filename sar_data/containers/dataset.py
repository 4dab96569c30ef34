"""A published dataset in the container of another program: its classes, bands and splits are known by its name."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from functools import partial

from sar_data.containers.coco_images import coco_images
from sar_data.containers.entry import Container, Labels
from sar_data.containers.find import find_container
from sar_data.containers.looked import Looked, by_means, is_normalized, look
from sar_data.containers.reading import Keyed, Plan, class_of, key_samples, read, scan, units
from sar_data.containers.targets import TargetForm, target_form
from sar_data.errors import SourceError
from sar_data.labels.words import flags_length
from sar_data.naming import few
from sar_data.spec import DatasetSpec, Imported, Pipeline, Task, Tree
from sar_data.split.declared import Declared
from sar_data.split.policy import SPLITS, ByLists, SplitPolicy

SPLIT = "container"
ASKED = ("bands", "classes")
"""Fields of a declaration that say what a container of a published dataset leaves open."""


def import_dataset(tree: Tree, pipeline: Pipeline) -> tuple[Pipeline, str, tuple[str, ...]] | None:
    """Return the pipeline that reads a dataset from a container, what was found, and sentences; None without one.

    Raises SourceError where the container holds something else, or where only its owner can say what it means: then
    `pipeline.asked` decides.
    """
    first = next((task.kind for task in pipeline.spec.tasks), None)
    container = (coco_images(tree) if first == "detection" else None) or find_container(tree)
    if container is None:
        return None
    spec, classes = pipeline.spec, pipeline.asked.get("classes", container.classes)
    names = tuple(band.name for band in spec.bands)
    looked = look(tree, container, names, len(names))
    if looked.axes.frames != spec.frames:
        raise SourceError(f"expected {spec.frames} frames a sample of {spec.name}, found {looked.axes.frames}")
    bands, order_text = order_of(looked, container, pipeline.asked.get("bands", ()), spec)
    keys = key_samples(tree, container, names)
    changed_spec, losses = _with_pixels(spec, looked)
    task, form, flags, task_text = _task(spec.tasks, looked, (*looked.labels, *_of_table(keys, looked)), classes)
    plan = Plan(
        container=container,
        asked=names,
        bands=looked.bands,
        axes=looked.axes,
        order=tuple(bands.index(name) for name in names),
        dtype=looked.dtype,
        size=changed_spec.shape,
        first=looked.entries[0].where,
        task=task,
        form=form,
        flags=flags,
        numbered=classes,
        named=pipeline.named,
    )
    fitted = dataclasses.replace(
        pipeline,
        spec=dataclasses.replace(changed_spec, tasks=(task,) if task else ()),
        units=partial(units, plan=plan),
        scan=partial(scan, plan=plan),
        read=partial(read, plan=plan),
        splits=splits_of(keys, pipeline),
        fit=None,
        copies=None,
        copy_splits={},
        imported=Imported(container.kind, container.files),
    )
    return fitted, count_splits(container, keys), tuple(filter(None, (order_text, *losses, task_text, *about(keys))))


def count_splits(container: Container, keys: Keyed) -> str:
    """Return what was found, with the number of samples of each split."""
    of_table = keys.table if keys.table and keys.table.split else None
    counts = Counter(of_table.split_of(entry.name) if of_table else entry.split for entry in keys.entries.values())
    parts = [f"{counts[name]:,} {name}" for name in SPLITS if counts[name]]
    if counts[None]:
        parts.append(f"{counts[None]:,} in no split")
    return f"{container.sentence()}: {', '.join(parts)}"


def about(keys: Keyed) -> list[str]:
    """Return sentences about keys and about the tables beside a container."""
    others = f"left out: the tables {few(keys.others)}, which name fewer of the samples" if keys.others else ""
    return [keys.changes, keys.table.sentence() if keys.table else "", others]


def order_of(
    looked: Looked, container: Container, asked: tuple[str, ...], spec: DatasetSpec
) -> tuple[tuple[str, ...], str]:
    """Return the order of the bands in a container, and how it is known; raise SourceError where it must be asked."""
    names = tuple(band.name for band in spec.bands)
    if looked.bands:
        if not set(names) <= set(looked.bands):
            raise SourceError(f"{looked.entries[0].where}: expected the bands {few(names)}, found {few(looked.bands)}")
        return looked.bands, f"bands by name: {few(looked.bands)}"
    if asked:
        if sorted(asked) != sorted(names):
            raise SourceError(f"`bands={','.join(asked)}`: expected {few(names)} in the container's order")
        return asked, f"bands as given: {few(asked)}"
    if len(names) == 1:
        return names, ""
    usual = f", the usual order of the layout is {few(container.expected)}" if container.expected else ""
    if (measured := by_means(looked, names, spec.units[0])) is None:
        raise SourceError(
            f"bands: expected to know which is which of {few(names)}, found that neither names nor means tell it"
            f"{usual}. Give their order in the container: `bands={','.join(container.expected or names)}`"
        )
    order, means = measured
    against = f", against the usual order {few(container.expected)}" if container.expected not in ((), order) else ""
    return order, f"bands {few(order)} by their {means}{against}; `bands=…` says another order"


def _with_pixels(spec: DatasetSpec, looked: Looked) -> tuple[DatasetSpec, list[str]]:
    """Return a dataset's declaration with the size and the type of the container's pixels, and what they lost."""
    losses = []
    height, width = looked.sizes[0]  # one of another size is a bad record, where the dataset has one size
    if spec.shape not in (None, (height, width)):
        losses.append(
            f"images are {height}x{width}, published ones {spec.shape[0]}x{spec.shape[1]}: resized before, how is "
            "unknown, and so is the size of a pixel"
        )
        spec = dataclasses.replace(spec, shape=(height, width), pixel_size_m=None)
    stretched = looked.dtype == "uint8" and spec.dtype != "uint8"
    if "dB" in spec.units and not stretched and is_normalized(looked.images):
        raise SourceError(
            f"expected values in dB, as {spec.name} has, found values around 0 with a spread below 2, as after a "
            "normalization, which cannot be undone. Build them as data of your own: `unit=DN`, `bands=…` and `name=…`"
        )
    if stretched:
        bands = tuple(dataclasses.replace(band, unit="8-bit", calibration="stretched") for band in spec.bands)
        losses.append(
            f"pixels are 8-bit, published ones {spec.dtype} in {spec.units[0]}: stretched before, how is unknown"
        )
        spec = dataclasses.replace(spec, bands=bands, dtype="uint8", calibration="stretched", wider=())
    return spec, losses


def _of_table(keys: Keyed, looked: Looked) -> list[Labels]:
    if keys.table is None or keys.table.labels is None:
        return []
    return [keys.table.labels_of(key) for key in looked.keys]


def _task(
    tasks: Sequence[Task], looked: Looked, labels: Sequence[Labels], classes: tuple[str, ...]
) -> tuple[Task | None, TargetForm | None, int, str]:
    """Return the task whose labels a container has, the form of its targets, the length of flags, and a sentence."""
    if looked.masks and (mask := next((task for task in tasks if task.kind == "segmentation"), None)):
        return mask, None, 0, f"masks of {mask.name}"
    known = [task for task in tasks if task.kind in ("multiclass", "multilabel")]
    boxes = next((task for task in tasks if task.kind == "detection"), None)
    if looked.boxes and boxes and not known:
        others = few([task.name for task in tasks if task is not boxes])
        left = f"; no labels of {others} in the container" if len(tasks) > 1 else ""
        return boxes, None, 0, f"boxes of {boxes.name}{left}"
    targets = [label for label in labels if label is not None]
    if not targets or not known:
        return None, None, 0, f"no labels of {few([task.name for task in tasks])} in the container" if tasks else ""
    form, flags, task = None, 0, next((task for task in known if classes and _means({*classes}, task, ())), known[0])
    if raw := [label for label in targets if isinstance(label, bytes)]:
        form = target_form(raw, (len(classes or task.classes),), task.kind == "multilabel")
        words = {word for label in raw for word in form.labels(label) or ()}
    else:
        lists = [label for label in targets if not isinstance(label, bytes)]
        flags = flags_length(lists, [len(classes)] if classes else [len(task.classes) for task in known])
        words = {*map(str, range(flags))} if flags else {word for label in lists for word in label}
        known = [task for task in known if not flags or classes or len(task.classes) == flags]
        task = next((task for task in known if _means(words, task, classes)), task)
    order = f", numbers in the order of {few(classes or task.classes)}; `classes=…` says another order"
    others = few([task.name for task in tasks if task is not task])
    left = f"; no labels of {others} in the container" if len(tasks) > 1 else ""
    return task, form, flags, f"labels of {task.name}{order if all(map(str.isdecimal, words)) else ''}{left}"


def _means(words: set[str], task: Task, classes: tuple[str, ...]) -> bool:
    return all(class_of(word, task.classes, classes) is not None for word in words)


def splits_of(keys: Keyed, pipeline: Pipeline) -> dict[str, SplitPolicy]:
    """Return the splits of a container, then those of the dataset; lists of names place no samples without names."""
    by_table = keys.table is not None and keys.table.split is not None
    splits: dict[str, SplitPolicy] = {}
    if by_table or any(entry.split for entry in keys.entries.values()):
        splits[SPLIT] = Declared(otherwise="in no split of the container")
    nameless = bool(keys.changes) or all(key.isdecimal() for key in keys.entries)
    own = pipeline.splits.items()
    return splits | {name: policy for name, policy in own if not (nameless and isinstance(policy, ByLists))}
