"""What a build's manifest alone refuses of a job's options: asked before torch is imported and the index read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sar_data.sealed.manifest import Manifest
from sar_data.stream.channels import by_formula
from sar_data.stream.fit import Fit
from sar_data.stream.normalize import normalizer
from sar_data.stream.targets import task_of
from sar_data.train.kinds import check_kind
from sar_data.train.networks import check_model, local
from sar_data.train.settings import Finetune, Segment, Settings
from sar_data.train.terms import terms

UNSIZED = np.empty((0, 2), np.int64)  # the sizes of images are in the index, which is not read here


def check(build: str | Path, settings: Settings) -> None:
    """Raise UsageError for an unknown model, missing weights, and a task, loss, unit, band or size that does not fit.

    A build behind a URL is looked at once it is opened.
    """
    check_model(settings.model)
    if settings.weights is not None:
        local(settings.weights)
    if "://" in str(build):
        return
    manifest = Manifest.load(Path(build))
    task = task_of(manifest, settings.task)
    if task is not None:
        check_kind(settings, task.name, task.kind)
        if isinstance(settings, Finetune | Segment) and settings.loss is not None:
            terms(settings.loss, task.kind)
    bands, names = settings.bands or (), [band.name for band in manifest.bands]
    # The figures of formulas are measured once the build is open: any will do here.
    figures = dict.fromkeys(bands, (0.0, 1.0)) if by_formula(bands, names) else None
    normalizer(manifest, settings.bands, settings.normalize, unit=settings.unit, figures=figures)
    Fit(settings.crop, settings.pad).check(UNSIZED, str(build), manifest.shape)
