"""The flow that says what a build would come to, and compares several splits of its source."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_table_artifact

import sar_data
from flows import build as building
from flows.build import build
from flows.names import run_name
from flows.sentence import explain
from flows.signature import like
from flows.tasks import once, progress
from sar_data.builder.outlook import Outlook

OTHERS = inspect.signature(build).parameters.keys() - inspect.signature(sar_data.plan).parameters.keys()


def look_ahead(parameters: Mapping[str, Any]) -> Outlook:
    """Return what a build would come to; log the progress of the scan."""
    return sar_data.plan(**parameters, progress=progress())


@like(build, but={*OTHERS, "split"})
def tabulate_plan(split: str | list[str] | None = None, **parameters: Any) -> dict[str, Any]:
    """Return records, shards, bytes, disk, memory and minutes of a build, and what several splits come to.

    Nothing is built but small samples beside `out`, which are removed.

    Args:
        split: Policies as in a build, as a list or as a text, "A,B"; none for all that the dataset offers.
    """
    explain()
    check(parameters)
    document = once(name="plan")(look_ahead)({"split": split, **parameters}).document()
    source = f"`{parameters['source']}`"
    rows = [
        {"split": row["split"], **row["counts"], **{name: figure["value"] for name, figure in row["leakage"].items()}}
        for row in document["splits"]
    ]
    create_table_artifact(rows, key="plan", description=f"Splits of {source}")
    figures = [{name: value for name, value in document.items() if not isinstance(value, list)}]
    create_table_artifact(figures, key="plan-figures", description=f"A build of {source}")
    create_table_artifact(document["builds"], key="plan-builds", description=f"Builds of {source}")
    if document["missing"]:
        create_markdown_artifact("\n".join(f"- {line}" for line in document["missing"]), key="plan-missing")
    return document


def check(parameters: Mapping[str, Any]) -> None:
    """Raise UsageError for parameters that `plan` would refuse before it opens a file."""
    building.check({**parameters, "split": None})  # one policy only can be checked


CHECKS = {"plan": check}
plan = flow(
    name="plan",
    description="Say what a build would come to, and compare several splits of its source.",
    flow_run_name=run_name,
    persist_result=False,
)(tabulate_plan)
