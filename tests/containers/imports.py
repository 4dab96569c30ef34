"""Import a container, as a build or as records alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from sar_data.builder.fit import fit_source
from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.record import Record
from sar_data.sealed.opened import Build
from sar_data.sources.archives.open import open_tree
from sar_data.spec import Pipeline


def imported(name: str, source: Path, out: Path, **chosen: Any) -> Build:
    """Return the build of a container."""
    return build(BuildRequest(dataset=name, source=source, out=out, **chosen))


def scanned(pipeline: Pipeline, source: Path, **asked: tuple[str, ...]) -> list[Record]:
    """Return the records of a container, without a build."""
    found = fit_source(replace(pipeline, asked=asked), open_tree(source), source)
    return [
        record for unit in sorted(found.pipeline.units(found.tree)) for record in found.pipeline.scan(found.tree, unit)
    ]
