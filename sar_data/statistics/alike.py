"""Images that look alike, by their thumbnails: shifted by up to a cell, flipped, of another gain, quantization or look.

There are two steps. First, a signature (magnitudes of low spatial frequencies), which flips and shifts hardly change,
selects the CANDIDATES most similar images of each image, by blocks of one matrix product. Second, the image is
correlated with each candidate at each shift and flip. A correlation alone says little: two coasts correlate by 0.9. So
it is compared with the correlation that chance gives between images with so few independent parts (Bartlett 1935,
doi:10.2307/2342284; here from the spectra of both, the coherence of their bands, and where both are bright). The result
is Fisher's z in standard deviations.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sar_data.progress import Progress
from sar_data.statistics.thumbnail import CELLS, SIDE, Thumbs, quantize_cells

CANDIDATES = 64
LEAST = ((0.92, 4.8), (0.7, 6.4))
"""Least correlation, and least standard deviations beyond chance, of images that look alike, for 1 compared image."""
MORE = 0.8
"""Standard deviations to add for each ten times as many images; docs/leakage.md gives the rates of right and wrong."""
JUDGED = 4  # the candidates with the largest correlations
FREQUENCIES = 6  # along each axis, of a signature
WINDOW = 13  # cells of a thumbnail's middle that are correlated
SHIFTS = tuple(0.375 * step for step in range(-3, 4))  # cells: 8 pixels of 120 are 1.07
QUERIES, TARGETS, COMPARED = 512, 8192, 16  # images of a block: memory that is reused costs no page faults

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


def _both(weights: npt.NDArray[np.float64]) -> Floats:
    """Return the weights [out², in²] of a square, given those [out, in] along each of its axes."""
    return np.kron(weights, weights).astype(np.float32)


def _between(places: Sequence[float], count: int) -> npt.NDArray[np.float64]:
    """Return the weights [place, cell] that interpolate `count` cells at places between them."""
    start = (SIDE - WINDOW) / 2 + np.array(places)
    return np.asarray(np.maximum(1 - np.abs(start[:, None] - np.arange(count)), 0))


def _waves() -> npt.NDArray[np.float64]:
    """Return cosines and sines [wave, cell] of a window, weighted so that each also counts for its mirrors."""
    frequency = np.arange(HALF)[:, None]
    turns = 2 * np.pi / WINDOW * frequency * np.arange(WINDOW)
    weight = np.where(frequency, 2**0.25, 1.0) / np.sqrt(WINDOW)
    return np.concatenate([np.cos(turns) * weight, np.sin(turns) * weight])


HALF = WINDOW // 2 + 1  # frequencies; the others are their mirrors
MOVES = _both(_between(SHIFTS, SIDE - WINDOW + 1))  # [move, place]: of windows that begin at a cell
MIDDLE = _both(_between(range(WINDOW), SIDE)).T  # [cell, cell of the window in the middle]
WAVES = _both(_waves()).T


class Matches(NamedTuple):
    """For each query: the row of the target that looks alike, or -1, its correlation, and how far that exceeds chance.

    All are [query]; `beyond` is in standard deviations.
    """

    partner: Rows
    correlation: Floats
    beyond: Floats


def has_structure(thumbs: Thumbs) -> npt.NDArray[np.bool_]:
    """Say which thumbnails [image, band, CELLS] can be compared: those that have values in every band."""
    return np.asarray(np.all(thumbs.any(axis=2), axis=1))


def find_alike(queries: Thumbs, targets: Thumbs, progress: Progress | None = None) -> Matches:
    """Return for each query [image, band, CELLS] the target that looks most alike; both have the same bands.

    It needs the memory of all thumbnails twice, and 100 MB. `progress` is called with ("compare", done, total).
    """
    matches = Matches(np.full(len(queries), -1), *np.zeros((2, len(queries)), np.float32))
    query_rows, target_rows = (np.flatnonzero(has_structure(side)) for side in (queries, targets))
    if not len(query_rows) or not len(target_rows):
        return matches
    sharp = [sharpen(side[rows]) for side, rows in ((queries, query_rows), (targets, target_rows))]
    signatures = signature(sharp[1])
    for start in range(0, len(query_rows), QUERIES):
        block = slice(start, start + QUERIES)
        rows = query_rows[block]
        names, likeliest = np.unique(_likeliest(signature(sharp[0][block]), signatures), return_inverse=True)
        middles = _middles(sharp[1][names])
        for first in range(0, len(rows), COMPARED):
            part = slice(first, first + COMPARED)
            best, correlation, beyond = _compare_candidates(sharp[0][block][part], middles, likeliest[part])
            sure = _is_sure(correlation, beyond - MORE * np.log10(len(target_rows)))
            matches.partner[rows[part]] = np.where(sure, target_rows[names[best]], -1)
            matches.correlation[rows[part]], matches.beyond[rows[part]] = correlation, beyond
        if progress:
            progress("compare", start + len(rows), len(query_rows))
    return matches


def _is_sure(correlation: Floats, beyond: Floats) -> npt.NDArray[np.bool_]:
    rules = [(correlation >= least) & (beyond >= deviations) for least, deviations in LEAST]
    return np.asarray(np.logical_or.reduce(rules))


def sharpen(thumbs: Thumbs) -> Thumbs:
    """Return thumbnails whose coarse and fine frequencies have equal weight, except the finest, which shifts change."""
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE))
    weight = frequency * np.exp(-((frequency / 0.35) ** 2))
    out = np.empty_like(thumbs)
    for start in range(0, len(thumbs), TARGETS):
        cells = thumbs[start : start + TARGETS].reshape(-1, SIDE, SIDE)
        filtered = np.fft.irfft2(np.fft.rfft2(cells) * weight, s=(SIDE, SIDE)).reshape(-1, CELLS)
        out[start : start + TARGETS] = quantize_cells(filtered).reshape(-1, *thumbs.shape[1:])
    return out


def signature(sharp: Thumbs) -> Floats:
    """Return unit vectors [image, feature] of sharpened thumbnails; flips do not change them, shifts hardly do."""
    window = np.sqrt(np.hanning(SIDE + 2)[1:-1])
    out = np.empty((len(sharp), sharp.shape[1] * (FREQUENCIES**2 - 1)), np.float32)
    for start in range(0, len(sharp), TARGETS):
        cells = sharp[start : start + TARGETS].reshape(-1, sharp.shape[1], SIDE, SIDE)
        power = np.abs(np.fft.fft2(cells * np.outer(window, window))) ** 2
        turned = np.roll(power[..., ::-1], 1, axis=-1)  # of the flipped image
        features = ((power + turned)[..., :FREQUENCIES, :FREQUENCIES]).reshape(len(cells), sharp.shape[1], -1)
        features = features[..., 1:].reshape(len(cells), -1) ** 0.25
        out[start : start + TARGETS] = features / np.linalg.norm(features, axis=1, keepdims=True)
    return out


def _likeliest(queries: Floats, targets: Floats) -> Rows:
    """Return the rows [query, candidate] of the targets whose signatures are nearest, the nearest first."""
    count = min(CANDIDATES, len(targets))
    near = np.full((len(queries), count), -np.inf, np.float32)
    rows = np.zeros((len(queries), count), np.int64)
    for start in range(0, len(targets), TARGETS):
        likeness = queries @ targets[start : start + TARGETS].T
        if start == 0:
            columns = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
            query = np.repeat(np.arange(len(queries)), count)
            column = columns.ravel()
        else:
            query, column = np.nonzero(likeness > near[:, -1:])
        owner = np.concatenate([np.repeat(np.arange(len(queries)), count), query])
        values = np.concatenate([near.ravel(), likeness[query, column]])
        names = np.concatenate([rows.ravel(), start + column])
        order = np.lexsort((names, -values, owner))
        first = np.searchsorted(owner[order], np.arange(len(queries)))
        chosen = order[first[:, None] + np.arange(count)]
        near, rows = values[chosen], names[chosen]
    return rows


def _compare_candidates(queries: Thumbs, middles: Floats, candidates: Rows) -> tuple[Rows, Floats, Floats]:
    """Return for each query the candidate farthest beyond chance, its correlation, and the distance from chance.

    Candidates [query, candidate] are rows of the middles [image, band * WINDOW²].
    """
    bands, row = queries.shape[1], np.arange(len(queries))[:, None]
    windows = _place_windows(queries)
    moved = MOVES @ windows
    length = np.maximum(np.sqrt(np.einsum("qmd,qmd->qm", moved, moved))[..., None], 1e-6)
    moved /= length
    others = middles[candidates]
    # A shifted window is a weighted mean of unshifted windows, so its product with another image is that mean too.
    every = MOVES @ (_flip_windows(windows, bands) @ others.swapaxes(1, 2)[:, None])
    every /= length[:, None]  # [query, flip, move, candidate]
    correlation = every.max(axis=(1, 2))
    top = np.argsort(-correlation, axis=1, kind="stable")[:, :JUDGED]
    flip, move = np.divmod(every[row, :, :, top].reshape(*top.shape, -1).argmax(axis=2), len(MOVES))
    correlation, others = correlation[row, top], others[row, top]
    energy = _energy(moved[row, move], bands)
    for side in range(2):
        energy = np.where((flip >> side & 1)[..., None, None], np.flip(energy, side - 2), energy)
    bright = np.einsum("qcyx,qcyx->qc", energy, _energy(others, bands))
    spread = np.einsum("qf,qcf->qc", _spectra(moved[:, len(MOVES) // 2], bands), _spectra(others, bands))
    parts = 1 / np.maximum(np.maximum(bright, spread), 1e-6)  # the number of independent parts
    beyond = np.arctanh(np.minimum(correlation, 0.9999)) * np.sqrt(np.maximum(parts - 3, 0))
    best = beyond.argmax(axis=1)[:, None]
    return (
        candidates[row, top][row, best][:, 0],
        correlation[row, best][:, 0],
        beyond.astype(np.float32)[row, best][:, 0],
    )


def _place_windows(sharp: Thumbs) -> Floats:
    """Return the windows [image, place, band * WINDOW²] of whole cells, less the mean of each band."""
    cells = sharp.reshape(*sharp.shape[:2], SIDE, SIDE).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(cells, (WINDOW, WINDOW), axis=(2, 3))
    flat = windows.transpose(0, 2, 3, 1, 4, 5).reshape(len(sharp), len(MOVES[0]), -1, WINDOW * WINDOW)
    flat -= flat.mean(axis=3, keepdims=True)
    return flat.reshape(len(sharp), len(MOVES[0]), -1)


def _flip_windows(windows: Floats, bands: int) -> Floats:
    """Return all four flips [image, flip, place, band * cell] of windows [image, place, band * cell]."""
    cells = windows.reshape(*windows.shape[:2], bands, WINDOW, WINDOW)
    turns = (cells, cells[..., ::-1, :], cells[..., ::-1], cells[..., ::-1, ::-1])
    return np.stack(turns, axis=1).reshape(len(windows), len(turns), *windows.shape[1:])


def _middles(sharp: Thumbs) -> Floats:
    """Return unit vectors [image, band * WINDOW²] of the middles of thumbnails."""
    cells = sharp.astype(np.float32) @ MIDDLE
    cells = (cells - cells.mean(axis=2, keepdims=True)).reshape(len(sharp), -1)
    return np.asarray(cells / np.maximum(np.linalg.norm(cells, axis=1, keepdims=True), 1e-6))


def _energy(windows: Floats, bands: int) -> Floats:
    """Return the share [..., y, x] of each cell in the energy of a window [..., band * cell], all bands together."""
    return np.asarray((windows.reshape(*windows.shape[:-1], bands, WINDOW, WINDOW) ** 2).sum(axis=-3))


def _spectra(windows: Floats, bands: int) -> Floats:
    """Return power and cross spectra [..., feature] of the bands of windows, averaged over flips.

    The product of two such vectors is the variance that a correlation has by chance.
    """
    waves = windows.reshape(*windows.shape[:-1], bands, -1) @ WAVES
    parts = []
    for i, j in itertools.combinations_with_replacement(range(bands), 2):
        cross = (waves[..., i, :] * waves[..., j, :]).reshape(*windows.shape[:-1], 2, HALF, 2, HALF)
        cross = cross[..., 0, :, :, :] + cross[..., 1, :, :, :]
        cross = (cross[..., 0, :] + cross[..., 1, :]) * np.float32(1 if i == j else math.sqrt(2))
        parts.append(cross.reshape(*windows.shape[:-1], -1))
    return np.concatenate(parts, axis=-1)
