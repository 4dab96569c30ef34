"""Which kinds of task a job takes: asked before anything else of a build, so that no other complaint comes first."""

from __future__ import annotations

from sar_data.errors import UsageError
from sar_data.train.settings import JOBS, Settings


def check_kind(settings: Settings, task: str, kind: str) -> None:
    """Raise UsageError where a job with these settings does not take a task of a kind."""
    if kind in settings.takes or not settings.labelled:
        return
    others = [name for name, other in JOBS.items() if kind in other.takes]
    there = f"; there is {' and '.join(f'`{name}`' for name in others)}" if others else ""
    raise UsageError(f"task {task} is of kind {kind}: {settings.needs}{there}")
