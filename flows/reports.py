"""The flow that writes the report of a sealed build as one HTML page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prefect import flow
from prefect.utilities.annotations import quote

from flows.names import run_name
from flows.requests import check_absolute
from flows.sentence import explain
from flows.tasks import link_report, once
from flows.types import Absolute
from sar_data.reports.build import check_name
from sar_data.reports.words import Language, language_of
from sar_data.sealed.opened import Build


@flow(
    name="report",
    description="Write the contents and the history of a build as a page.",
    flow_run_name=run_name,
    persist_result=False,
)
def report(path: Absolute, out: Absolute | None = None, language: Language = "en") -> str:
    """Write the contents and the history of a sealed build as one HTML page; return its path.

    Args:
        path: Folder of the sealed build, absolute.
        out: File that ends in .html, absolute; none for PATH.report.html beside the build.
        language: en or zh.
    """
    parameters = locals()
    explain()
    check(parameters)
    quoted: Any = quote(Build.open(path))
    return str(once(name="report")(link_report)(quoted, out, language))


def check(parameters: Mapping[str, Any]) -> None:
    """Raise UsageError for parameters that a report would refuse before it opens a file."""
    check_absolute(path=parameters.get("path"), runs=parameters.get("runs"), out=parameters["out"])
    language_of(parameters["language"])
    if parameters["out"] is not None:
        check_name(parameters["out"])


CHECKS = {"report": check}
