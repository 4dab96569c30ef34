from __future__ import annotations

import numpy as np
import pytest

from sar_data.labels.mgrs import tile_corner
from sar_data.split.ground.frames import to_degrees


@pytest.mark.parametrize(
    ("tile", "corner"),
    [
        # Corners of real tiles, from the coordinates of BigEarthNet patches in them.
        ("33UUP", ("EPSG:32633", 300000, 5400000)),
        ("29UPU", ("EPSG:32629", 600000, 5900040)),
        ("29SND", ("EPSG:32629", 499980, 4400040)),
        ("35VPK", ("EPSG:32635", 600000, 7000020)),
        ("T35VPK", ("EPSG:32635", 600000, 7000020)),
        # And from products of Sentinel-2.
        ("31TCJ", ("EPSG:32631", 300000, 4900020)),
        ("56HLH", ("EPSG:32756", 300000, 6300040)),
        ("21HUB", ("EPSG:32721", 300000, 6200020)),
    ],
)
def test_a_tile_has_its_corner_by_its_name(tile: str, corner: tuple[str, int, int]) -> None:
    assert tile_corner(tile) == corner


@pytest.mark.parametrize("zone", [1, 2, 3, 31, 60])
@pytest.mark.parametrize("band", list("CDEFGHJKLMNPQRSTUVWX"))
def test_a_row_of_each_band_lies_in_it(zone: int, band: str) -> None:
    columns = {1: "D", 2: "M", 0: "V"}[zone % 3]  # in the middle of the zone
    low, high = -80 + 8 * "CDEFGHJKLMNPQRSTUVWX".index(band), -72 + 8 * "CDEFGHJKLMNPQRSTUVWX".index(band)
    found = []
    for row in "ABCDEFGHJKLMNPQRSTUV":
        crs, x, y = tile_corner(f"{zone}{band}{columns}{row}")
        ((longitude, latitude),) = to_degrees(crs, np.array([[x + 50_000, y - 50_000]])).tolist()
        assert abs(longitude - (6 * zone - 183)) < 4 or abs(latitude) > 75
        found.append(latitude)
    inside = [latitude for latitude in found if low <= latitude <= high + 4 * (band == "X")]
    assert len(inside) >= 8  # of 100 km each in 8 degrees; the other names of rows occur in no tile of the band


@pytest.mark.parametrize("name", ["", "33UU", "61UUP", "33IUP", "33UAP", "33UUW", "UUP33"])
def test_an_invalid_tile_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected the name of a tile such as 33UUP, found"):
        tile_corner(name)
