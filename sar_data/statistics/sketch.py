"""The common distribution of many images, estimated from the quantiles of each.

Between two quantiles, the values of an image are taken as a piece of a normal distribution on the axis of its unit. For
power that axis is dB, on which speckle is nearly normal. This assumption is approximate; under it, the sum over images
is exact up to one step of the common grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from sar_data.statistics.quantiles import FRACTIONS
from sar_data.statistics.units import HISTOGRAMS, axis, off_axis

Floats = npt.NDArray[np.float64]
LEVELS = np.array([0.0, *FRACTIONS, 1.0])
FURTHEST = 1e-4  # share of an image's pixels that its least and its largest value stand for
PIECES = 4  # pieces between two quantiles
CHUNK = 1 << 15  # images
STEPS = 4096  # steps of the grid, from the least value to the largest
BINS = 10  # bins of the population stability index: the tenths of the reference
LEAST = 1e-4  # share of a bin, so that an empty one does not make the index infinite


@dataclass(frozen=True, slots=True)
class Sketch:
    """A distribution: for each of the ascending `nodes` on the axis of `unit`, the share [node] of pixels up to it."""

    unit: str
    nodes: Floats
    shares: Floats

    def quantile(self, fraction: float) -> float:
        """Return the value, in the unit, that a fraction of the pixels does not exceed."""
        return off_axis(float(np.interp(fraction, self.shares, self.nodes)), self.unit)

    def below(self, value: float) -> float:
        """Return the share of the pixels that are at most a value in the unit."""
        return float(_share(self, axis(np.array([value]), self.unit).astype(np.float64))[0])


def sketch(counts: Floats, quantiles: Floats, unit: str) -> Sketch | None:
    """Return the distribution of images with `counts` [image] pixels; None if they have no pixel.

    `quantiles` [image, LEVELS] are the least value, the quantiles at FRACTIONS and the largest value, in the unit.
    """
    has_pixels = counts > 0
    positions = axis(quantiles[has_pixels], unit).astype(np.float64)
    knots = np.maximum(positions, HISTOGRAMS[unit][0])  # 0 has no value in dB
    if not len(knots):
        return None
    low, high = float(knots.min()), float(knots.max())
    width = max((high - low) / STEPS, 1e-9 * max(abs(low), 1.0))
    shares: Floats = counts[has_pixels] / counts.sum()
    bends: Floats = np.zeros(STEPS + 4)
    for start in range(0, len(knots), CHUNK):
        part = slice(start, start + CHUNK)
        bends += _bends((knots[part] - low) / width, shares[part], len(bends))
    below = np.concatenate([[0.0], np.cumsum(np.cumsum(bends))])[: STEPS + 1]
    below[-1] = 1.0
    return Sketch(
        unit,
        np.asarray(low + width * np.arange(STEPS + 1), np.float64),
        np.clip(np.maximum.accumulate(below), 0.0, 1.0),
    )


def merge_sketches(parts: Sequence[tuple[Sketch, float]]) -> Sketch:
    """Return the distribution of all pixels of sketches of one unit; each part is a sketch and its number of pixels."""
    nodes = np.unique(np.concatenate([part.nodes for part, _ in parts]))
    total = sum(count for _, count in parts)
    shares = sum((count / total * _share(part, nodes) for part, count in parts), np.zeros(len(nodes)))
    return Sketch(parts[0][0].unit, nodes, shares)


def _bends(knots: Floats, shares: Floats, length: int) -> Floats:
    """Return the change of slope of the sum of the images' distributions at each step; `knots` are in steps.

    Each piece is a ramp. Its slope begins at one place and ends at another; each such change is divided between the two
    nearest steps.
    """
    finer = knots @ FINER
    starts, ends = finer[:, :-1], np.maximum(finer[:, 1:], finer[:, :-1] + 1)
    slopes = shares[:, None] * MASSES / (ends - starts)
    bends = np.zeros(length)
    for places, sign in ((starts, 1.0), (ends, -1.0)):
        whole = np.minimum(places.astype(np.int64), length - 3)
        part = places - whole
        bends += np.bincount(whole.ravel(), (sign * slopes * (1 - part)).ravel(), length)
        bends += np.bincount(whole.ravel() + 1, (sign * slopes * part).ravel(), length)
    return bends


def _pieces() -> tuple[Floats, Floats]:
    """Return the weights [level, finer] that interpolate the quantiles at LEVELS, and the share of each piece."""
    normal = NormalDist()
    scores = np.array([normal.inv_cdf(min(max(level, FURTHEST), 1 - FURTHEST)) for level in LEVELS])
    steps = np.arange(PIECES * (len(LEVELS) - 1) + 1) / PIECES
    finer = np.interp(steps, np.arange(len(LEVELS)), scores)
    matrix = np.array([np.interp(finer, scores, row) for row in np.eye(len(LEVELS))])
    levels = np.array([normal.cdf(score) for score in finer])
    levels[[0, -1]] = 0.0, 1.0
    return matrix, np.diff(levels)


FINER, MASSES = _pieces()


def kolmogorov_smirnov(reference: Sketch, other: Sketch) -> float:
    """Return the largest difference of the shares of pixels below any value, 0 to 1."""
    nodes = np.union1d(reference.nodes, other.nodes)
    return float(np.abs(_share(reference, nodes) - _share(other, nodes)).max())


def stability(reference: Sketch, other: Sketch) -> float:
    """Return the population stability index Σ (q - p) ln(q / p) over the tenths of the reference."""
    edges = np.unique(np.interp(np.arange(1, BINS) / BINS, reference.shares, reference.nodes))
    p, q = (np.maximum(np.diff([0.0, *_share(side, edges), 1.0]), LEAST) for side in (reference, other))
    return float(((q - p) * np.log(q / p)).sum())


def _share(sketch: Sketch, nodes: Floats) -> Floats:
    return np.interp(nodes, sketch.nodes, sketch.shares, left=0.0, right=1.0)
