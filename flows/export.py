"""The flow that writes a sealed build as files of another tool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prefect import flow

import sar_data
from flows.names import run_name
from flows.requests import check_absolute
from flows.sentence import explain
from flows.tasks import once
from flows.types import Absolute
from sar_data.exporters import Target, check_target


@flow(
    name="export-build",
    description="Write a build as files that another tool reads.",
    flow_run_name=run_name,
    persist_result=False,
)
def export(target: Target, path: Absolute, out: Absolute) -> dict[str, Any]:
    """Write a sealed build as files that another tool reads; return folder, number of samples and lost parts.

    Args:
        target: coco, for the detections as COCO JSON; other names are in docs/export.md.
        path: Folder of the sealed build, absolute.
        out: New folder for the files, absolute.
    """
    parameters = locals()
    explain()
    check(parameters)
    exported = once(name="export")(sar_data.export)(**parameters)
    return {"folder": str(exported.folder), "samples": exported.samples, "lost": list(exported.lost)}


def check(parameters: Mapping[str, Any]) -> None:
    """Raise UsageError for parameters that an export would refuse before it opens a file."""
    check_absolute(path=parameters["path"], out=parameters["out"])
    check_target(parameters["target"])


CHECKS = {"export-build": check}
