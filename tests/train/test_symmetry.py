"""Flips and turns follow what a build declares, and targets follow the pixels."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sar_data import catalog
from sar_data.errors import UsageError
from sar_data.sealed.manifest import Manifest

torch = pytest.importorskip("torch", reason="torch is in the extra train: pip install 'sar-data[train]'")

from torch import Tensor  # noqa: E402

from sar_data.train.augment import objects  # noqa: E402
from sar_data.train.augment.draws import draws  # noqa: E402
from sar_data.train.augment.resample import Windows  # noqa: E402
from sar_data.train.augment.symmetry import flipped_axes, orient, orientation  # noqa: E402
from sar_data.train.rotated.boxes import corners as ring  # noqa: E402

BOTH = ["azimuth-flip", "range-flip"]
# Transpose, flip y, flip x: all eight ways to lay a square down.
WAYS = [(bool(n & 4), bool(n & 2), bool(n & 1)) for n in range(8)]


@pytest.fixture(scope="module")
def declared(classes: str) -> Any:
    manifest = Manifest.load(Path(classes))

    def made(range_axis: str, symmetries: list[str]) -> Manifest:
        return manifest.model_copy(update={"range_axis": range_axis, "symmetries": symmetries})

    return made


@pytest.mark.parametrize(
    ("range_axis", "symmetries", "axes"),
    [
        ("x", ["azimuth-flip"], {"y"}),
        ("y", ["azimuth-flip"], {"x"}),
        ("x", BOTH, {"x", "y"}),
        ("mixed", BOTH, {"x", "y"}),
        ("unknown", BOTH, {"x", "y"}),
        ("x", ["range-flip"], {"x"}),
    ],
)
def test_flips_are_those_that_the_build_declares(
    declared: Any, range_axis: str, symmetries: list[str], axes: set[str]
) -> None:
    assert flipped_axes(["flips"], declared(range_axis, symmetries)) == (axes, [])


@pytest.mark.parametrize(("range_axis", "symmetries"), [("unknown", ["azimuth-flip"]), ("mixed", []), ("x", [])])
def test_flips_of_a_build_that_declares_none_are_none_and_said(
    declared: Any, range_axis: str, symmetries: list[str]
) -> None:
    axes, told = flipped_axes(["flips"], declared(range_axis, symmetries))
    assert not axes
    assert len(told) == 1
    assert f"invented declares {', '.join(symmetries) or 'no symmetry'}, range axis {range_axis}" in told[0]


@pytest.mark.parametrize(
    ("names", "axes"), [(["range-flip"], {"y"}), (["quarter-turn"], set()), (["vflip"], {"y"}), (["hflip"], {"x"})]
)
def test_what_is_not_declared_is_done_when_asked_and_said(declared: Any, names: list[str], axes: set[str]) -> None:
    found, told = flipped_axes(names, declared("y", ["azimuth-flip"]))
    assert found == axes
    published = names[0] in ("hflip", "vflip")
    wrong = names != ["hflip"]  # which is this build's azimuth flip
    assert len(told) == published + wrong
    assert any("as in published recipes" in note for note in told) == published
    assert any("declares azimuth-flip, range axis y: this makes images" in note for note in told) == wrong


@pytest.mark.parametrize(
    ("dataset", "undeclared"), [("mstar", "vflip"), ("spacenet6", "hflip"), ("spacenet6", "vflip")]
)
def test_sets_of_one_look_direction_warn_of_turns_and_flips_along_range(
    declared: Any, dataset: str, undeclared: str
) -> None:
    spec = catalog.pipeline(dataset).spec
    manifest = declared(spec.range_axis, list(spec.symmetries)).model_copy(update={"dataset": dataset})
    for name in ("quarter-turn", undeclared):
        assert any(f"{name}: {dataset} declares" in note for note in flipped_axes([name], manifest)[1])
    assert flipped_axes(["flips"], manifest)[0] == ({"x"} if dataset == "mstar" else set())


@pytest.mark.parametrize("range_axis", ["unknown", "mixed"])
def test_a_flip_along_an_axis_that_is_not_known_is_refused(declared: Any, range_axis: str) -> None:
    with pytest.raises(UsageError, match=f"azimuth-flip: expected .* found '{range_axis}'.*Name hflip or vflip"):
        flipped_axes(["azimuth-flip"], declared(range_axis, ["azimuth-flip"]))


def test_every_way_is_as_likely_as_any_other_and_none_is_taken_that_was_not_asked_for() -> None:
    chance = draws(0, 0, 0, 8000)[:, :3]
    for axes, turn, ways in (
        (set(), False, {(False, False, False)}),
        ({"y"}, False, {(False, False, False), (False, True, False)}),
        ({"x", "y"}, False, set(WAYS[:4])),
        ({"x", "y"}, True, set(WAYS)),
        (set(), True, {(False, False, False), (True, True, False), (False, True, True), (True, False, True)}),
    ):
        found = Counter(tuple(way) for way in orientation(chance, axes, turn, (5, 5)).tolist())
        assert set(found) == ways
        expected = 8000 / len(ways)
        assert all(abs(count - expected) < 5 * math.sqrt(expected) for count in found.values())


def test_a_quarter_turn_is_torch_s_rot90() -> None:
    chance = torch.tensor([[0.9, 0.9, quarter / 4 + 0.1] for quarter in range(4)])
    images = torch.arange(2 * 4 * 4.0).view(1, 2, 4, 4).repeat(4, 1, 1, 1)
    found = orient(images, orientation(chance, set(), True, (4, 4)))
    for quarter in range(4):
        assert torch.equal(found[quarter], torch.rot90(images[0], quarter, (1, 2)))


def test_a_quarter_turn_of_an_image_that_is_not_square_is_refused() -> None:
    with pytest.raises(UsageError, match="quarter-turn: expected square images, found 4 × 6"):
        orientation(torch.zeros(1, 3), set(), True, (4, 6))


def corners(rotated: Tensor) -> Tensor:
    """Return the corners [object, 4, (x, y)] of rotated boxes."""
    x, y, width, height, degrees = rotated.double().unbind(1)
    angle = torch.deg2rad(degrees)
    along = torch.stack([angle.cos(), angle.sin()], 1) * width[:, None] / 2
    across = torch.stack([-angle.sin(), angle.cos()], 1) * height[:, None] / 2
    centre = torch.stack([x, y], 1)
    return torch.stack([centre + a * along + b * across for a in (-1, 1) for b in (-1, 1)], 1)


def as_set(points: Tensor) -> set[tuple[float, float]]:
    return {(round(x, 3), round(y, 3)) for x, y in points.view(-1, 2).tolist()}


def laid(points: Tensor, way: tuple[bool, bool, bool], side: int) -> Tensor:
    """Return points where they come to lie."""
    points = points.flip(-1) if way[0] else points.clone()
    if way[1]:
        points[..., 1] = side - points[..., 1]
    if way[2]:
        points[..., 0] = side - points[..., 0]
    return points


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_boxes_rotated_boxes_and_outlines_go_where_their_pixels_go(way: tuple[bool, bool, bool]) -> None:
    side = 12
    boxes = torch.tensor([[1.0, 2, 5, 9], [0, 0, 12, 3], [7, 8, 8, 11]])
    found = {
        "boxes": boxes,
        "labels": torch.tensor([0, 1, 2]),
        "rotated": torch.tensor([[6.0, 5, 4, 2, 30], [3, 3, 2, 2, -75], [torch.nan] * 5]),
        "polygons": [[torch.tensor([[1.0, 2], [5, 2], [3, 9]])], [], [torch.tensor([[7.0, 8], [8, 11], [7, 11]])]],
    }
    masks = torch.zeros(3, side, side)
    for mask, (left, top, right, bottom) in zip(masks, boxes.int().tolist(), strict=True):
        mask[top:bottom, left:right] = 1
    masks = orient(masks, torch.tensor([way] * 3))
    moved = objects.orient(found, way, (side, side))
    for mask, (left, top, right, bottom) in zip(masks, moved["boxes"].int().tolist(), strict=True):
        assert mask[top:bottom, left:right].all()
        assert mask.sum() == (bottom - top) * (right - left)
    for before, after in zip(found["rotated"][:2], moved["rotated"][:2], strict=True):
        assert as_set(corners(after[None])) == as_set(laid(corners(before[None]), way, side))
    assert moved["rotated"][2].isnan().all()
    for before, after in zip(found["polygons"], moved["polygons"], strict=True):
        assert [ring.tolist() for ring in after] == [laid(ring, way, side).tolist() for ring in before]
    assert torch.equal(moved["labels"], found["labels"])
    assert torch.equal(found["boxes"], boxes)


def test_flips_of_an_image_that_is_not_square_use_the_right_side() -> None:
    found = {"boxes": torch.tensor([[1.0, 0, 3, 2]]), "labels": torch.tensor([0]), "rotated": torch.full((1, 5), 0.0)}
    assert objects.orient(found, (False, True, True), (5, 20))["boxes"].tolist() == [[17, 3, 19, 5]]


def test_an_image_without_objects_is_turned_and_cut_like_any_other() -> None:
    none = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long), "rotated": torch.zeros(0, 5)}
    start, step = torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    for found in (objects.orient(none, (True, True, False), (4, 4)), objects.cut_window(none, start, step, (2, 2))):
        assert found["boxes"].shape == (0, 4)
        assert found["rotated"].shape == (0, 5)


def test_a_window_keeps_the_objects_whose_centres_it_has_clipped_to_it() -> None:
    found = {
        "boxes": torch.tensor([[2.0, 2, 6, 6], [0, 0, 4, 4], [5, 5, 20, 11], [30, 30, 32, 32]]),
        "labels": torch.tensor([3, 1, 2, 0]),
        "rotated": torch.tensor([[4.0, 4, 2, 1, 30]] * 4),
        "polygons": [[torch.tensor([[2.0, 2], [6, 6], [2, 6]])], [], [], []],
    }
    # Columns 4 … 16, rows 3 … 11 of the source, at half the size.
    start, step = torch.tensor([3.0, 4]).double(), torch.tensor([2.0, 2]).double()
    moved = objects.cut_window(found, start, step, (4, 6))
    assert moved["boxes"].tolist() == [[0, 0, 1, 1.5], [0.5, 1, 6, 4]]
    assert moved["labels"].tolist() == [3, 2]
    assert moved["rotated"][0].tolist() == [0, 0.5, 1, 0.5, 30]
    assert [[ring.tolist() for ring in rings] for rings in moved["polygons"]] == [
        [[[-1, -0.5], [1, 1.5], [-1, 1.5]]],
        [],
    ]
    stretched = objects.cut_window(found, start, torch.tensor([2.0, 4]).double(), (4, 3))
    assert stretched["boxes"].tolist() == [[0, 0, 0.5, 1.5], [0.25, 1, 3, 4]]
    drawn = (corners(found["rotated"][:1])[0] - torch.tensor([4.0, 3])) / torch.tensor([4.0, 2])
    framed = ring(stretched["rotated"][:1])[0].double()
    edges = framed.roll(-1, dims=0) - framed
    for point in drawn:  # which lie in the smallest box around them
        apart = point - framed
        assert (edges[:, 0] * apart[:, 1] - edges[:, 1] * apart[:, 0] > -1e-6).all()
    assert float(stretched["rotated"][0, 2:4].prod()) < 1.5 * 2 / 8  # of which a parallelogram has 2 / 8


def test_boxes_of_a_window_frame_the_pixels_that_were_framed() -> None:
    """Painted boxes, cut and enlarged by whole factors with the masks' own windows."""
    low, size = torch.tensor([[2.0, 4]]).double(), (20, 30)
    windows = Windows(low, torch.tensor([[0.4, 0.2]]).double(), low, low + torch.tensor([8, 6]), size)
    boxes = torch.tensor([[5.0, 3, 8, 9], [6, 1, 12, 5]])
    masks = torch.zeros(2, 16, 16)
    for mask, (left, top, right, bottom) in zip(masks, boxes.int().tolist(), strict=True):
        mask[top:bottom, left:right] = 1
    grid = windows.grid(masks.device)
    seen = torch.cat([grid.masks(mask[None]) for mask in masks])
    found = {"boxes": boxes, "labels": torch.tensor([0, 0]), "rotated": torch.full((2, 5), torch.nan)}
    moved = objects.cut_window(found, windows.start[0], windows.step[0], size)["boxes"]
    for mask, box in zip(seen, moved.tolist(), strict=True):
        rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
        frame = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert max(abs(float(a) - b) for a, b in zip(frame, box, strict=True)) <= 0.5
