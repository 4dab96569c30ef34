"""Nomenclatures and product names mean what their publishers say."""

from __future__ import annotations

import pytest

from sar_data.labels import corine, sentinel1


def test_the_43_classes_fill_all_19_and_eleven_are_dropped() -> None:
    assert len(corine.CLASSES_43) == len(corine.TO_19) == 43
    assert sum(index is None for index in corine.TO_19) == 11
    assert {index for index in corine.TO_19 if index is not None} == set(range(19))
    shared = {name: i for i, name in enumerate(corine.CLASSES_19) if name in corine.CLASSES_43}
    assert all(corine.TO_19[corine.CLASSES_43.index(name)] == i for name, i in shared.items())


@pytest.mark.parametrize(
    ("product", "orbit"),
    [
        ("S1A_IW_GRDH_1SDV_20170613T165043_20170613T165108_017018_01C579_7EEC", 146),
        ("S1B_IW_GRDH_1SDV_20170619T165000_20170619T165025_006122_00AC00_0000", 146),
        ("S1A_IW_GRDH_1SDV_20140410T000000_20140410T000025_000073_000000_0000", 1),
        ("S1C_IW_GRDH_1SDV_20250401T000000_20250401T000025_001681_000000_0000", 110),
        ("S1C_IW_GRDH_1SDV_20260608T000000_20260608T000025_008018_000000_0000", 147),  # the last before it was moved
        ("S1C_IW_GRDH_1SDV_20260625T000000_20260625T000025_008019_000000_0000", 46),
        ("S1D_IW_GRDH_1SDV_20260313T000000_20260313T000025_002389_000000_0000", 73),
    ],
)
def test_the_relative_orbit_follows_from_the_absolute_one(product: str, orbit: int) -> None:
    assert sentinel1.relative_orbit(product) == orbit
