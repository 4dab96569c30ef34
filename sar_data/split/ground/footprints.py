"""Footprints of many records as columns, compared within a frame of reference and across frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from sar_data.record import Record
from sar_data.split.ground import frames
from sar_data.split.ground.neighbours import TOLERANCE, Boxes, Mask, Rows, boxes_of, find_near, search

Quads = npt.NDArray[np.float64]
"""Corners [box, corner, (x, y)], in order around the box."""
Distances = Mapping[str, npt.ArrayLike]
"""Distances (x, y) in the units of a frame, by the frame's name; a frame without any has (0, 0)."""


@dataclass(frozen=True, eq=False)
class Footprints:
    """The positions of samples: `boxes` [sample, (min x, min y, max x, max y)] in the frame `frames[code[sample]]`.

    A sample without a footprint has the code -1; it touches nothing, because its position is unknown.
    """

    boxes: Boxes
    code: npt.NDArray[np.int64]
    frames: tuple[str, ...]

    @classmethod
    def of(cls, records: Sequence[Record]) -> Footprints:
        """Return the footprints of records; raise SplitError where one is empty, reversed or not finite."""
        rows = [
            i for i, record in enumerate(records) if record.footprint is not None and record.footprint_frame is not None
        ]
        boxes = np.full((len(records), 4), np.nan)
        boxes[rows] = boxes_of([records[i] for i in rows])
        return cls.from_columns(boxes, [record.footprint_frame for record in records])

    @classmethod
    def from_columns(cls, boxes: Boxes, names: Sequence[str | None]) -> Footprints:
        """Return footprints [sample, 4], NaN where there is none, with the frame of each."""
        number: dict[str, int] = {}
        missing = np.isnan(boxes[:, 0]).tolist()
        code = [
            -1 if name is None or absent else number.setdefault(name, len(number))
            for name, absent in zip(names, missing, strict=True)
        ]
        return cls(boxes, np.array(code, np.int64), tuple(number))

    def __len__(self) -> int:
        return len(self.code)

    @property
    def known(self) -> Mask:
        """Say for each sample whether it has a footprint."""
        return np.asarray(self.code >= 0)

    def take(self, rows: Rows | Mask) -> Footprints:
        """Return the footprints of some samples, by their rows or a mask."""
        return Footprints(self.boxes[rows], self.code[rows], self.frames)

    @cached_property
    def members(self) -> dict[str, Rows]:
        """The rows of each frame in use."""
        order = np.argsort(self.code, kind="stable")
        borders = np.searchsorted(self.code[order], np.arange(len(self.frames) + 1))
        parts = {name: order[a:b] for name, a, b in zip(self.frames, borders[:-1], borders[1:], strict=True)}
        return {name: rows for name, rows in parts.items() if len(rows)}

    @cached_property
    def degrees(self) -> npt.NDArray[np.float64]:
        """Longitude and latitude of each centre [sample, 2]; NaN where the position on the earth is unknown."""
        degrees = np.full((len(self), 2), np.nan)
        for name, rows in self.members.items():
            if frames.is_on_earth(name):
                degrees[rows] = frames.to_degrees(name, (self.boxes[rows, :2] + self.boxes[rows, 2:]) / 2)
        return degrees

    @cached_property
    def boxes_in_degrees(self) -> Boxes:
        """West, south, east and north [sample, 4]; NaN where the position on the earth is unknown."""
        boxes = np.full((len(self), 4), np.nan)
        for name, rows in self.members.items():
            if frames.is_on_earth(name):
                corners = [frames.to_degrees(name, self.boxes[rows][:, pair]) for pair in ([0, 1], [2, 3])]
                boxes[rows] = np.concatenate(corners, axis=1)
        return boxes

    def quads(self, frame: str, rows: Rows, home: str) -> Quads:
        """Return the corners of samples of a frame in another frame; their edges are assumed straight."""
        west, south, east, north = self.boxes[rows].T
        corners = np.stack([west, south, east, south, east, north, west, north], axis=1).reshape(-1, 2)
        moved = corners if frame == home else frames.from_degrees(home, frames.to_degrees(frame, corners))
        return moved.reshape(-1, 4, 2)


def find_touching(queries: Footprints, targets: Footprints, gaps: Distances | None = None) -> Mask:
    """Say for each query whether any target lies within the distance of its frame; by default whether any touches it.

    Touching means to intersect or to share an edge or a corner, within 1e-6 of the extent. Footprints in different
    frames are compared in one of the two, where both positions on the earth are known, so that neighbours in two zones
    of UTM count. Footprints in the pixels of different scenes are not compared.
    """
    touches = np.zeros(len(queries), np.bool_)
    distances = {name: np.asarray(gap, np.float64) for name, gap in (gaps or {}).items()}
    none = np.zeros(2)
    for frame, rows in queries.members.items():
        if (target_rows := targets.members.get(frame)) is not None:
            touches[rows] |= find_near(queries.boxes[rows], targets.boxes[target_rows], distances.get(frame, none))
    for (frame, rows), (other, target_rows) in _pairs(queries, targets, distances):
        home = min(frame, other, key=_preference)
        sides = queries.quads(frame, rows, home), targets.quads(other, target_rows, home)
        touches[rows] |= _near_quads(*sides, distances.get(home, none))
    return touches


def find_identical(queries: Footprints, targets: Footprints) -> Mask:
    """Say for each query whether any target has the same footprint, within 1e-6 of the extent, in the same frame."""
    matches = np.zeros(len(queries), np.bool_)
    for frame, rows in queries.members.items():
        if (target_rows := targets.members.get(frame)) is not None:
            matches[rows] = _search_identical(queries.boxes[rows], targets.boxes[target_rows])
    return matches


def _search_identical(queries: Boxes, targets: Boxes) -> Mask:
    def test(q: Rows, t: Rows) -> Mask:
        extents = np.tile(queries[q, 2:] - queries[q, :2], 2)
        return np.asarray((np.abs(queries[q] - targets[t]) <= TOLERANCE * extents).all(axis=1))

    return search(queries, targets, np.zeros(2), test, same=True)


def _preference(frame: str) -> tuple[bool, bool, str]:
    """Order frames, so that two are always compared in the same one: metres before degrees."""
    return frame in frames.DEGREES, frame == "EPSG:3857", frame


def _pairs(
    queries: Footprints, targets: Footprints, distances: Mapping[str, npt.NDArray[np.float64]]
) -> Iterator[tuple[tuple[str, Rows], tuple[str, Rows]]]:
    """Yield the samples of two frames on the earth that may be neighbours, by their positions on the sphere."""
    sides = []
    for footprints in (queries, targets):
        longitude, latitude = np.radians(footprints.degrees).T
        flat = np.cos(latitude)
        centres = np.stack([flat * np.cos(longitude), flat * np.sin(longitude), np.sin(latitude)], axis=1)
        on_earth = ((name, rows) for name, rows in footprints.members.items() if frames.is_on_earth(name))
        sides.append(
            [(name, rows, centres[rows], _reach(footprints, name, rows, distances)) for name, rows in on_earth]
        )
    for name, rows, centres, reach in sides[0]:
        for other, other_rows, other_centres, other_reach in sides[1]:
            margin = reach + other_reach
            if other == name:
                continue
            near, other_near = _beside(centres, other_centres, margin), _beside(other_centres, centres, margin)
            if near.any() and other_near.any():
                yield (name, rows[near]), (other, other_rows[other_near])


def _reach(footprints: Footprints, name: str, rows: Rows, distances: Mapping[str, npt.NDArray[np.float64]]) -> float:
    """Return an upper bound of the distance, on the unit sphere, to neighbours of the largest footprint of a frame."""
    widest = float((footprints.boxes[rows, 2:] - footprints.boxes[rows, :2]).max()) + float(
        np.max(distances.get(name, 0))
    )
    return 3 * (np.radians(widest) if name in frames.DEGREES else widest / frames.EQUATOR)


def _beside(points: npt.NDArray[np.float64], others: npt.NDArray[np.float64], margin: float) -> Mask:
    low, high = others.min(axis=0) - margin, others.max(axis=0) + margin
    return np.asarray(((points >= low) & (points <= high)).all(axis=1))


def _near_quads(queries: Quads, targets: Quads, gap: npt.NDArray[np.float64]) -> Mask:
    query_boxes, target_boxes = (
        np.concatenate([side.min(axis=1), side.max(axis=1)], axis=1) for side in (queries, targets)
    )
    return search(query_boxes, target_boxes, gap, lambda q, t: _are_near(queries[q], targets[t], gap))


def _are_near(first: Quads, second: Quads, gap: npt.NDArray[np.float64]) -> Mask:
    """Say for pairs of convex quadrilaterals whether no edge direction separates them by more than the gap."""
    edges = np.concatenate([np.roll(side, -1, axis=1) - side for side in (first, second)], axis=1)
    across = np.stack([-edges[..., 1], edges[..., 0]], axis=2) / np.linalg.norm(edges, axis=2)[..., None]
    first_extent, second_extent = (np.einsum("nkd,ncd->nkc", across, side) for side in (first, second))
    apart = np.maximum(
        first_extent.min(axis=2) - second_extent.max(axis=2), second_extent.min(axis=2) - first_extent.max(axis=2)
    )
    extents = (np.ptp(first_extent, axis=2) + np.ptp(second_extent, axis=2)) / 2
    return np.asarray((apart <= np.abs(across) @ gap + TOLERANCE * extents).all(axis=1))
