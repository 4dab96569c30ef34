"""Builds that are exported, made once."""

from __future__ import annotations

import pytest

from sar_data import catalog
from sar_data.builder.itinerary import build, convert
from sar_data.builder.request import BuildRequest, ConvertRequest
from sar_data.sealed.opened import Build


@pytest.fixture(scope="package")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Build]:
    """Ships with rotated boxes and polygons, ships with polygons, and masks with buildings on the ground."""
    out = tmp_path_factory.mktemp("export")
    made = {}
    for name, count in {"ssdd": 12, "hrsid": 9, "spacenet6": 2}.items():
        catalog.synthesise(name)(out / name, count=count, seed=0)
        request = BuildRequest(dataset=catalog.pipeline(name), source=out / name, out=out, format="webdataset")
        made[name] = build(request)
    return made


@pytest.fixture(scope="package")
def patches(sealed: dict[str, Build], tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The sixty patches of two bands in dB, with 128 pixels a side."""
    out = tmp_path_factory.mktemp("patches")
    return convert(ConvertRequest(parent=sealed["webdataset"].path, resize=128, format="webdataset", out=out))
