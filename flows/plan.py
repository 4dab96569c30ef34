"""The flow that compares several splits of a source before a build."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact

import sar_data
from flows import build as building
from flows.build import build
from flows.names import run_name
from flows.sentence import explain
from flows.signature import like
from flows.tasks import once, progress
from sar_data.builder.splits import SplitOutlook

OTHERS = inspect.signature(build).parameters.keys() - inspect.signature(sar_data.plan).parameters.keys()


def compare_splits(parameters: Mapping[str, Any]) -> list[SplitOutlook]:
    """Return counts, leakage and cost of each split; log the progress of the scan."""
    return sar_data.plan(**parameters, progress=progress())


@like(build, but={*OTHERS, "split"})
def tabulate_splits(split: str | list[str] | None = None, **parameters: Any) -> list[dict[str, Any]]:
    """Return samples, leakage, lost samples and class shares of several splits.

    Nothing is built, and no pixel is read.

    Args:
        split: Policies as in a build, as a list or as a text, "A,B"; none for all that the dataset offers.
    """
    explain()
    check(parameters)
    documents = [outlook.document() for outlook in once(name="plan")(compare_splits)({"split": split, **parameters})]
    rows = [
        {
            "split": document["split"],
            **document["counts"],
            **{name: figure["value"] for name, figure in document["leakage"].items()},
        }
        for document in documents
    ]
    create_table_artifact(rows, key="plan", description=f"Splits of `{parameters['source']}`")
    return documents


def check(parameters: Mapping[str, Any]) -> None:
    """Raise UsageError for parameters that `plan` would refuse before it opens a file."""
    building.check(
        {**parameters, "split": None, "out": Path("/")}
    )  # one policy only can be checked; nothing is written


CHECKS = {"plan": check}
plan = flow(
    name="plan",
    description="Compare several splits of a source before a build.",
    flow_run_name=run_name,
    persist_result=False,
)(tabulate_splits)
