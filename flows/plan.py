"""The flow that says what several splits of a source would come to, before one is chosen and built."""

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


def look_ahead(asked: Mapping[str, Any]) -> list[SplitOutlook]:
    """Return what each split would come to; log how far the scan is."""
    return sar_data.plan(**asked, progress=progress())


@like(build, but={*OTHERS, "split"})
def planned(split: str | list[str] | None = None, **parameters: Any) -> list[dict[str, Any]]:
    """Return what each of some splits would come to: samples, leakage, samples lost, shares of classes.

    Nothing is built, and no pixel is read.

    Args:
        split: Policies as in a build, as a list or as a text, "A,B"; none for all that the dataset offers.
    """
    explain()
    check(parameters)
    found = [one.document() for one in once(name="plan")(look_ahead)({"split": split, **parameters})]
    rows = [
        {"split": one["split"], **one["counts"], **{name: figure["value"] for name, figure in one["leakage"].items()}}
        for one in found
    ]
    create_table_artifact(rows, key="plan", description=f"Splits of `{parameters['source']}`")
    return found


def check(parameters: Mapping[str, Any]) -> None:
    """Raise UsageError for parameters that `plan` would refuse before it opens a file."""
    building.check({**parameters, "split": None, "out": Path("/")})  # several splits are no policy; nothing is written


CHECKS = {"plan": check}
plan = flow(
    name="plan",
    description="Say what several splits of a source would come to.",
    flow_run_name=run_name,
    persist_result=False,
)(planned)
