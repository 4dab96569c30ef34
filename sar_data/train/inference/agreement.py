"""Whether a build is one that a model can look at: its bands, units, task, classes and sizes."""

from __future__ import annotations

import logging

from sar_data.errors import UsageError
from sar_data.naming import few
from sar_data.progress import Say
from sar_data.sealed.files import Files
from sar_data.sealed.manifest import Manifest
from sar_data.sealed.opened import layout_of
from sar_data.stream.normalize import in_unit, units_of
from sar_data.stream.rows import largest
from sar_data.train.inference.finished import Finished, batch_of
from sar_data.train.input import Input
from sar_data.train.matching import task_like
from sar_data.train.settings import Tuned

log = logging.getLogger("sar_data.train")


def unit_for(found: Input, manifest: Manifest, build: str, *, own: bool, say: Say) -> str | None:
    """Return the unit that a build's values are converted to for a model, None where they stay as they are.

    Where no conversion leads to the model's units it is an error or, where the build is normalized by its `own`
    figures, a warning. Raises UsageError for bands that the build does not have, too.
    """
    try:
        units = units_of(manifest, found.channels)
    except UsageError as error:
        raise UsageError(f"{build}: the model takes {', '.join(found.channels)}: {error}") from None
    normalized = any(step.step == "normalize" for step in manifest.applied)
    _check_normalized(found, manifest, build, own=own)
    differing = {unit for name, unit in found.units.items() if unit not in ("", units[name])}
    if normalized or not differing:
        return None
    wanted, there = few(sorted(differing)), few(sorted({*units.values()}))
    told = f"{build}: expected values in {wanted}, as the model takes, found {there}"
    if len(differing) == 1 and _converts(found, manifest, unit := min(differing)):
        say(f"{told}: they are converted (`unit={unit}`)")
        return unit
    if not own:
        raise UsageError(f"{told}: `normalize_by=build` takes the build's own figures, if that is what you mean")
    log.warning("%s: normalized by the build's own figures, answers may mean nothing", told)
    return None


def check_dates(found: Input, manifest: Manifest, build: str) -> None:
    """Raise UsageError for samples of another number of dates than a model takes."""
    if manifest.frames != found.dates:
        raise UsageError(
            f"{build}: expected samples of {found.dates} dates, as the model takes, found {manifest.frames}"
        )


def _check_normalized(found: Input, manifest: Manifest, build: str, *, own: bool) -> None:
    """Raise UsageError where a model and a build differ in what was baked; warn where `own` figures are asked for."""
    steps = {step.step: step.parameters for step in manifest.applied}
    trained = "" in found.units.values()  # on values that were normalized, and have no unit
    became = steps.get("unit", {}).get("to")
    if trained and "normalize" not in steps:
        told = "values that are normalized, as the model was trained on, found those of a physical unit"
    elif not trained and "normalize" in steps and became is not None and became not in found.units.values():
        told = f"values in {few(sorted(set(found.units.values())))} before they were normalized, found {became}"
    else:
        if trained:
            log.warning("%s: normalized by figures of its own, which may not be those of the model's build", build)
        return
    if not own:
        raise UsageError(f"{build}: expected {told}: `normalize_by=build` takes the build's own figures")
    log.warning("%s: expected %s; answers may mean nothing", build, told)


def _converts(found: Input, manifest: Manifest, unit: str) -> bool:
    try:
        return units_of(in_unit(manifest, unit), found.channels) == found.units
    except UsageError:
        return False


def task_for(found: Input, manifest: Manifest, build: str, name: str | None) -> str:
    """Return the task of a build that a model is judged by: of its kind and of its name, or with most of its classes.

    Raises UsageError where the build has none of the model's kind.
    """
    expected = f"{build}: expected a {found.kind} task, which the model is for"
    return task_like(found.kind, found.classes, manifest, name, of=expected).name


def sized(finished: Finished, manifest: Manifest, files: Files, split: str, say: Say) -> Tuned:
    """Return a run's options as they fit the sizes of another build's images.

    Images of several sizes, or larger than those that the run padded to, are extended to the largest, if the model sees
    them as they are. Raises UsageError where it resizes them, for they would be seen at another scale.
    """
    settings, shape = finished.settings, layout_of(manifest).shape
    if settings.crop is not None or (shape is not None and settings.pad is None):
        return settings
    side = largest(files, manifest, [split]) if shape is None else max(shape)
    if settings.pad is not None and side <= settings.pad:
        return settings
    if finished.input.resized:
        taken = "of one size" if settings.pad is None else f"of at most {settings.pad} pixels a side"
        raise UsageError(
            f"{files.folder}: expected images {taken}, which the model resizes to {finished.side}, found images of up "
            f"to {side}: `convert(crop={settings.pad or finished.side})` cuts them"
        )
    say(f"images are extended to {side} pixels (`pad={side}`)")
    return settings.model_copy(update={"pad": max(side, 1)})


def batch_for(settings: Tuned, manifest: Manifest, files: Files, split: str) -> int:
    """Return how many of a split's images are seen at once, where they may be seen whole."""
    shape = layout_of(manifest).shape
    return batch_of(settings, max(*shape, settings.pad or 1) if shape else largest(files, manifest, [split]))
