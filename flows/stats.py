"""The flows for figures of a build: of its bands, of its parts, beside others, and of its radiometry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact

import sar_data
from flows import report
from flows.names import run_name
from flows.requests import check_absolute, check_request
from flows.sentence import explain
from flows.tasks import once, progress
from flows.types import Absolute, Dataset, Place, Positive
from sar_data.builder.counted import StatsRequest
from sar_data.runners import Kind
from sar_data.sealed.documents import SplitStatistics


def count(parameters: Mapping[str, Any]) -> dict[str, SplitStatistics]:
    """Return figures by split or part; log the progress of reading pixels."""
    return sar_data.stats(**parameters, progress=progress())


@flow(
    name="stats",
    description="Show the band statistics of a build or of raw files.",
    flow_run_name=run_name,
    persist_result=False,
)
def stats(
    path: Place,
    split: str | None = None,
    by: str | None = None,
    recompute: bool = False,
    dataset: Dataset | None = None,
    variant: str | None = None,
    plot: Absolute | None = None,
    workers: Positive | None = None,
    runner: Kind | None = None,
    dask_address: str | None = None,
) -> dict[str, Any]:
    """Return the band statistics of a build's splits, of its parts, or of raw files.

    Args:
        path: Sealed build, raw files or their archive, absolute, or the URL of a build.
        split: One split; none for all of them.
        by: Of a build: parts by class, pass, orbit, season, month, year, platform, place, group, split, date or
            an attribute.
        recompute: Of a build: read the pixels again.
        dataset: Of raw files, where it is not recognised.
        variant: Of raw files: another form of the dataset.
        plot: Picture of histograms, absolute.
        workers: Worker processes that read pixels; none for one a core.
        runner: serial, processes or dask; none for processes, or dask with an address.
        dask_address: Scheduler of a running Dask cluster; none for a local cluster.
    """
    parameters = locals()
    explain()
    check_request(StatsRequest, parameters)
    statistics = once(name="stats")(count)(parameters)
    create_table_artifact(
        report.statistics_rows(statistics), key="statistics", description=f"Band statistics of `{path}`"
    )
    return {name: split.model_dump(mode="json") for name, split in statistics.items()}


@flow(
    name="shift",
    description="Show the shifts between the parts of a build.",
    flow_run_name=run_name,
    persist_result=False,
)
def shift(
    path: Place, by: str = "split", split: str | None = None, reference: str | None = None
) -> dict[str, dict[str, Any]]:
    """Return how far each part of a build is from a reference, by part and band.

    Args:
        path: Folder of the sealed build, absolute, or its URL.
        by: What the parts differ in: split, class, pass, orbit, season, month, year, platform, place, group, …
        split: Within one split; none for all.
        reference: The reference part of shifts; none for the first.
    """
    parameters = locals()
    explain()
    check(parameters)
    shifts = {
        part: {band: asdict(figures) for band, figures in bands.items()}
        for part, bands in sar_data.shift(**parameters).items()
    }
    rows = [
        {"part": part, "band": band, **figures} for part, bands in shifts.items() for band, figures in bands.items()
    ]
    create_table_artifact(rows, key="shift", description=f"Parts of `{path}` by {by}")
    return shifts


@flow(
    name="against",
    description="Compare a build's figures with published ones.",
    flow_run_name=run_name,
    persist_result=False,
)
def against(path: Place, other: str, split: str = "train") -> dict[str, Any]:
    """Return a comparison of the figures of a build's split with others, with a verdict.

    Args:
        path: Folder of the sealed build, absolute, or its URL.
        other: Name of published figures; a JSON file or another sealed build, absolute.
        split: train, val or test.
    """
    parameters = locals()
    explain()
    check(parameters)
    comparison: dict[str, Any] = sar_data.against(**parameters).document()
    rows = [{"band": band, **figures} for band, figures in comparison["bands"].items()]
    create_table_artifact(
        rows, key="against", description=f"`{path}` beside {other}: {'; '.join(comparison['verdict'])}"
    )
    return comparison


@flow(
    name="looks",
    description="Read a random sample of a build's images for looks, zeros and saturation.",
    flow_run_name=run_name,
    persist_result=False,
)
def looks(path: Place, split: str = "train", images: Positive = 1000) -> dict[str, dict[str, Any]]:
    """Return, by band, the equivalent number of looks, exact zeros, and values at the ends.

    Args:
        path: Folder of the sealed build, absolute, or its URL.
        split: train, val or test.
        images: Number of images to read.
    """
    parameters = locals()
    explain()
    check(parameters)
    by_band = {band: asdict(figures) for band, figures in once(name="looks")(sar_data.looks)(**parameters).items()}
    create_table_artifact(
        [{"band": band, **figures} for band, figures in by_band.items()], key="looks", description=f"`{path}`"
    )
    return by_band


def check(parameters: Mapping[str, Any]) -> None:
    """Raise UsageError for a relative path."""
    other = parameters.get("other") or ""
    check_absolute(path=parameters["path"], other=other if "/" in other or other.endswith(".json") else None)


CHECKS = {"stats": partial(check_request, StatsRequest), "shift": check, "against": check, "looks": check}
