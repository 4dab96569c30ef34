"""The flow that finds the satellite products a dataset was cut from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger

from flows.names import run_name
from flows.requests import check_absolute, crew_of
from flows.sentence import explain
from flows.tasks import OVER_WEB, once, progress
from flows.types import Absolute, Dataset, Positive
from sar_data import catalog
from sar_data.builder.scenes import find_scenes
from sar_data.download.credentials import Credentials
from sar_data.runners import Crew
from sar_data.sources.scenes.catalogue import Name
from sar_data.sources.scenes.catalogue import catalogue as open_catalogue
from sar_data.sources.scenes.listing import Listing, beside, scenes_without_product


@once(**OVER_WEB)
def look_up(dataset: str, source: Path, out: Path, catalogue: str, url: str | None, crew: Crew) -> Listing:
    """Scan, look the scenes up and write the list; a second attempt looks up the missing ones."""
    with crew.open_local() as runner:
        return find_scenes(
            catalog.pipeline(dataset),
            source=source,
            out=out,
            catalogue=open_catalogue(catalogue, url, authorise=Credentials.of(os.environ)),
            runner=runner,
            progress=progress(),
        )


@flow(
    name="scenes",
    description="Find the satellite products a dataset was cut from.",
    flow_run_name=run_name,
    persist_result=False,
)
def scenes(
    dataset: Dataset,
    source: Absolute,
    out: Absolute,
    catalogue: Name = "cdse",
    url: str | None = None,
    workers: Positive | None = None,
) -> dict[str, Any]:
    """Look up the distinct scenes of a dataset; return the paths of the two lists and the scenes without a product.

    Args:
        dataset: Its name, as `sar-data datasets` lists it.
        source: Folder of the raw files, absolute.
        out: The CSV to write, absolute; a JSON is written beside it.
        catalogue: cdse, asf, stac or dhus.
        url: Another address of such a catalogue; none for the public one.
        workers: Worker processes for the scan; none for one a core.
    """
    explain()
    check_absolute(source=source, out=out)
    listing = look_up(dataset, source, out, catalogue, url, Crew(workers=workers))
    missing = {match.scene: str(match.reason) for match in scenes_without_product(listing)}
    for scene, reason in missing.items():
        get_run_logger().warning("%s: %s", scene, reason)
    return {"path": str(out), "details": str(beside(out)), "scenes": len(listing.scenes), "missing": missing}


def check(parameters: Mapping[str, Any]) -> None:
    """Raise UsageError for parameters that `scenes` would refuse before it opens a file."""
    check_absolute(source=parameters["source"], out=parameters["out"])
    catalog.pipeline(parameters["dataset"])
    open_catalogue(parameters["catalogue"], parameters["url"])
    crew_of(parameters)


CHECKS = {"scenes": check}
