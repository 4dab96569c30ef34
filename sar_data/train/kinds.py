"""Which kinds of task a job takes: asked before anything else of a build, so that no other complaint comes first."""

from __future__ import annotations

from sar_data.errors import UsageError
from sar_data.train.settings import Detect, Probe, Segment, Settings

CLASSES = ["multiclass", "multilabel"]
JOBS = {"segmentation": "segment", "detection": "detect"}


def check_kind(settings: Settings, task: str, kind: str) -> None:
    """Raise UsageError where a job with these settings does not take a task of a kind."""
    other = f"; there is `{JOBS[kind]}`" if kind in JOBS else "; `finetune` takes classes"
    if isinstance(settings, Segment):
        takes, said = ["segmentation"], "segment takes masks"
    elif isinstance(settings, Detect):
        takes, said = ["detection"], "detect takes boxes"
    else:
        job = "a probe" if isinstance(settings, Probe) else "finetune"
        takes, said = CLASSES, f"{job} takes classes of whole images"
    if kind not in takes:
        raise UsageError(f"task {task} is of kind {kind}: {said}{other}")
