"""Every system call that a build of 20 records writes with fails once: it is explained, and costs nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.sealed.opened import Build
from sar_data.spec import Pipeline
from tests.kill.evidence import Undisturbed
from tests.kill.faults import fails_once, memory, sites
from tests.mini.builds import options

pytestmark = pytest.mark.kill


@pytest.mark.parametrize("container", ["lmdb", "webdataset", "zarr"])
def test_each_call_that_fails_once_is_explained_and_costs_nothing(
    bigearthnet: Pipeline, bigearthnet_source: Path, container: str
) -> None:
    chosen = options(container, limit=20)
    with memory() as folder:

        def make(out: Path) -> Build:
            return build(BuildRequest(dataset=bigearthnet, source=bigearthnet_source, out=out, **chosen))

        undisturbed = Undisturbed.of(make(folder / "undisturbed"))
        turns = range(len(sites(make, folder / "counted")))
        explained = sum(fails_once(make, undisturbed, folder / f"out-{turn}", turn) for turn in turns)
    print(f"{container}: {len(turns)} calls failed once, {explained} ended the build, all resumed equal")
    assert explained > len(turns) // 2
