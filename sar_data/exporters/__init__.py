"""Export of sealed builds to the formats of other tools."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from sar_data.errors import unknown
from sar_data.exporters import coco
from sar_data.sealed.opened import Build

Target = Literal["coco"]
TARGETS: Mapping[Target, Callable[[Build, Path], list[Path]]] = {"coco": coco.export}


def check_target(target: str) -> None:
    """Raise UsageError for a name that is no target."""
    if target not in TARGETS:
        raise unknown("target", target, TARGETS)


def export(target: Target, build: Build, out: Path) -> list[Path]:
    """Write a build's documents for another tool below the folder `out` and return their paths.

    Raises UsageError for an unknown target and for a build that the target does not fit, TargetError where `out` cannot
    be written.
    """
    check_target(target)
    return TARGETS[target](build, out)
