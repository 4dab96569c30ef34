"""Images that look alike, by their thumbnails: shifted by up to a cell, flipped, of another gain, quantization or look.

Two steps. A signature that neither flips nor shifts change (magnitudes of low spatial frequencies) names for each image
the CANDIDATES likeliest ones, by blocks of one matrix product. With these it is correlated at each shift and flip. A
correlation alone says little: two coasts correlate by 0.9. So it is compared with what chance gives between pictures of
so few independent parts (Bartlett 1935, doi:10.2307/2342284; here by the spectra of both, their bands' coherence, and
where both are bright), as Fisher's z in standard deviations.
"""

from __future__ import annotations

import itertools
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
QUERIES, TARGETS, COMPARED = 1024, 8192, 128  # images of a block: what bounds the memory

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


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
        likeliest = _likeliest(signature(sharp[0][block]), signatures)
        for first in range(0, len(rows), COMPARED):
            part = slice(first, first + COMPARED)
            best, correlation, beyond = _compared(sharp[0][block][part], sharp[1], likeliest[part])
            sure = _is_sure(correlation, beyond - MORE * np.log10(len(others)))
            found.partner[rows[part]] = np.where(sure, others[best], -1)
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


def _compared(queries: Thumbs, targets: Thumbs, candidates: Rows) -> tuple[Rows, Floats, Floats]:
    """Return the candidate of each query that is farthest beyond chance, its correlation, and how far that is."""
    bands, row = queries.shape[1], np.arange(len(queries))[:, None]
    moved = _windows(queries, SHIFTS, flips=True)
    others = _windows(targets[candidates.ravel()]).reshape(*candidates.shape, -1)
    every = moved @ others.swapaxes(1, 2)  # [query, variant, candidate]
    variant, correlation = every.argmax(axis=1), every.max(axis=1)
    top = np.argsort(-correlation, axis=1, kind="stable")[:, :JUDGED]
    variant, correlation, others = variant[row, top], correlation[row, top], others[row, top]
    bright = np.einsum("qcd,qcd->qc", _energy(moved[row, variant], bands), _energy(others, bands))
    still = _windows(queries)[:, 0]
    spread = np.einsum("qf,qcf->qc", _spectra(still, bands), _spectra(others, bands))
    parts = 1 / np.maximum(np.maximum(bright, spread), 1e-6)  # independent ones
    beyond = np.arctanh(np.minimum(correlation, 0.9999)) * np.sqrt(np.maximum(parts - 3, 0))
    best = beyond.argmax(axis=1)[:, None]
    found = (values[row, best][:, 0] for values in (candidates[row, top], correlation, beyond.astype(np.float32)))
    partner, likeness, far = found
    return partner, likeness, far


def _windows(sharp: Thumbs, shifts: Sequence[float] = (0.0,), *, flips: bool = False) -> Floats:
    """Return unit vectors [image, variant, band * WINDOW²] of the middles of thumbnails, shifted along both axes."""
    start = (SIDE - WINDOW) / 2 + np.array(shifts)[:, None] + np.arange(WINDOW)
    weight = np.maximum(1 - np.abs(start[..., None] - np.arange(SIDE)), 0).reshape(-1, SIDE).astype(np.float32)
    images, bands = sharp.shape[:2]
    cells = sharp.reshape(images, 1, bands, SIDE, SIDE).astype(np.float32)
    if flips:
        turns = itertools.product((slice(None), slice(None, None, -1)), repeat=2)
        cells = np.concatenate([cells[..., rows, columns] for rows, columns in turns], axis=1)
    moved = (weight @ cells @ weight.T).reshape(images, -1, bands, len(shifts), WINDOW, len(shifts), WINDOW)
    found = moved.transpose(0, 1, 3, 5, 2, 4, 6).reshape(images, -1, bands, WINDOW * WINDOW)
    found = found - found.mean(axis=3, keepdims=True)
    found = found.reshape(images, found.shape[1], -1)
    return np.asarray(found / np.maximum(np.linalg.norm(found, axis=2, keepdims=True), 1e-6))


def _energy(windows: Floats, bands: int) -> Floats:
    """Return the share of each cell in the square of a window [..., band * cell], all bands together."""
    return np.asarray((windows.reshape(*windows.shape[:-1], bands, -1) ** 2).sum(axis=-2))


def _spectra(windows: Floats, bands: int) -> Floats:
    """Return vectors [..., feature] of windows: the product of two is the variance of a correlation by chance.

    They are power spectra and cross spectra of bands, averaged over flips.
    """
    waves = np.fft.fft2(windows.reshape(*windows.shape[:-1], bands, WINDOW, WINDOW)) / WINDOW
    parts = []
    for i, j in itertools.combinations_with_replacement(range(bands), 2):
        cross = (waves[..., i, :, :] * waves[..., j, :, :].conj()).real
        turned = np.roll(cross[..., ::-1], 1, axis=-1)
        weight = 1.0 if i == j else np.sqrt(2)
        parts.append(((cross + turned) * (weight / 2)).reshape(*windows.shape[:-1], -1))
    return np.concatenate(parts, axis=-1).astype(np.float32)
