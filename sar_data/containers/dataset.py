"""A published dataset in the container of another program: its classes, bands and splits are known by its name."""

from __future__ import annotations

import dataclasses
from collections import Counter
from functools import partial

from sar_data.containers.coco_images import coco_images
from sar_data.containers.entry import Container, Labels
from sar_data.containers.exported import FACTS, ExportDocument, export_document
from sar_data.containers.find import find_container
from sar_data.containers.layouts import EXPORT_FILE
from sar_data.containers.looked import Looked, by_means, is_normalized, look
from sar_data.containers.reading import Keyed, Plan, key_samples, read, scan, units
from sar_data.containers.tasks import plan_tasks
from sar_data.errors import SourceError
from sar_data.naming import few
from sar_data.spec import DatasetSpec, Imported, Pipeline, Tree
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
    spec = pipeline.spec
    has_boxes = any(task.kind == "detection" for task in spec.tasks)
    container = (coco_images(tree) if has_boxes else None) or find_container(tree)
    if container is None:
        return None
    exported, classes = export_document(tree), pipeline.asked.get("classes", container.classes)
    names = tuple(band.name for band in spec.bands)
    columns = (*(task.name for task in spec.tasks), *(FACTS if exported else ()))
    looked = look(tree, container, names, len(_order(exported, container) or names))
    if looked.axes.frames != spec.frames:
        raise SourceError(f"expected {spec.frames} frames a sample of {spec.name}, found {looked.axes.frames}")
    bands, order_text = order_of(looked, container, pipeline.asked.get("bands", ()), spec, exported)
    keys = key_samples(tree, container, names, columns)
    changed_spec, losses = _with_pixels(spec, looked, exported)
    labels = *looked.labels, *_of_table(keys, looked)
    tasks, task_text = plan_tasks(spec.tasks, looked, labels, keys.columns, classes)
    plan = Plan(
        container=container,
        asked=names,
        bands=looked.bands,
        axes=looked.axes,
        order=tuple(bands.index(name) for name in names),
        dtype=looked.dtype,
        size=changed_spec.shape,
        first=looked.entries[0].where,
        tasks=tasks,
        columns=columns,
        becomes=changed_spec.dtype if (looked.dtype, changed_spec.dtype) == ("float32", "float16") else None,
        named=pipeline.named,
    )
    fitted = dataclasses.replace(
        pipeline,
        spec=dataclasses.replace(changed_spec, tasks=tuple(part.task for part in tasks)),
        units=partial(units, plan=plan),
        scan=partial(scan, plan=plan),
        read=partial(read, plan=plan),
        splits=splits_of(keys, pipeline),
        fit=None,
        copies=None,
        copy_splits={},
        imported=Imported(container.kind, container.files),
        asked={**pipeline.asked, **({"bands": bands} if exported else {})},  # so that a recipe covers them
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
    looked: Looked,
    container: Container,
    asked: tuple[str, ...],
    spec: DatasetSpec,
    exported: ExportDocument | None = None,
) -> tuple[tuple[str, ...], str]:
    """Return the order of the bands in a container, and how it is known; raise SourceError where it must be asked."""
    names = tuple(band.name for band in spec.bands)
    if looked.bands:
        if not set(names) <= set(looked.bands):
            raise SourceError(f"{looked.entries[0].where}: expected the bands {few(names)}, found {few(looked.bands)}")
        return looked.bands, f"bands by name: {few(looked.bands)}"
    if (stored := _order(exported, container)) and not asked:
        if not {*names} <= {*stored}:
            raise SourceError(f"{EXPORT_FILE}: expected the bands {few(names)}, found {few(stored)}")
        return stored, f"bands as {EXPORT_FILE} says: {few(stored)}"
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


def _order(exported: ExportDocument | None, container: Container) -> tuple[str, ...]:
    """Return the order in which our own export stores the bands, () of another container."""
    return (container.expected or exported.names) if exported else ()


def _with_pixels(spec: DatasetSpec, looked: Looked, exported: ExportDocument | None) -> tuple[DatasetSpec, list[str]]:
    """Return a dataset's declaration with the size and the type of the container's pixels, and what they lost."""
    losses = []
    height, width = looked.sizes[0]  # one of another size is a bad record, where the dataset has one size
    if spec.shape not in (None, (height, width)):
        losses.append(
            f"images are {height}x{width}, published ones {spec.shape[0]}x{spec.shape[1]}: resized before, how is "
            "unknown, and so is the size of a pixel"
        )
        spec = dataclasses.replace(spec, shape=(height, width), pixel_size_m=None)
    if exported is not None:
        known = dict(zip(exported.names, exported.bands, strict=True))
        units = [known[band.name].unit for band in spec.bands]
        if units != [*spec.units]:
            losses.append(f"values are in {few(units)}, as {EXPORT_FILE} says")
        bands = tuple(dataclasses.replace(band, unit=unit) for band, unit in zip(spec.bands, units, strict=True))
        return dataclasses.replace(spec, bands=bands, dtype=exported.dtype, wider=()), losses
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


def splits_of(keys: Keyed, pipeline: Pipeline) -> dict[str, SplitPolicy]:
    """Return the splits of a container, then those of the dataset; lists of names place no samples without names."""
    by_table = keys.table is not None and keys.table.split is not None
    splits: dict[str, SplitPolicy] = {}
    if by_table or any(entry.split for entry in keys.entries.values()):
        splits[SPLIT] = Declared(otherwise="in no split of the container")
    nameless = bool(keys.changes) or all(key.isdecimal() for key in keys.entries)
    own = pipeline.splits.items()
    return splits | {name: policy for name, policy in own if not (nameless and isinstance(policy, ByLists))}
