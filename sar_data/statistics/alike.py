"""Images that look alike, by their thumbnails: shifted by up to a cell, flipped, of another gain, quantization or look.

Two steps. A signature that neither flips nor shifts change (magnitudes of low spatial frequencies) names for each image
the CANDIDATES likeliest ones, by blocks of one matrix product. With these it is correlated at each shift and flip. A
correlation alone says little: two coasts correlate by 0.9. So it is compared with what chance gives between pictures of
so few independent parts (Bartlett 1935, doi:10.2307/2342284; here by the spectra of both, their bands' coherence, and
where both are bright), as Fisher's z in standard deviations.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sar_data.progress import Progress
from sar_data.statistics.thumbnail import CELLS, SIDE, Thumbs, quantized

CANDIDATES = 64
LEAST = ((0.92, 4.8), (0.7, 6.4))
"""Correlation → standard deviations beyond chance that make two images alike, among 1 image compared with."""
MORE = 0.8
"""Standard deviations more for each ten times as many images. docs/leakage.md has what is found, and what wrongly."""
JUDGED = 4  # of the candidates: those of the largest correlation
FREQUENCIES = 6  # along each axis, of a signature
WINDOW = 13  # cells of a thumbnail's middle that are correlated
SHIFTS = tuple(0.375 * step for step in range(-3, 4))  # cells: 8 pixels of 120 are 1.07
QUERIES, TARGETS, COMPARED = 512, 8192, 16  # images of a block: memory that is reused costs no page faults

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


def _both(weights: npt.NDArray[np.float64]) -> Floats:
    """Return weights [out², in²] of a square by those [out, in] along each of its axes."""
    return np.kron(weights, weights).astype(np.float32)


def _between(places: Sequence[float], count: int) -> npt.NDArray[np.float64]:
    """Return the weights [place, cell] by which `count` cells give the values between two of them."""
    start = (SIDE - WINDOW) / 2 + np.array(places)
    return np.asarray(np.maximum(1 - np.abs(start[:, None] - np.arange(count)), 0))


def _waves() -> npt.NDArray[np.float64]:
    """Return cosines and sines [wave, cell] of a window. Squared once more, each counts for its mirrors."""
    frequency = np.arange(HALF)[:, None]
    turns = 2 * np.pi / WINDOW * frequency * np.arange(WINDOW)
    weight = np.where(frequency, 2**0.25, 1.0) / np.sqrt(WINDOW)
    return np.concatenate([np.cos(turns) * weight, np.sin(turns) * weight])


HALF = WINDOW // 2 + 1  # frequencies, of which the others are mirrors
MOVES = _both(_between(SHIFTS, SIDE - WINDOW + 1))  # [move, place]: of windows that begin at a cell
MIDDLE = _both(_between(range(WINDOW), SIDE)).T  # [cell, cell of the window in the middle]
WAVES = _both(_waves()).T


class Alike(NamedTuple):
    """Of each query the target that is alike, -1 where none is, its correlation, and how far beyond chance that is."""

    partner: Rows
    correlation: Floats
    beyond: Floats


def has_structure(thumbs: Thumbs) -> npt.NDArray[np.bool_]:
    """Say of thumbnails [image, band, CELLS] which can be compared: those that there are in every band."""
    return np.asarray(np.all(thumbs.any(axis=2), axis=1))


def alike(queries: Thumbs, targets: Thumbs, progress: Progress | None = None) -> Alike:
    """Return for each query [image, band, CELLS] the target that is most alike, of the same bands.

    Memory is that of both sides' thumbnails twice and 100 MB. `progress` is called with ("compare", done, total).
    """
    found = Alike(np.full(len(queries), -1), *np.zeros((2, len(queries)), np.float32))
    asked, others = (np.flatnonzero(has_structure(side)) for side in (queries, targets))
    if not len(asked) or not len(others):
        return found
    sharp = [sharpened(side[rows]) for side, rows in ((queries, asked), (targets, others))]
    signatures = signature(sharp[1])
    for start in range(0, len(asked), QUERIES):
        block = slice(start, start + QUERIES)
        rows = asked[block]
        names, likeliest = np.unique(_likeliest(signature(sharp[0][block]), signatures), return_inverse=True)
        middles = _middles(sharp[1][names])
        for first in range(0, len(rows), COMPARED):
            part = slice(first, first + COMPARED)
            best, correlation, beyond = _compared(sharp[0][block][part], middles, likeliest[part])
            sure = _is_sure(correlation, beyond - MORE * np.log10(len(others)))
            found.partner[rows[part]] = np.where(sure, others[names[best]], -1)
            found.correlation[rows[part]], found.beyond[rows[part]] = correlation, beyond
        if progress:
            progress("compare", start + len(rows), len(asked))
    return found


def _is_sure(correlation: Floats, beyond: Floats) -> npt.NDArray[np.bool_]:
    rules = [(correlation >= least) & (beyond >= deviations) for least, deviations in LEAST]
    return np.asarray(np.logical_or.reduce(rules))


def sharpened(thumbs: Thumbs) -> Thumbs:
    """Return thumbnails whose coarse and fine frequencies weigh alike, but for the finest, which shifts spoil."""
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE))
    weight = frequency * np.exp(-((frequency / 0.35) ** 2))
    out = np.empty_like(thumbs)
    for start in range(0, len(thumbs), TARGETS):
        cells = thumbs[start : start + TARGETS].reshape(-1, SIDE, SIDE)
        filtered = np.fft.irfft2(np.fft.rfft2(cells) * weight, s=(SIDE, SIDE)).reshape(-1, CELLS)
        out[start : start + TARGETS] = quantized(filtered).reshape(-1, *thumbs.shape[1:])
    return out


def signature(sharp: Thumbs) -> Floats:
    """Return unit vectors [image, feature] of sharpened thumbnails, which flips do not change and shifts hardly."""
    window = np.sqrt(np.hanning(SIDE + 2)[1:-1])
    out = np.empty((len(sharp), sharp.shape[1] * (FREQUENCIES**2 - 1)), np.float32)
    for start in range(0, len(sharp), TARGETS):
        cells = sharp[start : start + TARGETS].reshape(-1, sharp.shape[1], SIDE, SIDE)
        power = np.abs(np.fft.fft2(cells * np.outer(window, window))) ** 2
        turned = np.roll(power[..., ::-1], 1, axis=-1)  # of the flipped picture
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


def _compared(queries: Thumbs, middles: Floats, candidates: Rows) -> tuple[Rows, Floats, Floats]:
    """Return the candidate of each query that is farthest beyond chance, its correlation, and how far that is.

    Candidates [query, candidate] are rows of the middles [image, band * WINDOW²].
    """
    bands, row = queries.shape[1], np.arange(len(queries))[:, None]
    placed = _placed(queries)
    moved = MOVES @ placed
    length = np.maximum(np.sqrt(np.einsum("qmd,qmd->qm", moved, moved))[..., None], 1e-6)
    moved /= length
    others = middles[candidates]
    # A shifted window is a mean of unshifted ones: so is what it has in common with another image.
    every = MOVES @ (_flipped(placed, bands) @ others.swapaxes(1, 2)[:, None])
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
    parts = 1 / np.maximum(np.maximum(bright, spread), 1e-6)  # independent ones
    beyond = np.arctanh(np.minimum(correlation, 0.9999)) * np.sqrt(np.maximum(parts - 3, 0))
    best = beyond.argmax(axis=1)[:, None]
    found = (values[row, best][:, 0] for values in (candidates[row, top], correlation, beyond.astype(np.float32)))
    partner, likeness, far = found
    return partner, likeness, far


def _placed(sharp: Thumbs) -> Floats:
    """Return the windows [image, place, band * WINDOW²] of whole cells, less the mean of each band."""
    cells = sharp.reshape(*sharp.shape[:2], SIDE, SIDE).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(cells, (WINDOW, WINDOW), axis=(2, 3))
    found = windows.transpose(0, 2, 3, 1, 4, 5).reshape(len(sharp), len(MOVES[0]), -1, WINDOW * WINDOW)
    found -= found.mean(axis=3, keepdims=True)
    return found.reshape(len(sharp), len(MOVES[0]), -1)


def _flipped(windows: Floats, bands: int) -> Floats:
    """Return all four flips [image, flip, place, band * cell] of windows [image, place, band * cell]."""
    cells = windows.reshape(*windows.shape[:2], bands, WINDOW, WINDOW)
    turns = (cells, cells[..., ::-1, :], cells[..., ::-1], cells[..., ::-1, ::-1])
    return np.stack(turns, axis=1).reshape(len(windows), len(turns), *windows.shape[1:])


def _middles(sharp: Thumbs) -> Floats:
    """Return unit vectors [image, band * WINDOW²] of the middles of thumbnails."""
    found = sharp.astype(np.float32) @ MIDDLE
    found = (found - found.mean(axis=2, keepdims=True)).reshape(len(sharp), -1)
    return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-6))


def _energy(windows: Floats, bands: int) -> Floats:
    """Return the share [..., y, x] of each cell in the square of a window [..., band * cell], all bands together."""
    return np.asarray((windows.reshape(*windows.shape[:-1], bands, WINDOW, WINDOW) ** 2).sum(axis=-3))


def _spectra(windows: Floats, bands: int) -> Floats:
    """Return vectors [..., feature] of windows: the product of two is the variance of a correlation by chance.

    They are power spectra and cross spectra of bands, averaged over flips.
    """
    waves = windows.reshape(*windows.shape[:-1], bands, -1) @ WAVES
    parts = []
    for i, j in itertools.combinations_with_replacement(range(bands), 2):
        cross = (waves[..., i, :] * waves[..., j, :]).reshape(*windows.shape[:-1], 2, HALF, 2, HALF)
        cross = cross[..., 0, :, :, :] + cross[..., 1, :, :, :]
        cross = (cross[..., 0, :] + cross[..., 1, :]) * np.float32(1 if i == j else math.sqrt(2))
        parts.append(cross.reshape(*windows.shape[:-1], -1))
    return np.concatenate(parts, axis=-1)
