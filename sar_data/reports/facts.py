"""What the data are and how a build was made, as rows of a name and a text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sar_data import catalog
from sar_data.errors import UsageError
from sar_data.reports.chart import format_minus
from sar_data.reports.page import percent
from sar_data.reports.words import Words
from sar_data.sealed.documents import Applied
from sar_data.sealed.manifest import Manifest
from sar_data.spec import EVIDENCE, UNCITED, DatasetSpec, sample_shape
from sar_data.split.cost import split_cost
from sar_data.split.policy import SPLITS

Row = tuple[str, str]
MOST_LINES = 40  # of the recipe, of the lists, of an import
LEAKS = ("touching", "identical", "acquisition", "place", "duplicate", "near_duplicate")
"""What test shares with train that a reader asks for first, in this order."""


PLACED = ("official", "folders")  # policies without chance: a seed changes nothing


def in_short(manifest: Manifest, t: Words) -> list[Row]:
    """Return the five answers that a reader looks for first: what, from where, how split, how leaky, how normalized."""
    return [
        (t("What"), f"{manifest.title} ({manifest.dataset} {manifest.version}){_about(manifest)}"),
        (t("How many"), _count(manifest, t)),
        (t("Tasks"), _tasks(manifest, t)),
        (t("Stored"), _storage(manifest, t)),
        (t("From where"), _origin(manifest, t)),
        (t("How split"), _split(manifest, t)),
        (t("How leaky"), _leaky(manifest, t)),
        (t("How normalized"), normalization(manifest, t)),
    ]


def _about(manifest: Manifest) -> str:
    """Return what this version says of the data set in its first line, behind the title."""
    if _declaration(manifest) is None:
        return ""
    line, *_ = catalog.info(manifest.dataset)["layout"].splitlines()
    about = line.partition(": ")[2].removesuffix(".")
    return f": {about}" if about else ""


def _declaration(manifest: Manifest) -> DatasetSpec | None:
    """Return what this version declares of the data set, None where it does not know it, or another version of it."""
    try:
        spec = catalog.pipeline(manifest.dataset, manifest.variant or None).spec
    except UsageError:
        return None
    return spec if (spec.title, spec.version) == (manifest.title, manifest.version) else None


def _count(manifest: Manifest, t: Words) -> str:
    """Return how many samples the splits have, how many are left out, and how many records were published."""
    used, unused = sum(split.count for split in manifest.splits.values()), sum(manifest.unused.values())
    parts = [t("{n} samples in the splits", n=f"{used:,}")]
    parts += [t("{n} left out", n=f"{unused:,}")] if unused else []
    published = manifest.records_published
    parts += [t("the publisher has {n} records", n=f"{published:,}")] if published is not None else []
    return "; ".join(parts)


def _tasks(manifest: Manifest, t: Words) -> str:
    tasks = (
        f"{task.name}: {t(task.kind)}, {t('{n} classes', n=n) if (n := len(task.classes)) != 1 else t('one class')}"
        for task in manifest.tasks
    )
    return "; ".join(tasks) or t("none")


def _storage(manifest: Manifest, t: Words) -> str:
    shape = sample_shape(manifest.frames, len(manifest.bands), manifest.shape)
    bands = ", ".join(_with_unit(band.name, band.unit, t) for band in manifest.bands)
    return f"{manifest.format}, {shape} {manifest.storage.dtype}: {bands}"


def _with_unit(band: str, unit: str, t: Words) -> str:
    return f"{band} ({t(unit)})" if unit else band


def _origin(manifest: Manifest, t: Words) -> str:
    """Return who published the files, how well their layout is known, and what a baked build was made from."""
    parts = [manifest.citation] if manifest.citation != UNCITED else []
    parts += [t("published at {address}", address=url) for _, url, _ in sources(manifest)[:1] if url]
    parts.append(t(EVIDENCE[manifest.evidence]))
    if manifest.parent:
        parts.append(t("made from the build {name}", name=manifest.parent.path))
    return "; ".join(parts)


def _record_counts(manifest: Manifest) -> tuple[str, str] | None:
    """Return how many records are here and how many were published, where that is known."""
    here = sum(split.count for split in manifest.splits.values()) + sum(manifest.unused.values())
    return None if manifest.records_published is None else (f"{here:,}", f"{manifest.records_published:,}")


def _split(manifest: Manifest, t: Words) -> str:
    policy, unused = manifest.split_policy, sum(manifest.unused.values())
    counts = [f"{t(name)} {manifest.splits[name].count:,}" for name in SPLITS if name in manifest.splits]
    counts += [f"{t('unused')} {unused:,}"] if unused else []
    how = "policy {policy}" if policy.policy in PLACED else "policy {policy}, seed {seed}"
    how = "policy {policy}, by published lists" if policy.lists else how
    parts = [t(how, policy=policy.policy, seed=policy.seed), _meaning(manifest, t), ", ".join(counts)]
    return "; ".join(filter(None, parts))


def _meaning(manifest: Manifest, t: Words) -> str:
    """Return what the policy of the split does, nothing of one whose name says it."""
    name = f"policy.{manifest.split_policy.policy}"
    return meaning if (meaning := t(name)) != name else ""


def _leaky(manifest: Manifest, t: Words) -> str:
    """Return what test shares with train, as far as it is known."""
    shares = [
        f"{percent(figure.value)} {t(f'leak.{name}', other=t('one of train'))}"
        for name in LEAKS
        if (figure := manifest.leakage.get(name)) and figure.value is not None
    ]
    if not shares:
        return t("not known")
    figures = (manifest.leakage.get(name) for name in LEAKS)
    reasons = dict.fromkeys(
        t(figure.reason).replace("`", "") for figure in figures if figure and figure.value is None and figure.reason
    )
    shares += [t("more is not known: {reasons}", reasons=", ".join(reasons))] if reasons else []
    of = f"{manifest.splits['test'].count:,}"
    return t("of {of} test samples: {shares}", of=of, shares="; ".join(shares))


def normalization(manifest: Manifest, t: Words) -> str:
    """Return what a loader normalizes by, and which normalization the stored values have already."""
    normal = manifest.normalization
    if normal is None:
        return t("not recorded")
    figures = "; ".join(
        "{} {} ± {}".format(_with_unit(band.name, band.unit, t), *map(format_minus, normal.digits(band.name)))
        for band in manifest.bands
    )
    step = normalizing(manifest)
    if step is None:
        return t(
            "the stored values are not normalized; loaders do it by mean ± deviation of train alone: {figures}",
            figures=figures,
        )
    method = f"{_method(str(step.parameters['method']), t)}{_by_band(step.parameters, manifest, t)}"
    return t(
        "the stored values are normalized already, by {method}; train alone now has mean ± deviation {figures}",
        method=method,
        figures=figures,
    )


def normalizing(manifest: Manifest) -> Applied | None:
    """Return the step that normalized the stored values, None where they are physical."""
    return next((step for step in manifest.applied if step.step == "normalize"), None)


def _method(name: str, t: Words) -> str:
    """Return the name of a normalization, and what it does where the words have that."""
    meaning = t(f"method.{name}")
    return name if meaning == f"method.{name}" else f"{name}, {meaning}"


def _by_band(parameters: Mapping[str, Any], manifest: Manifest, t: Words) -> str:
    """Return offset and divisor of each band, with its unit before where that is recorded, in brackets."""
    figures: dict[str, Any] = {name: parameters.get(name) for name in ("offset", "divisor")}
    names = [band.name for band in manifest.bands]
    units = parameters.get("units", [""] * len(names))
    if any(not isinstance(values, list) or len(values) != len(names) for values in (*figures.values(), units)):
        return ""
    texts = []
    for i, (band, unit) in enumerate(zip(names, units, strict=True)):
        values = ", ".join(f"{name} {format_minus(f'{each[i]:.4g}')}" for name, each in figures.items())
        texts.append(f"{_with_unit(band, unit, t)} {values}")
    return f" ({'; '.join(texts)})"


def data(manifest: Manifest, t: Words) -> list[Row]:
    """Return what the data are."""
    pixel = f"{manifest.pixel_size_m:g} m" if manifest.pixel_size_m else t("not known")
    return [
        (t("Data set"), f"{manifest.dataset} {manifest.version}{f', {manifest.variant}' if manifest.variant else ''}"),
        (t("Licence"), manifest.licence),
        (t("Citation"), manifest.citation),
        (t("Evidence"), f"{t(EVIDENCE[manifest.evidence])} ({manifest.evidence})"),
        (t("Image"), sample_shape(manifest.frames, len(manifest.bands), manifest.shape)),
        (t("Pixel size"), pixel),
        (t("Range axis"), manifest.range_axis),
        (t("Symmetries"), ", ".join(manifest.symmetries) or t("none")),
        (t("Layout"), manifest.layout),
        *((t("Found"), line) for line in manifest.discovered),
    ]


def making(manifest: Manifest, t: Words) -> list[Row]:
    """Return how the build was made: versions, container, digests, parent, what was baked."""
    parent, imported = manifest.parent, manifest.imported_from
    scale = f", 1/{manifest.storage.scale:g} {manifest.bands[0].unit}" if manifest.storage.scale else ""
    return [
        ("sar-data", manifest.sar_data_version),
        (t("Container"), f"{manifest.format}{f', {manifest.compression}' if manifest.compression else ''}"),
        (t("Stored type"), f"{manifest.storage.dtype}{scale}"),
        (t("Records here and published"), " / ".join(_record_counts(manifest) or ())),
        (t("Content digest"), manifest.content_digest),
        (t("Recipe digest"), manifest.recipe_digest),
        (t("SHA256SUMS"), manifest.sums),
        (t("Source fingerprint"), str(manifest.recipe.get("source", ""))),
        (t("Parent"), f"{parent.content_digest} ({t('recipe')} {parent.recipe_digest})" if parent else ""),
        (t("Imported from"), f"{imported.container} {imported.path}" if imported else ""),
        *((t("Applied"), _step(step.step, step.parameters)) for step in manifest.applied),
        (t("Images that another reader read"), f"{manifest.fallback_reads:,}" if manifest.fallback_reads else ""),
        (
            t("Records narrowed to the declared type"),
            f"{manifest.narrowed_records:,}" if manifest.narrowed_records else "",
        ),
    ]


def _step(name: str, parameters: Mapping[str, Any]) -> str:
    """Return a step of baking with its parameters, and then what it loses."""
    given = brief({name: value for name, value in parameters.items() if name != "warning"})
    lost = f". What it loses: {parameters['warning']}" if "warning" in parameters else ""
    return f"{name}: {given}{lost}"


def sources(manifest: Manifest) -> list[tuple[str, str, str]]:
    """Return name, address and published checksum of the data set's files, as this version knows them."""
    spec = _declaration(manifest)
    return [] if spec is None else [(source.name, source.url, source.checksum or "") for source in spec.sources]


def hashes(manifest: Manifest) -> list[tuple[str, str]]:
    """Return the files whose hashes the build keeps beside those of its images: lists, and files of an import."""
    lists = manifest.split_policy.notes.get("lists")
    digests = {}
    if isinstance(lists, Mapping):
        digests = {name: str(entry.get("xxh3_128", "")) for name, entry in lists.items() if isinstance(entry, Mapping)}
    if manifest.imported_from:
        digests |= dict(manifest.imported_from.sha256)
    return [(name, digest) for name, digest in digests.items() if digest][:MOST_LINES]


def recipe(manifest: Manifest) -> str:
    """Return the recipe as JSON."""
    lines = json.dumps(manifest.recipe, indent=1, sort_keys=True, ensure_ascii=False).splitlines()
    return "\n".join([*lines[:MOST_LINES], *(["…"] if len(lines) > MOST_LINES else [])])


def splitting(manifest: Manifest, t: Words) -> list[Row]:
    """Return the policy of the split, what it cost, and which records no split has."""
    policy = manifest.split_policy
    return [
        (t("Policy"), ": ".join(filter(None, (policy.policy, _meaning(manifest, t))))),
        (t("Seed"), str(policy.seed)),
        (t("Parameters"), brief(policy.parameters)),
        (t("Cost"), split_cost(manifest.splits, manifest.unused).sentence(t)),
        *((t("Unused"), f"{count:,}: {reason}") for reason, count in sorted(manifest.unused.items())),
    ]


def pixels(manifest: Manifest, t: Words) -> list[Row]:
    """Return what was odd about the pixels."""
    suspect = (
        (t("Suspect pixels"), f"{band}: {percent(suspect.share)} ({_kinds(suspect.model_dump(exclude={'pixels'}))})")
        for band, suspect in manifest.suspect_pixels.items()
    )
    blank = (
        (t("Blank samples"), f"{reason}: {samples.count:,} ({samples.first})")
        for reason, samples in manifest.blank_samples.items()
    )
    return [
        *suspect,
        *blank,
        *((t("Clipped pixels"), f"{band}: {count:,}") for band, count in manifest.clipped.items() if count),
        *(
            (t("Without a value in the unit"), f"{band}: {count:,}")
            for band, count in manifest.unvalued.items()
            if count
        ),
    ]


def _kinds(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)


def brief(value: Any) -> str:
    """Return a value of a document in one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {brief(item)}" for name, item in sorted(value.items()))
    if isinstance(value, list):
        return "; ".join(map(brief, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
