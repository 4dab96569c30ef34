"""The flow that writes what a sealed build says as documents of another tool."""

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
    description="Write what a build says as documents of another tool.",
    flow_run_name=run_name,
    persist_result=False,
)
def export(target: Target, path: Absolute, out: Absolute) -> list[str]:
    """Write what a sealed build says as documents of another tool; return their paths.

    Args:
        target: coco, for the detections as COCO JSON, one file a split.
        path: Folder of the sealed build, absolute.
        out: Folder for the documents, absolute.
    """
    parameters = locals()
    explain()
    check(parameters)
    return [str(document) for document in once(name="export")(sar_data.export)(**parameters)]


def check(parameters: Mapping[str, Any]) -> None:
    """Raise UsageError for parameters that an export would refuse before it opens a file."""
    check_absolute(path=parameters["path"], out=parameters["out"])
    check_target(parameters["target"])


CHECKS = {"export-build": check}
