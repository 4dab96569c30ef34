"""Footprints are compared across zones and frames, as rasterio projects them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from rasterio.warp import transform

from sar_data.record import Record, window_of
from sar_data.split.ground import frames
from sar_data.split.ground.cells import cell_of, cells, with_cells
from sar_data.split.ground.footprints import Footprints, find_identical, find_touching
from sar_data.split.ground.leakage import Leakage, footprint_leakage, touching_share
from tests.split import Footprint, record

BORDER = 12.0  # degrees east, between the zones 32 and 33


def one(key: str, footprint: Footprint, crs: str | None = "EPSG:32633") -> Record:
    return record(key, footprint=footprint, crs=crs)


def around(longitude: float, latitude: float, crs: str, half: float = 600.0) -> Footprint:
    """Return a square of 2 * `half` around a place, in the units of a frame."""
    ((x, y),) = frames.from_degrees(crs, np.array([[longitude, latitude]])).tolist()
    return (x - half, y - half, x + half, y + half)


@pytest.mark.parametrize(
    ("crs", "geographic", "meridian", "south"),
    [
        ("EPSG:32601", "EPSG:4326", -177, -80),
        ("EPSG:32633", "EPSG:4326", 15, -80),
        ("EPSG:32760", "EPSG:4326", 177, -80),
        ("EPSG:25832", "EPSG:4258", 9, 0),
        ("EPSG:26915", "EPSG:4269", -93, 0),
        ("EPSG:3857", "EPSG:4326", 0, -80),
    ],
)
def test_a_frame_is_projected_as_rasterio_does_to_a_millimetre(
    crs: str, geographic: str, meridian: float, south: float
) -> None:
    rng = np.random.default_rng(1)
    degrees = np.column_stack([meridian + rng.uniform(-9, 9, 500), rng.uniform(south, 84, 500)])
    degrees[:, 0] = (degrees[:, 0] + 180) % 360 - 180
    expected = np.column_stack(transform(geographic, crs, *degrees.T.tolist()))
    found = frames.from_degrees(crs, degrees)
    assert np.abs(found - expected).max() < 1e-3
    assert np.abs(frames.to_degrees(crs, found) - degrees).max() < 1e-9


@pytest.mark.parametrize(
    "frame", ["EPSG:2154", "pixels of HRSID P0001", "EPSG:32600", "EPSG:32661", "EPSG:26929", "EPSG:25884"]
)
def test_other_frames_have_no_known_position_on_the_earth(frame: str) -> None:
    assert not frames.is_on_earth(frame)
    with pytest.raises(ValueError, match=f"found {frame}"):
        frames.to_degrees(frame, np.zeros((1, 2)))


def test_neighbours_in_two_zones_are_neighbours() -> None:
    west, east = around(BORDER, 47.0, "EPSG:32632"), around(BORDER, 47.0, "EPSG:32633")
    records = [one("a", west, "EPSG:32632"), one("b", east, "EPSG:32633")]
    assert touching_share(records, ["train", "test"]) == 1.0
    assert touching_share(records, ["test", "train"]) == 1.0
    away = around(BORDER + 0.03, 47.0, "EPSG:32633")  # 2.3 km further east
    assert touching_share([records[0], one("c", away)], ["train", "test"]) == 0.0
    ground = Footprints.of([records[0], one("c", away)])
    far = find_touching(ground.take([0]), ground.take([1]), {"EPSG:32632": (2400, 2400), "EPSG:32633": (2400, 2400)})
    assert far.all()


def test_degrees_and_metres_compare_also_across_the_date_line() -> None:
    metres = one("a", around(12.3, 47.0, "EPSG:32633"))
    degrees = one("b", around(12.3, 47.0, "EPSG:4326", half=0.002), "EPSG:4326")
    mercator = one("c", around(12.3, 47.0, "EPSG:3857"), "EPSG:3857")
    last = one("d", around(180 - 1e-6, 10.0, "EPSG:32660"), "EPSG:32660")
    first = one("e", around(-180 + 1e-6, 10.0, "EPSG:32601"), "EPSG:32601")
    for pair in ((metres, degrees), (degrees, mercator), (metres, mercator), (last, first)):
        assert touching_share(pair, ["train", "test"]) == touching_share(pair, ["test", "train"]) == 1.0
    assert touching_share([metres, last], ["train", "test"]) == 0.0


@pytest.mark.parametrize("latitude", [-45.0, 0.5, 47.0, 70.0])
def test_touching_across_zones_agrees_with_a_lattice_of_points(latitude: float) -> None:
    rng = np.random.default_rng(3)
    zones = ("EPSG:32732", "EPSG:32733") if latitude < 0 else ("EPSG:32632", "EPSG:32633")
    sides = []
    for i, zone in enumerate(zones):
        places = np.column_stack([BORDER + rng.normal(0, 0.05, 60), latitude + rng.normal(0, 0.03, 60)])
        sides.append([one(f"{i}{j}", around(*place, zone), zone) for j, place in enumerate(places.tolist())])
    found = find_touching(Footprints.of(sides[0]), Footprints.of(sides[1]))
    expected = overlap(*sides) | overlap(*sides[::-1]).T
    assert found.tolist() == expected.any(axis=1).tolist()
    assert 10 < found.sum() < 60


def overlap(first: list[Record], second: list[Record]) -> npt.NDArray[np.bool_]:
    """Say for [first, second] whether one of 61 x 61 points of the one's footprint lies in the other's."""
    points = np.stack(np.meshgrid(*[np.linspace(0, 1, 61)] * 2), axis=-1).reshape(-1, 2)
    others = np.array([r.footprint for r in second])
    found = []
    for r in first:
        west, south, east, north = r.footprint or (0, 0, 0, 0)
        own = points * [east - west, north - south] + [west, south]
        x, y = np.array(transform(r.crs, second[0].crs, *own.T.tolist()))[:, :, None]
        inside = (x >= others[:, 0]) & (y >= others[:, 1]) & (x <= others[:, 2]) & (y <= others[:, 3])
        found.append(inside.any(axis=0))
    return np.array(found)


def touched(records: list[Record], split: list[str]) -> Leakage:
    sides = ([one for one, name in zip(records, split, strict=True) if name == side] for side in ("test", "train"))
    return footprint_leakage(*map(Footprints.of, sides))["touching"]


def test_identical_means_the_same_footprint_in_the_same_frame() -> None:
    base = one("a", (0, 0, 1200, 1200))
    others = [
        one("b", (0, 0, 1200, 1200)),
        one("c", (1e-4, 0, 1200, 1200)),
        one("d", (10, 0, 1210, 1200)),
        one("e", (0, 0, 1200, 1200), "EPSG:32632"),
        one("f", (0, 0, 600, 1200)),
    ]
    assert find_identical(Footprints.of(others), Footprints.of([base])).tolist() == [True, True, False, False, False]


def test_windows_compare_within_a_scene_only_and_the_reason_says_so() -> None:
    def tile(scene: str, column: int) -> Record:
        place = window_of(scene, row=0, column=column, height=800, width=800)
        return Record(key=f"{scene}{column}", files=(), **place)

    records = [tile("A", 0), tile("A", 600), tile("A", 1600), tile("B", 0)]
    found = touched(records, ["train", "test", "test", "test"])
    assert (found.value, found.of) == (pytest.approx(1 / 3), 3)
    assert found.reason == "footprints in 2 frames are compared within each alone, such as pixels of A"


def test_a_few_samples_without_a_footprint_are_reported_and_not_counted() -> None:
    records = [record(f"{i}", footprint=(i, 0, i + 1, 1)) for i in range(40)]
    split = ["train", "test"] * 20
    blind = [*records, record("x"), record("y")]
    found = touched(blind, [*split, "test", "train"])
    assert (found.value, found.of) == (1.0, 20)
    assert found.reason == "2 samples have no footprint"
    assert touched([*blind, record("z")], [*split, "test", "train", "test"]).value is None


@pytest.mark.parametrize(
    ("longitude", "latitude", "name"),
    [
        (0.0, 0.0, "0U_0R"),
        (-0.01, -0.01, "1D_1L"),
        (13.4, 52.5, "584U_90R"),  # Berlin
        (-179.99, 0.01, "0U_2004L"),
        (179.99, 84.9, "945U_178R"),
    ],
)
def test_a_cell_is_that_of_major_tom(longitude: float, latitude: float, name: str) -> None:
    assert cells(np.array([[longitude, latitude]])) == [name]
    # As its authors count: rows of equal height from the equator, columns of at most 10 km at the lower edge.
    lats = np.sort(np.mod(np.linspace(-90, 90, 2004 + 1)[:-1], 180) - 90)
    row = int(np.searchsorted(lats, latitude, side="right")) - 1
    count = int(np.ceil(2 * np.pi * 6378.137 * np.cos(np.radians(lats[row])) / 10))
    lons = np.sort(np.mod(np.linspace(-180, 180, count + 1)[:-1], 360) - 180)
    column = int(np.searchsorted(lons, longitude, side="right")) - 1
    up, right = row - int(np.searchsorted(lats, 0)), column - int(np.searchsorted(lons, 0))
    assert name == f"{abs(up)}{'U' if up >= 0 else 'D'}_{abs(right)}{'R' if right >= 0 else 'L'}"


def test_records_without_a_place_get_the_cell_of_their_coordinates() -> None:
    footprint = around(13.4, 52.5, "EPSG:32633")
    window = window_of("A", row=0, column=0, height=8, width=8)
    records = [
        one("a", footprint),
        Record(key="b", files=(), place="Berlin", crs="EPSG:32633", footprint=footprint),
        Record(key="c", files=(), **window),
        record("d"),
        one("e", footprint, "EPSG:2154"),
    ]
    assert [r.place for r in with_cells(records)] == ["584U_90R", "Berlin", None, None, None]
    assert cell_of("EPSG:32633", footprint, 1.0) == cells(np.array([[13.4, 52.5]]), 1.0)[0] != "584U_90R"
    assert cell_of("pixels of A", window["footprint"]) is None
